"""Coverage, exposure, novelty, popularity and diversity against brute force, and their laws."""

import itertools
import math
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics.pairwise import cosine_distances

from skvae import PopularityRecommender, evaluate
from skvae.metrics import coverage_at_k, diversity_at_k, gini_at_k, ndcg_at_k, novelty_at_k, popularity_at_k

# what each of them takes beside items, made from X of the training users
CATALOGUE = {"coverage": coverage_at_k, "gini": gini_at_k}
PER_USER = {"novelty": novelty_at_k, "popularity": popularity_at_k, "diversity": diversity_at_k}
TABLE = {
    **{
        name: lambda items, X, metric=metric, **kwargs: metric(items, X.shape[1], **kwargs)
        for name, metric in CATALOGUE.items()
    },
    "novelty": novelty_at_k,
    "popularity": popularity_at_k,
    "diversity": lambda items, X, **kwargs: diversity_at_k(items, X.T, **kwargs),
}
every_metric = pytest.mark.parametrize("name", TABLE)
per_user_metrics = pytest.mark.parametrize("name", PER_USER)


def brute_force_per_user(name, listed, X):
    """One user's metric from the items listed for them, in plain loops."""
    holders = [sum(value != 0 for value in X[:, item]) for item in range(X.shape[1])]
    if name == "diversity":
        pairs = list(itertools.combinations(listed, 2))
        return sum(cosine_distances(X.T)[pair] for pair in pairs) / len(pairs) if pairs else math.nan
    values = {
        "novelty": [math.log2(len(X)) - math.log2(max(1, holders[item])) for item in listed],
        "popularity": [holders[item] / len(X) for item in listed],
    }[name]
    return sum(values) / len(values) if values else math.nan


def brute_force_catalogue(name, lists, n_items):
    exposures = [sum(item in listed for listed in lists) for item in range(n_items)]
    if name == "coverage":
        return sum(n > 0 for n in exposures) / n_items
    # mean absolute difference of two different items over twice the mean
    differences = sum(abs(a - b) for a, b in itertools.permutations(exposures, 2))
    return differences / (2 * (n_items - 1) * sum(exposures)) if sum(exposures) and n_items > 1 else 0.0


def drawn(seed):
    """Padded rankings (a -1 at any place), k, the lists that they mean, and training interactions."""
    rng = np.random.default_rng(seed)
    n_users, n_items = rng.integers(1, [6, 8])
    k = [None, int(rng.integers(1, 10))][rng.integers(2)]
    n_ranks = rng.integers(min(k or 1, n_items), 10)
    rankings = np.full((n_users, n_ranks), -1)
    for ranking in rankings:
        listed = rng.permutation(n_items)[: rng.integers(0, n_ranks + 1)]
        ranking[: len(listed)] = listed
        rng.shuffle(ranking)
    X = rng.choice([0, 0, 1, 3.0], (rng.integers(1, 7), n_items))
    return rankings, k, [[item for item in row[:k] if item >= 0] for row in rankings], X


@per_user_metrics
@pytest.mark.filterwarnings("ignore:No user has .* recommended item")
def test_every_metric_of_a_user_equals_the_brute_force(name):
    for rankings, k, lists, X in map(drawn, range(200)):
        expected = [brute_force_per_user(name, listed, X) for listed in lists]
        per_user = TABLE[name](rankings, X, k=k, per_user=True)
        assert per_user.dtype == np.float64
        np.testing.assert_allclose(per_user, expected, atol=1e-12)
        counted = [value for value in expected if not math.isnan(value)]
        mean = sum(counted) / len(counted) if counted else math.nan
        np.testing.assert_allclose(TABLE[name](rankings, X, k=k), mean, atol=1e-12)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_metric_of_the_catalogue_equals_the_brute_force(name):
    for rankings, k, lists, X in map(drawn, range(200)):
        if name == "gini" and not any(lists):
            with pytest.warns(UndefinedMetricWarning, match="No item is recommended to anyone"):
                assert math.isnan(gini_at_k(rankings, X.shape[1], k=k))
        else:
            value = TABLE[name](rankings, X, k=k)
            assert isinstance(value, float)
            assert value == pytest.approx(brute_force_catalogue(name, lists, X.shape[1]), abs=1e-12)


@per_user_metrics
def test_a_mean_over_no_user_is_nan_with_a_warning(name):
    with pytest.warns(UndefinedMetricWarning, match="No user has .* recommended item"):
        assert math.isnan(TABLE[name]([[-1]], np.ones((2, 3))))


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    items = np.argsort(rng.random((30, 12)), axis=1)[:, :6]
    return items, (rng.random((40, 12)) < np.linspace(0.9, 0.1, 12)).astype(float)


@every_metric
@pytest.mark.parametrize("container", [sp.csr_array, sp.csc_matrix, sp.coo_array, pd.DataFrame, sp.csr_matrix])
def test_containers_of_the_training_users_agree(name, container, problem):
    items, X = problem
    assert TABLE[name](items, container(X)) == pytest.approx(TABLE[name](items, X))
    assert TABLE[name](items.tolist(), X.astype(np.int64)) == TABLE[name](items, X)


