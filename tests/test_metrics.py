"""Ranking metrics against a brute force written here, scikit-learn, and their laws."""

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

from skvae.metrics import METRICS, hit_rate_at_k, map_at_k, mrr_at_k, ndcg_at_k, precision_at_k, recall_at_k

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


@st.composite
def problems(draw):
    """Held-out entries (explicit zeros, negatives, duplicates), padded rankings, k, and the relevant sets."""
    n_users, n_items = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    k = draw(st.none() | st.integers(1, 12))
    n_ranks = draw(st.integers(min(k or 1, n_items), 10))
    cell = st.tuples(st.integers(0, n_users - 1), st.integers(0, n_items - 1), st.sampled_from([1.0, 0.5, 3.0, 0, -1]))
    cells = draw(st.lists(cell, max_size=15))
    totals = {}
    for user, item, value in cells:
        totals[user, item] = totals.get((user, item), 0) + value
    relevant = [{i for (u, i), total in totals.items() if u == user and total > 0} for user in range(n_users)]
    # an item or -1 at any place: a -1 need not be the last
    rankings = []
    for _ in range(n_users):
        listed = draw(st.permutations(range(n_items)))[: draw(st.integers(0, min(n_ranks, n_items)))]
        rankings.append(draw(st.permutations(listed + [-1] * (n_ranks - len(listed)))))
    users, items, values = (list(part) for part in zip(*cells, strict=True)) if cells else ([], [], [])
    held_out = sp.coo_array((np.array(values, float), (users, items)), shape=(n_users, n_items))
    return held_out, rankings, k, relevant


@every_metric
@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_every_metric_equals_the_brute_force(name, problem):
    held_out, rankings, k, relevant = problem
    expected = [
        brute_force(name, wanted, ranking, k or len(ranking))
        for wanted, ranking in zip(relevant, rankings, strict=True)
    ]
    per_user = TABLE[name](held_out, rankings, k=k, per_user=True)
    np.testing.assert_allclose(per_user, expected, rtol=1e-12)
    assert per_user.dtype == np.float64
    counted = [value for value in expected if not math.isnan(value)]
    if counted:
        mean = TABLE[name](held_out, rankings, k=k)
        assert isinstance(mean, float)
        assert mean == pytest.approx(sum(counted) / len(counted), rel=1e-12)
    else:
        with pytest.warns(UndefinedMetricWarning, match="No user has a held-out item"):
            assert math.isnan(TABLE[name](held_out, rankings, k=k))


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


@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_metrics_lie_in_their_order_between_0_and_1(problem):
    held_out, rankings, k, relevant = problem
    values = {name: metric(held_out, rankings, k=k, per_user=True) for name, metric in TABLE.items()}
    scored = [bool(wanted) for wanted in relevant]
    for name, value in values.items():
        np.testing.assert_array_equal(np.isnan(value), np.logical_not(scored), err_msg=name)
        assert ((value[scored] >= 0) & (value[scored] <= 1 + 1e-12)).all(), name
        assert (values["hit_rate"][scored] >= value[scored] - 1e-12).all(), name
    assert (values["recall"][scored] >= values["recall_n"][scored]).all()
    assert (values["recall"][scored] >= values["precision"][scored]).all()


@every_metric
@pytest.mark.parametrize("n_held_out", [1, 3, 6])
def test_a_perfect_ranking_has_1_where_k_is_the_number_held_out(name, n_held_out):
    held_out = np.arange(6)[None] < n_held_out
    assert TABLE[name](held_out, [range(6)], k=n_held_out) == pytest.approx(1, rel=1e-15)


@pytest.mark.parametrize("metric", [ndcg_at_k, recall_at_k, map_at_k, mrr_at_k, hit_rate_at_k])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 6, 60])
def test_a_perfect_ranking_has_1_at_every_k(metric, k):
    assert metric([[0, 1, 0, 1, 0, 1]], [[5, 3, 1, 0, 2, 4]], k=k) == pytest.approx(1, rel=1e-15)


@every_metric
@pytest.mark.parametrize("ranking", [[1, 3], [-1, -1], [3, -1], [1, 3, 0]])
def test_a_ranking_without_a_hit_in_the_first_k_has_0(name, ranking):
    assert TABLE[name]([[1, 0, 1, 0]], [ranking], k=2) == 0


@every_metric
def test_moving_a_hit_up_never_lowers_a_metric(name):
    held_out = [[1, 0, 0, 1, 0]]
    rankings = [[1, 2, 4, 3, 0], [1, 2, 3, 4, 0], [1, 3, 2, 4, 0], [3, 1, 2, 4, 0], [3, 1, 2, 0, 4], [3, 0, 1, 2, 4]]
    values = [TABLE[name](held_out, [ranking], k=4) for ranking in rankings]
    assert values == sorted(values)


@every_metric
def test_users_without_held_out_items_do_not_change_the_mean(name):
    held_out = np.array([[0, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 0]])
    items = np.array([[0, 1], [0, 1], [0, 2], [-1, -1]])
    assert TABLE[name](held_out, items) == TABLE[name](held_out[[0, 2]], items[[0, 2]])


@every_metric
def test_ranks_after_the_kth_do_not_matter(name):
    held_out = np.array([[0, 1, 1, 0], [1, 0, 0, 0]])
    items = np.array([[3, 1, 2, 0], [1, 2, 0, 3]])
    assert TABLE[name](held_out, items, k=2) == TABLE[name](held_out, items[:, :2])


@every_metric
def test_k_above_the_number_of_items_needs_no_padding(name):
    held_out, items = [[0, 1, 1], [1, 0, 0]], np.array([[0, 1, 2], [2, 0, 1]])
    padded = np.pad(items, ((0, 0), (0, 7)), constant_values=-1)
    assert TABLE[name](held_out, items, k=10) == TABLE[name](held_out, padded, k=10)


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
@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint16])
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
def test_uint64_items_and_ragged_items(name):
    held_out = np.eye(3, 5)
    items = np.array([[0, 1, 2, 3, 4]] * 3)
    assert TABLE[name](held_out, items.astype(np.uint64)) == TABLE[name](held_out, items)
    with pytest.raises(ValueError, match="items must have as many ranks for each user"):
        TABLE[name](held_out, [[0, 1], [2], [3]])


@every_metric
@pytest.mark.parametrize("held_out", [[0, 1, 0], np.ones((1, 2, 3))])
def test_a_held_out_of_another_dimension_raises(name, held_out):
    with pytest.raises(ValueError, match="held_out must have two dimensions, users and items"):
        TABLE[name](held_out, [[1, 0, 2]])
