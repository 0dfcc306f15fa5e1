"""Ranking metrics against a brute force written here, and against scikit-learn."""

import math
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import CONTAINERS, CONTAINERS_OF_ONES, left_alone
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import ndcg_score

from skvae.metrics import METRICS, ndcg_at_k, precision_at_k, recall_at_k

TABLE = {**METRICS, "recall_n": partial(recall_at_k, denominator="n")}
every_metric = pytest.mark.parametrize("name", TABLE)


def dcg(ranks):
    return sum(1 / math.log2(rank + 1) for rank in ranks)


def brute_force(name, relevant, ranking, k):
    """One user's metric from a set of relevant items and a list of ranked ones."""
    if not relevant:
        return math.nan
    ranks = [rank for rank, item in enumerate(ranking[:k], start=1) if item in relevant]
    most = min(k, len(relevant))
    return {
        "ndcg": dcg(ranks) / dcg(range(1, most + 1)),
        "recall": len(ranks) / most,
        "recall_n": len(ranks) / len(relevant),
        "precision": len(ranks) / k,
        "map": sum(n_hits / rank for n_hits, rank in enumerate(ranks, start=1)) / most,
        "mrr": 1 / ranks[0] if ranks else 0.0,
        "hit_rate": 1.0 if ranks else 0.0,
    }[name]


def problem(seed):
    """Held-out entries (explicit zeros, negatives, duplicates), padded rankings, k, and the relevant sets."""
    rng = np.random.default_rng(seed)
    n_users, n_items = rng.integers(1, [6, 8])
    k = [None, int(rng.integers(1, 13))][rng.integers(2)]
    n_ranks = rng.integers(min(k or 1, n_items), 11)
    n_cells = rng.integers(0, 2 * n_users * n_items)
    users, items = rng.integers(n_users, size=n_cells), rng.integers(n_items, size=n_cells)
    held_out = sp.coo_array((rng.choice([1.0, 0.5, 3.0, 0, -1], n_cells), (users, items)), shape=(n_users, n_items))
    relevant = [set(np.flatnonzero(row > 0)) for row in held_out.toarray()]
    # an item or -1 at any place: a -1 need not be the last
    numbers = np.r_[:n_items, np.full(n_ranks, -1)]
    rankings = [rng.permutation(numbers)[:n_ranks] for _ in range(n_users)]
    return held_out, rankings, k, relevant


@every_metric
@pytest.mark.filterwarnings("ignore:No user has a held-out item")
def test_every_metric_equals_the_brute_force(name):
    for held_out, rankings, k, relevant in map(problem, range(200)):
        expected = [
            brute_force(name, wanted, list(ranking), k or len(ranking))
            for wanted, ranking in zip(relevant, rankings, strict=True)
        ]
        per_user = TABLE[name](held_out, rankings, k=k, per_user=True)
        np.testing.assert_allclose(per_user, expected, rtol=1e-12)
        assert per_user.dtype == np.float64
        mean = TABLE[name](held_out, rankings, k=k)
        assert isinstance(mean, float)
        counted = [value for value in expected if not math.isnan(value)]
        np.testing.assert_allclose(mean, sum(counted) / len(counted) if counted else math.nan, rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n_users=st.integers(1, 5), n_items=st.integers(2, 9))
def test_ndcg_equals_scikit_learns_where_both_are_defined(data, n_users, n_items):
    k = data.draw(st.integers(1, n_items))
    order = np.array([data.draw(st.permutations(range(n_items))) for _ in range(n_users)])
    relevant = [data.draw(st.sets(st.integers(0, n_items - 1), min_size=1)) for _ in range(n_users)]
    held_out = np.array([[float(i in wanted) for i in range(n_items)] for wanted in relevant])
    scores = np.empty((n_users, n_items))
    np.put_along_axis(scores, order, np.arange(n_items, 0.0, -1)[None], axis=1)
    assert ndcg_at_k(held_out, order, k=k) == pytest.approx(ndcg_score(held_out, scores, k=k), rel=1e-12)


DENSE = np.array([[0, 2.0, 0, 1], [0, 0, 0, 0], [1, 0, 3, 0]])