@pytest.mark.parametrize("name", ["novelty", "popularity"])
def test_values_duplicates_and_explicit_zeros_do_not_change_who_has_an_item(name, problem):
    items, X = problem
    rows, columns = X.nonzero()
    data = (np.r_[np.full(len(rows), 2.5), 7.0, 0.0], np.r_[columns, columns[-1], 0], np.r_[0, np.cumsum(X.sum(1))])
    data[2][-1] += 2
    messy = sp.csr_array(data, shape=X.shape)
    messy.data[-1] = 0
    before = messy.copy()
    assert TABLE[name](items, messy) == pytest.approx(TABLE[name](items, X))
    assert messy.nnz == before.nnz


def test_popularity_covers_about_k_items_and_repeats_itself(X):
    model = PopularityRecommender().fit(X[:400])
    items, _ = model.recommend(sp.csr_array((50, 200)), k=10)
    assert coverage_at_k(items, 200) == 10 / 200
    assert gini_at_k(items, 200) == pytest.approx(1 - 9 / 199)
    seen, _ = model.recommend(X[400:], k=10)
    assert 10 / 200 <= coverage_at_k(seen, 200) < 0.5
    assert popularity_at_k(items, X[:400]) >= popularity_at_k(seen, X[:400])
    assert novelty_at_k(items, X[:400]) <= novelty_at_k(seen, X[:400])


def test_novelty_rises_and_popularity_falls_as_items_get_rarer():
    X = np.arange(64)[:, None] < 2 ** np.arange(7)  # item i has 2^i users
    items = np.arange(7)[:, None]
    assert novelty_at_k(items, X, per_user=True).tolist() == [6, 5, 4, 3, 2, 1, 0]
    assert (popularity_at_k(items, X, per_user=True) == 2.0 ** np.arange(-6, 1)).all()


def test_an_item_that_nobody_has_is_as_novel_as_one_that_a_single_user_has():
    X = np.array([[1, 1, 0]] * 3 + [[1, 0, 0]] * 5)
    X[1:, 1] = 0
    assert novelty_at_k([[1], [2]], X, per_user=True).tolist() == [3, 3]
    assert popularity_at_k([[2]], X) == 0


def test_items_of_one_direction_have_no_diversity_and_orthogonal_ones_all_of_it():
    vectors = np.array([[1.0, 2.0], [3.0, 6.0], [0.1, 0.2], [-2.0, 1.0], [0.0, 0.0]])
    values = diversity_at_k([[0, 1, 2], [0, 3, -1], [0, 4, -1], [0, -1, -1]], vectors, per_user=True)
    np.testing.assert_allclose(values, [0, 1, 1, np.nan], atol=1e-15)
    assert diversity_at_k([[0, 1]], [[1.0], [-1.0]]) == pytest.approx(2)


def test_diversity_is_the_same_in_blocks(problem, monkeypatch):
    items, X = problem
    whole = diversity_at_k(items, X.T, per_user=True)
    monkeypatch.setattr("skvae.metrics.FLOATS_PER_BLOCK", 100)
    for vectors in (X.T, sp.csr_array(X.T)):
        np.testing.assert_allclose(diversity_at_k(items, vectors, per_user=True), whole, rtol=1e-12)


def test_evaluate_takes_them_beside_the_ranking_metrics(X):
    def beyond(held_out, items, per_user, metric, reference):
        return metric(items, reference, k=10, per_user=per_user)

    train, test = X[:400], X[400:]
    references = {"novelty": train, "popularity": train, "diversity": train.T}
    metrics = {name: partial(beyond, metric=PER_USER[name], reference=references[name]) for name in PER_USER}
    evaluation = evaluate(PopularityRecommender().fit(train), test, {"ndcg": ndcg_at_k, **metrics})
    assert evaluation.n_users == 100
    assert 0 < evaluation.mean["popularity"] < 1
    assert all(error > 0 for error in evaluation.standard_error.values())


ERRORS = {  # the other sentences of `first_k` are in test_metrics.py
    "item too large": ([[12]], {}, "items must lie between -1 .none. and 11, the last item"),
    "too few ranks": ([[0]], {"k": 2}, "items holds 1 ranks per user, k=2 needs more"),
}


@every_metric
@pytest.mark.parametrize("case", ERRORS)
def test_a_bad_argument_raises_with_its_sentence(name, case, problem):
    items, kwargs, sentence = ERRORS[case]
    with pytest.raises(ValueError, match=sentence):
        TABLE[name](items, problem[1], **kwargs)


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_number_of_items_is_a_positive_integer(name):
    with pytest.raises(ValueError, match="n_items == 0, must be >= 1"):
        CATALOGUE[name]([[-1]], 0)
    with pytest.raises(TypeError, match="n_items must be an instance of int, not"):
        CATALOGUE[name]([[0]], np.ones((3, 3)))


@pytest.mark.parametrize("scale", [1e200, 1e-200, 1e-320])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_diversity_does_not_depend_on_the_lengths_of_vectors(scale, container):
    vectors = np.array([[1.0, 1, 0], [1, 0, 0], [0, 0, 0]])
    expected = diversity_at_k([[0, 1, 2]], vectors)
    assert diversity_at_k([[0, 1, 2]], container(scale * vectors)) == pytest.approx(expected)


def test_nobody_has_no_diversity():
    nobody = np.empty((0, 2), int)
    assert diversity_at_k(nobody, np.eye(3), per_user=True).shape == (0,)
    with pytest.warns(UndefinedMetricWarning):
        assert np.isnan(diversity_at_k(nobody, np.eye(3)))
