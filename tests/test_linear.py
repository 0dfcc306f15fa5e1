"""The popularity floor against a hand count, EASE against its formula in dense float64."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.model_selection import GridSearchCV

from skvae import EASERecommender, PopularityRecommender, UserKFold, ndcg_scorer
from skvae.datasets import make_interactions

X = np.array([[1, 0, 3, 0], [0, 0, 1, 0], [2, 5, 1, 0]])


def test_an_items_score_is_the_number_of_its_users():
    model = PopularityRecommender()
    assert model.fit(X) is model
    assert model.item_counts_.tolist() == [2, 1, 3, 0]
    assert model.item_counts_.dtype == np.float32
    scores = model.decision_function(X)
    np.testing.assert_array_equal(scores, np.tile(np.float32([2, 1, 3, 0]), (3, 1)), strict=True)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n_items=st.integers(1, 8), k=st.integers(1, 10))
def test_recommendations_are_the_most_counted_unseen_items_and_ties_the_lower_index(data, n_items, k):
    elements = st.sampled_from([0.0, 1.0, 2.0])
    fitted = data.draw(arrays(np.float64, st.tuples(st.integers(1, 6), st.just(n_items)), elements=elements))
    fitted[0, -1] = 1
    unseen_users = data.draw(arrays(np.float64, st.tuples(st.integers(1, 4), st.just(n_items)), elements=elements))
    counts = [sum(row[item] != 0 for row in fitted) for item in range(n_items)]
    model = PopularityRecommender().fit(fitted)
    items, scores = model.recommend(unseen_users, k=k)
    for user, row in enumerate(unseen_users):
        left = sorted((item for item in range(n_items) if row[item] == 0), key=lambda item: (-counts[item], item))[:k]
        assert items[user].tolist() == left + [-1] * (k - len(left))
        assert scores[user].tolist() == [counts[item] for item in left] + [-np.inf] * (k - len(left))
    np.testing.assert_array_equal(model.predict(unseen_users), items[:, 0])


def test_the_popular_items_beat_the_unpopular_ones():
    interactions = make_interactions(200, 50, random_state=0)
    model, worst = PopularityRecommender().fit(interactions[:150]), PopularityRecommender().fit(interactions[:150])
    worst.item_counts_ = -worst.item_counts_
    assert model.score(interactions[150:]) > worst.score(interactions[150:])


# -- EASE


def _dense_ease(X, l2_regularization):
    """Steck (2019), equation 8, in dense float64."""
    X = X.toarray().astype(np.float64)
    P = np.linalg.inv(X.T @ X + l2_regularization * np.eye(X.shape[1]))
    B = -P / np.diag(P)
    B[np.diag_indices_from(B)] = 0
    return B


@pytest.fixture(scope="module")
def wide():
    """300 users x 600 items, more items than a block of the fit."""
    return make_interactions(n_users=300, n_items=600, density=0.03, random_state=0)


@pytest.mark.parametrize("l2_regularization", [1, 20.0, 500])
def test_ease_is_the_closed_form(wide, l2_regularization):
    model = EASERecommender(l2_regularization=l2_regularization)
    assert model.fit(wide[:250]) is model
    expected = _dense_ease(wide[:250], l2_regularization)
    assert model.weights_.dtype == np.float32
    np.testing.assert_allclose(model.weights_, expected, rtol=1e-3, atol=1e-6)
    assert not model.weights_.diagonal().any()
    scores = model.decision_function(wide[250:])
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, wide[250:].toarray() @ expected, rtol=1e-3, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n_items=st.integers(1, 6), l2_regularization=st.floats(0.1, 100))
def test_no_weights_with_a_zero_diagonal_reconstruct_better(data, n_items, l2_regularization):
    elements = st.sampled_from([0.0, 1.0, 2.0, 5.0])
    ratings = data.draw(arrays(np.float64, st.tuples(st.integers(1, 8), st.just(n_items)), elements=elements))
    ratings[0, -1] = 1
    weights = EASERecommender(l2_regularization=l2_regularization).fit(ratings).weights_.astype(np.float64)
    # the gradient of the loss that Steck minimises is zero off the diagonal
    gradient = ratings.T @ (ratings @ weights - ratings) + l2_regularization * weights
    np.fill_diagonal(gradient, 0)
    assert abs(gradient).max() < 1e-4 * max(1, l2_regularization, (ratings**2).sum())


def test_reordering_the_items_reorders_the_weights(wide):
    order = np.random.default_rng(0).permutation(600)
    weights = EASERecommender().fit(wide).weights_
    np.testing.assert_allclose(EASERecommender().fit(wide[:, order]).weights_, weights[order][:, order], atol=1e-6)


def test_twice_the_values_with_four_times_the_regularization_and_each_user_twice_with_twice_are_the_same_model(wide):
    weights = EASERecommender(l2_regularization=50).fit(wide).weights_
    np.testing.assert_allclose(EASERecommender(l2_regularization=200).fit(2 * wide).weights_, weights, atol=1e-7)
    doubled = sp.vstack([wide, wide])
    np.testing.assert_allclose(EASERecommender(l2_regularization=100).fit(doubled).weights_, weights, atol=1e-7)


def test_items_that_nobody_has_together_have_no_weight_and_a_user_without_items_scores_0():
    checkerboard = np.kron(np.ones((5, 3)), np.eye(2))  # even users have the even items
    model = EASERecommender(l2_regularization=1).fit(checkerboard)
    assert not model.weights_[::2, 1::2].any()
    assert model.recommend([[1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0]], k=2)[0].tolist() == [[2, 4], [1, 5]]
    assert not model.decision_function(np.zeros((1, 6))).any()


def test_ease_is_tuned_by_a_search_and_beats_popularity(wide):
    grid = {"l2_regularization": [1e-3, 20.0]}
    search = GridSearchCV(EASERecommender(), grid, cv=UserKFold(2), scoring=ndcg_scorer).fit(wide[:250])
    assert search.best_params_ == {"l2_regularization": 20.0}
    assert search.score(wide[250:]) > PopularityRecommender().fit(wide[:250]).score(wide[250:])


@pytest.mark.parametrize("ratings", [1e8 * np.ones((3, 4)), 1e30 * np.ones((30, 200))])
def test_a_regularization_that_no_precision_resolves_raises_and_leaves_no_model(ratings):
    model = EASERecommender().fit(X).set_params(l2_regularization=1e-9)
    with pytest.raises(ValueError, match=r"l2_regularization=1e-09 is too small beside the values of X.*Raise it"):
        model.fit(ratings)
    assert not hasattr(model, "weights_")


@pytest.mark.parametrize(("n_users", "value"), [(50, 1e3), (1000, 1e3), (10_000, 1e4), (100_000, 1), (100_000, 100)])
@pytest.mark.parametrize("n_together", [3, 4])
def test_items_that_always_go_together_explain_each_other_alike_however_large_the_values(n_users, value, n_together):
    """X'X is then near singular: single precision gave .59, .47 and .44 where a third each is right."""
    random = np.random.default_rng(0)
    together = (random.random((n_users, 1)) < 0.5) * np.ones((1, n_together))
    ratings = sp.csr_array(value * np.hstack([together, random.random((n_users, 20)) < 0.2]), dtype=np.float32)
    weights = EASERecommender(l2_regularization=1).fit(ratings).weights_[:n_together, :n_together]
    expected = (1 - np.eye(n_together)) / (n_together - 1)
    np.testing.assert_allclose(weights, expected, atol=5e-3)


def test_more_items_than_fit_into_memory_raise_before_any_work():
    million = sp.csr_array(([1.0], ([0], [5])), shape=(2, 1_000_000))
    with pytest.raises(MemoryError, match=r"needs 3725.3 GiB for weights between 1000000 items, this machine has"):
        EASERecommender().fit(million)


def test_similar_items_are_those_with_the_highest_weights_from_the_item(X):
    model = EASERecommender().fit(X)
    similar, weights = model.similar_items([7, 0], k=500)
    for item, row, row_weights in zip([7, 0], similar, weights, strict=True):
        others = np.flatnonzero(np.arange(200) != item)
        expected = others[np.argsort(-model.weights_[item, others], kind="stable")]
        assert row[:199].tolist() == expected.tolist()
        assert (row[199:] == -1).all()
        np.testing.assert_array_equal(row_weights[:199], model.weights_[item, expected])