@every_metric
@pytest.mark.parametrize("container", [*CONTAINERS, "bool"])
def test_containers_of_held_out_agree(name, container):
    items = [[0, 1, 3], [2, 1, 0], [2, -1, 0]]
    held_out = CONTAINERS_OF_ONES[container](DENSE)
    with left_alone(held_out):
        scores = TABLE[name](held_out, items, per_user=True)
    np.testing.assert_array_equal(scores, TABLE[name](DENSE, items, per_user=True), strict=True)


@every_metric
@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint16, np.uint64])
def test_every_integer_dtype_of_items_agrees(name, dtype):
    items = np.array([[0, 1, 3], [2, 1, 0], [2, 3, 0]])
    assert TABLE[name](DENSE, items.astype(dtype)) == TABLE[name](DENSE, items)


@every_metric
def test_a_mean_over_no_user_is_nan_with_a_warning(name):
    with pytest.warns(UndefinedMetricWarning, match="No user has a held-out item: the metric is NaN"):
        assert math.isnan(TABLE[name](sp.csr_array((2, 3)), [[0, 1], [1, -1]]))
    assert np.isnan(TABLE[name](sp.csr_array((2, 3)), [[0, 1], [1, -1]], per_user=True)).all()


ERRORS = {
    "item too large": (np.eye(2), [[2], [1]], {}, ValueError, "items must lie between -1 .none. and 1, the last"),
    "item below -1": (np.eye(2), [[-2], [1]], {}, ValueError, "items must lie between -1 .none. and 1, the last"),
    "item twice": (np.eye(2), [[0, 1], [1, 1]], {}, ValueError, "items lists an item twice for one user"),
    "too few ranks": (np.eye(3), [[0], [1], [2]], {"k": 2}, ValueError, "items holds 1 ranks per user, k=2 needs more"),
    "other users": (np.eye(2), [[0, 1]], {}, ValueError, "held_out has 2 users, items has 1"),
    "ragged": (np.eye(2), [[0, 1], [0]], {}, ValueError, "items must have as many ranks for each user"),
    "one dimension": (np.eye(2), [0, 1], {}, ValueError, r"items must be integer .* with shape \(2,\)"),
    "float items": (np.eye(2), [[0.0], [1.0]], {}, ValueError, "items must be integer .*got dtype float64"),
    "bool items": (np.eye(2), [[True], [False]], {}, ValueError, "items must be integer .*got dtype bool"),
    "k = 0": (np.eye(2), [[0], [1]], {"k": 0}, ValueError, "k == 0, must be >= 1"),
    "float k": (np.eye(2), [[0], [1]], {"k": 1.0}, TypeError, "k must be an instance of .*int.*, not float"),
}


@every_metric
@pytest.mark.parametrize("case", ERRORS)
def test_a_bad_argument_raises_with_its_sentence(name, case):
    held_out, items, kwargs, error, sentence = ERRORS[case]
    with pytest.raises(error, match=sentence):
        TABLE[name](held_out, items, **kwargs)


def test_items_without_any_rank_raise_as_k_0_does():
    for metric in (ndcg_at_k, precision_at_k):
        with pytest.raises(ValueError, match=r"k == 0|rank"):
            metric(np.eye(2), np.empty((2, 0), int))


@pytest.mark.parametrize("denominator", ["max", None, 3])
def test_an_unknown_denominator_raises_with_its_value(denominator):
    with pytest.raises(ValueError, match=f'denominator must be "min" or "n", got {denominator!r}'):
        recall_at_k(np.eye(2), [[0], [1]], denominator=denominator)


@every_metric
@pytest.mark.parametrize("k", [10**6, 2**31 - 1])
def test_a_k_far_above_the_catalogue_needs_no_memory(name, k):
    held_out, items = [[0, 1, 1], [1, 0, 0]], [[0, 1, 2], [2, 0, 1]]
    factor = 3 / k if name == "precision" else 1
    assert TABLE[name](held_out, items, k=k) == pytest.approx(TABLE[name](held_out, items, k=3) * factor, rel=1e-12)
    with pytest.raises(ValueError, match=f"k == {2**31}, must be <= {2**31 - 1}"):
        TABLE[name](held_out, items, k=2**31)


@every_metric
@pytest.mark.parametrize("held_out", [[0, 1, 0], np.ones((1, 2, 3))])
def test_a_held_out_of_another_dimension_raises(name, held_out):
    with pytest.raises(ValueError, match="held_out must have two dimensions, users and items"):
        TABLE[name](held_out, [[1, 0, 2]])
