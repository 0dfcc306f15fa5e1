"""The popularity floor against a hand count, linear models against their formulas in dense float64."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import widened
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import skvae
from skvae import (
    EASERecommender,
    LinearRecommender,
    PopularityRecommender,
    UserKFold,
    linear,
    linear_search,
    ndcg_scorer,
)
from skvae.core import gram
from skvae.core.processes import ALONE
from skvae.datasets import make_interactions
from skvae.hiding import hide_items
from skvae.scoring import score_users
from skvae.validation_users import validation_folds

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


def test_each_user_twice_with_twice_the_regularization_is_the_same_model(wide):
    weights = EASERecommender(l2_regularization=50).fit(wide).weights_
    doubled = sp.vstack([wide, wide])
    np.testing.assert_allclose(EASERecommender(l2_regularization=100).fit(doubled).weights_, weights, atol=1e-6)


def test_a_gram_matrix_that_float32_does_not_hold_is_not_kept():
    X = make_interactions(n_users=300, n_items=40, random_state=0) * np.float32(1e20)
    given = {"l2_regularization": 10, "dropout": 0.3, "user_exponent": 0, "item_exponent": 0}
    LinearRecommender(**given).fit(X)
    with pytest.raises(ValueError, match=r"keep_gram=True keeps X'X in float32.*scale X down"):
        LinearRecommender(**given, keep_gram=True).fit(X)


def test_items_that_nobody_has_together_have_no_weight_and_where_all_scores_are_0_popularity_ranks():
    checkerboard = np.kron(np.ones((5, 3)), np.eye(2))  # even users have the even items
    model = EASERecommender(l2_regularization=1).fit(checkerboard)
    assert not model.weights_[::2, 1::2].any()
    items, _ = model.recommend([[1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0]], k=2)
    assert np.sort(items).tolist() == [[2, 4], [1, 5]]  # whose scores are the same but for rounding
    # items 6 and 7 are had alone, if at all
    rows = [[0, 0, 0, 1, 0, 1, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0, 1, 0]]
    model.fit(np.vstack([np.pad(checkerboard, ((0, 0), (0, 2))), rows]))
    nothing = np.vstack([np.zeros(8), np.eye(8)[6:]])
    np.testing.assert_array_equal(model.decision_function(nothing), [[5, 5, 5, 6, 5, 7, 1, 0]] * 3)
    assert model.recommend(np.zeros((1, 8)), k=3)[0].tolist() == [[5, 3, 0]]


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


def test_values_whose_squares_float32_does_not_hold_give_the_weights_of_smaller_ones():
    ratings = np.array([[1, 0, 0], [0, 1, 1], [0, 1, 0]])
    expected = EASERecommender(l2_regularization=1e-3).fit(ratings).weights_
    weights = EASERecommender(l2_regularization=9e73).fit(3e38 * ratings).weights_
    np.testing.assert_allclose(weights, expected, rtol=1e-5)


def test_more_items_than_fit_into_memory_raise_before_any_work():
    million = sp.csr_array(([1.0], ([0], [5])), shape=(2, 1_000_000))
    with pytest.raises(
        MemoryError, match=r"x 1000000 items, of which 3725.3 GiB are for weights, and this machine or container has"
    ):
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


# -- the family around EASE


def _dense_linear(X, l2_regularization, dropout=0, user_exponent=0, item_exponent=0, centering=0, diagonal="zero"):
    """Each column of B as a regression of its own with a bounded entry, and the item weights, in dense float64."""
    X = X.toarray().astype(np.float64)
    X = X[(X != 0).any(axis=1)]  # a user without items adds nothing, and 0 to a negative power is nothing
    of_users, of_items = (X != 0).sum(axis=1), (X != 0).sum(axis=0)
    used, xi = np.flatnonzero(of_items), 0 if diagonal == "zero" else diagonal
    G = X.T @ np.diag(of_users ** -float(user_exponent)) @ X
    Lambda = l2_regularization + dropout / (1 - dropout) * (X**2).sum(axis=0)
    of_mean = np.where(of_items > 0, Lambda, 0)
    D = np.diag(Lambda) - centering * np.outer(of_mean, of_mean) / of_mean.sum()
    B = np.linalg.solve(G + D, G)
    for j in np.flatnonzero((np.diag(B) > xi) | (xi == 0)):
        others = np.arange(len(B)) != j
        right = G[others, j] - (G + D)[others, j] * xi
        B[others, j], B[j, j] = np.linalg.solve((G + D)[np.ix_(others, others)], right), xi
    W = np.zeros_like(B)
    for i in used:
        W[i, used] = (of_items[i] / of_items[used]) ** float(item_exponent) * B[i, used]
    return W


FIXED = {"l2_regularization": 5.0, "dropout": 0.0, "user_exponent": 0.0, "item_exponent": 0.0, "centering": 0.0}
FAMILY = {
    "EASE": {},
    "EDLAE": {"dropout": 0.33},
    "RLAE": {"diagonal": 0.1},
    "RDLAE": {"dropout": 0.5, "diagonal": 0.2},
    "DAN on users": {"user_exponent": 0.3},
    "DAN on items": {"item_exponent": 0.4},
    "EASE-DAN": {"user_exponent": 0.5, "item_exponent": 0.2},
    "EDLAE-DAN": {"dropout": 0.6, "user_exponent": 0.3, "item_exponent": 0.2},
    "RLAE-DAN": {"dropout": 0.4, "user_exponent": 0.2, "item_exponent": 0.2, "diagonal": 0.3},
    "centered": {"centering": 0.99},
    "centered EDLAE-DAN": {"dropout": 0.6, "user_exponent": 0.3, "item_exponent": 0.2, "centering": 0.5},
    "centered RLAE": {"centering": 0.9, "diagonal": 0.2},
    "centered ridge": {"centering": 0.9, "diagonal": 1.0},
    "ridge, whose diagonal is free": {"diagonal": 1.0, "user_exponent": 1, "item_exponent": 1},
}


@pytest.fixture(scope="module")
def rated(wide):
    """Values from 0.5 to 3; two users without items, three items without users."""
    rated = sp.lil_array(wide[:, :300])
    rated[[3, 100]] = 0
    rated[:, [0, 50, 299]] = 0
    rated = sp.csr_array(rated)
    rated.data = np.random.default_rng(0).uniform(0.5, 3, rated.nnz).astype(np.float32)
    return rated


@pytest.mark.parametrize("member", FAMILY)
def test_each_member_of_the_family_is_its_closed_form(member, rated):
    parameters = FIXED | FAMILY[member]
    model = LinearRecommender(**parameters).fit(rated)
    expected = _dense_linear(rated, **parameters)
    assert model.weights_.dtype == np.float32
    np.testing.assert_allclose(model.weights_, expected, rtol=1e-3, atol=2e-6)
    assert not model.weights_[[0, 50, 299]].any()
    assert not model.weights_[:, [0, 50, 299]].any()
    np.testing.assert_array_equal(model.item_counts_, (rated.toarray() != 0).sum(axis=0))
    scores = rated.toarray() @ expected
    scores[np.diff(rated.indptr) == 0] = model.item_counts_
    np.testing.assert_allclose(model.decision_function(rated), scores, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("member", FAMILY)
def test_twice_the_values_with_four_times_the_regularization_are_the_same_model(member, rated):
    parameters = FIXED | FAMILY[member]
    doubled = LinearRecommender(**parameters | {"l2_regularization": 20.0}).fit(2 * rated).weights_
    np.testing.assert_allclose(doubled, LinearRecommender(**parameters).fit(rated).weights_, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    n_items=st.integers(1, 6),
    l2_regularization=st.floats(0.1, 100),
    dropout=st.floats(0, 0.9),
    user_exponent=st.floats(0, 1),
    item_exponent=st.floats(0, 1),
    centering=st.floats(0, 0.99),
    diagonal=st.one_of(st.just("zero"), st.floats(0, 1)),
)
def test_any_combination_is_its_closed_form_on_any_small_matrix(data, n_items, **parameters):
    elements = st.sampled_from([0.0, 1.0, 2.0, 5.0])
    ratings = data.draw(arrays(np.float64, st.tuples(st.integers(1, 8), st.just(n_items)), elements=elements))
    ratings[0, -1] = 1
    weights = LinearRecommender(**parameters).fit(ratings).weights_
    np.testing.assert_allclose(weights, _dense_linear(sp.csr_array(ratings), **parameters), rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize(("l2_regularization", "diagonal"), [(10, "zero"), (1e4, "zero"), (1e9, "zero"), (1e4, 0.2)])
def test_an_item_of_small_values_and_a_large_lambda_are_centered_too(l2_regularization, diagonal):
    X = (np.random.default_rng(0).random((600, 40)) < np.linspace(0.3, 0.02, 40)).astype(np.float32)
    X[:, 0] *= 1e-3
    parameters = FIXED | {"l2_regularization": l2_regularization, "centering": 0.99, "diagonal": diagonal}
    weights, expected = LinearRecommender(**parameters).fit(X).weights_, _dense_linear(sp.csr_array(X), **parameters)
    np.testing.assert_allclose(weights, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("diagonal", ["zero", 0.3, 1.0])
def test_a_diagonal_that_would_be_negative_is_what_minimises(diagonal):
    X = sp.csr_array([[0.686, 0, 0, 185.8], [0, 0.77, 1.23, 110.8]])
    parameters = FIXED | {"l2_regularization": 0.01255, "centering": 0.99, "diagonal": diagonal}
    weights = LinearRecommender(**parameters).fit(X).weights_
    assert weights[0, 0] == 0 if diagonal == "zero" else weights[0, 0] < -0.05
    np.testing.assert_allclose(weights, _dense_linear(X, **parameters), rtol=1e-3, atol=2e-4)


def test_without_dropout_and_exponents_it_is_ease_to_the_bit(wide):
    ease = EASERecommender(l2_regularization=20).fit(wide).weights_
    for diagonal in ("zero", 0, 0.0):
        model = LinearRecommender(**FIXED | {"l2_regularization": 20}, diagonal=diagonal).fit(wide)
        np.testing.assert_array_equal(model.weights_, ease)


@pytest.mark.parametrize("bound", [0.3, 0.5])
def test_a_bounded_diagonal_reaches_its_bound_and_stays_below_where_ridge_does(bound, rated):
    ridge = LinearRecommender(**FIXED, diagonal=1).fit(rated).weights_.diagonal()
    diagonal = LinearRecommender(**FIXED, diagonal=bound).fit(rated).weights_.diagonal()
    assert 10 < (ridge > bound).sum() < 290
    np.testing.assert_allclose(diagonal, np.minimum(ridge, bound), rtol=1e-3, atol=1e-6)
    assert (diagonal <= np.float32(bound)).all()


def test_with_all_users_alike_and_ones_the_user_exponent_is_a_stronger_regularization():
    X = np.kron(np.eye(3), np.ones((5, 4)))  # each user has four items
    weighted = LinearRecommender(**FIXED | {"user_exponent": 0.5}).fit(X).weights_
    plain = LinearRecommender(**FIXED | {"l2_regularization": 10.0}).fit(X).weights_
    np.testing.assert_allclose(weighted, plain, atol=1e-6)


@pytest.mark.parametrize("member", FAMILY)
def test_contributions_sum_to_the_score_and_are_linear_in_the_values(member, rated):
    model = LinearRecommender(**FIXED | FAMILY[member]).fit(rated)
    items = np.argsort(model.decision_function(rated))[:, [-1, -2, 5]]
    own_items, contributions = model.explain(rated, items, k=300)
    scores = np.take_along_axis(model.decision_function(rated), items, axis=1)
    is_ranked_by_popularity = ~(rated @ model.weights_).any(axis=1)
    assert 0 < is_ranked_by_popularity.sum() < 20
    scores[is_ranked_by_popularity] = 0
    np.testing.assert_allclose(contributions.sum(axis=2), scores, atol=1e-5)
    assert rated[np.nonzero(own_items >= 0)[0], own_items[own_items >= 0]].all()
    again, twice = model.explain(2 * rated, items, k=300)
    np.testing.assert_array_equal(again, own_items)
    np.testing.assert_array_equal(twice, 2 * contributions)


def test_contributions_are_what_leaving_out_gives(rated):
    class LeftOut(LinearRecommender):
        _contributions = None

    users, items = rated[:20], np.tile(np.arange(40), (20, 1))
    exact, left_out = (kind(**FIXED | FAMILY["RLAE-DAN"]).fit(rated) for kind in (LinearRecommender, LeftOut))
    (_, expected), (_, contributions) = (model.explain(users, items, k=300) for model in (left_out, exact))
    np.testing.assert_allclose(np.sort(contributions), np.sort(expected), rtol=1e-3, atol=1e-5)


def test_one_user_and_one_item_have_weights_without_nan():
    for ratings in ([[1.0, 0, 1]], [[1.0]], [[1.0], [0.0]]):
        for diagonal in ("zero", 0.1):
            weights = LinearRecommender(diagonal=diagonal).fit(ratings).weights_
            assert np.isfinite(weights).all()


# -- users added later


@pytest.mark.parametrize("member", FAMILY)
def test_partial_fit_is_a_fit_on_all_users(member, rated):
    model = LinearRecommender(**FIXED | FAMILY[member], keep_gram=True)
    whole = clone(model).fit(rated)
    parts = clone(model).partial_fit(rated[:100]).partial_fit(rated[100:101]).partial_fit(rated[101:])
    np.testing.assert_allclose(parts.weights_, whole.weights_, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(parts.gram_, whole.gram_, rtol=1e-5)
    np.testing.assert_array_equal(parts.item_counts_, whole.item_counts_)
    np.testing.assert_allclose(whole.weights_, clone(model).set_params(keep_gram=False).fit(rated).weights_, atol=1e-6)


@pytest.mark.parametrize("member", FAMILY)
def test_users_with_added_items_are_added_as_if_the_columns_had_always_been_there(member, rated):
    model = LinearRecommender(**FIXED | FAMILY[member], keep_gram=True)
    early = sp.csr_array(rated[:150, :280])
    parts = clone(model).fit(early).add_items(15).add_items(5).partial_fit(rated[150:])
    whole = clone(model).fit(sp.vstack([widened(early, 20), rated[150:]], format="csr"))
    np.testing.assert_allclose(parts.weights_, whole.weights_, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(parts.item_counts_, whole.item_counts_)
    np.testing.assert_allclose(parts.item_squares_, whole.item_squares_)


def test_adding_items_copies_no_weights(wide):
    model = EASERecommender().fit(wide)
    weights = model.weights_
    assert model.add_items(3).weights_ is weights


def test_the_kept_matrix_is_the_weighted_gram_matrix(rated):
    model = LinearRecommender(**FIXED | {"user_exponent": 0.3}, keep_gram=True).fit(rated)
    X = rated.toarray().astype(np.float64)
    of_users = np.maximum(1, (X != 0).sum(axis=1)) ** -0.3
    np.testing.assert_allclose(model.gram_, X.T @ (of_users[:, None] * X), rtol=1e-5)


def test_partial_fit_of_a_model_that_kept_no_gram_matrix_says_so(wide):
    model = LinearRecommender(**FIXED).fit(wide)
    assert not hasattr(model, "gram_")
    with pytest.raises(ValueError, match=r"This LinearRecommender did not keep the Gram matrix.*fit it with keep_gram"):
        model.set_params(keep_gram=True).partial_fit(wide)
    assert not hasattr(
        LinearRecommender(**FIXED, keep_gram=True).fit(wide).set_params(keep_gram=False).fit(wide), "gram_"
    )


def test_a_partial_fit_that_fails_leaves_the_model_as_it_was():
    model = LinearRecommender(**FIXED | {"l2_regularization": 1e-3}, keep_gram=True).fit(X)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="too small beside the values of X"):
        model.partial_fit(np.full((3, 4), 1e12))
    assert all(vars(model)[name] is value for name, value in before.items())


@pytest.mark.filterwarnings("ignore:partial_fit adds users")
def test_partial_fit_keeps_what_fit_chose(many):
    model = LinearRecommender(keep_gram=True).fit(many)
    chosen = _setting(model)
    model.partial_fit(many[:50])
    assert _setting(model) == chosen
    expected = LinearRecommender(**chosen).fit(sp.vstack([many, many[:50]], format="csr"))
    np.testing.assert_allclose(model.weights_, expected.weights_, rtol=1e-4, atol=1e-6)


# -- what is "auto"


@pytest.fixture(scope="module")
def many():
    """2100 users, of whom 400 or more can be held out."""
    return make_interactions(n_users=2100, n_items=80, density=0.15, random_state=0)


def _setting(model):
    return {name: getattr(model, f"{name}_") for name in FIXED}


@pytest.fixture
def inverses(monkeypatch):
    """A list that grows by one with each inverse that a fit makes."""
    made, solve = [], linear.item_regression
    monkeypatch.setattr(linear, "item_regression", lambda *args: made.append(1) or solve(*args))
    return made


def test_auto_is_chosen_in_eight_inverses_and_the_same_each_time(many, inverses):
    model = LinearRecommender().fit(many)
    assert len(inverses) == 8  # the last on all users
    again = LinearRecommender().fit(many)
    assert _setting(model) == _setting(again)
    np.testing.assert_array_equal(model.weights_, again.weights_)
    np.testing.assert_array_equal(LinearRecommender(**_setting(model)).fit(many).weights_, model.weights_)
    assert len(inverses) == 17
    assert all(type(value) is float for value in [*_setting(model).values(), model.best_validation_score_])


@pytest.mark.parametrize("centering", [0, 0.99])
def test_the_score_of_what_was_chosen_is_that_of_a_fit_without_the_validation_users(many, centering):
    model = LinearRecommender(l2_regularization=30, dropout=0.2, centering=centering).fit(many)
    [(trained, validated)] = validation_folds(many)
    scores = {}
    for user_exponent in (0.0, 0.3):
        for item_exponent in (0.0, 0.1, 0.2, 0.3):
            one = clone(model).set_params(user_exponent=user_exponent, item_exponent=item_exponent)
            ndcg = score_users(one.fit(many[trained]), *hide_items(many[validated]), "ndcg@100")["ndcg@100"]
            scores[user_exponent, item_exponent] = np.nanmean(ndcg)
    assert model.best_validation_score_ == pytest.approx(max(scores.values()), abs=1e-4)
    assert scores[model.user_exponent_, model.item_exponent_] == pytest.approx(max(scores.values()), abs=1e-4)


def test_weights_of_users_of_few_items_are_centered_and_better_for_it():
    items = make_interactions(n_users=1400, n_items=300, random_state=0)
    X = items.copy()
    X.data *= np.random.default_rng(0).random(X.nnz) < 0.08
    X.eliminate_zeros()
    model, uncentered = LinearRecommender().fit(X[:600]), LinearRecommender(centering=0).fit(X[:600])
    assert model.centering_ == 0.99
    assert model.best_validation_score_ > uncentered.best_validation_score_
    hiding = {"min_interactions": 2, "held_out_fraction": 0.5}
    gain = skvae.evaluate(model, X[600:], **hiding) - skvae.evaluate(uncentered, X[600:], **hiding)
    assert gain.mean["ndcg@100"] > 2 * gain.standard_error["ndcg@100"]
    # that of a member of the family who is named is not chosen
    for number in ({"l2_regularization": 5}, {"dropout": 0}, {"diagonal": 0.3}):
        assert LinearRecommender(**number).fit(X[:600]).centering_ == 0
    assert LinearRecommender(l2_regularization=5, centering=0.5).fit(X[:600]).centering_ == 0.5
    # and of users who are not validated by their mean
    assert [LinearRecommender().fit(users[:40]).centering_ for users in (X, items)] == [0.99, 0]


def test_what_is_given_is_kept_and_with_all_given_nobody_is_held_out(many):
    model = LinearRecommender(dropout=0.1, item_exponent=0).fit(many)
    assert (model.dropout_, model.item_exponent_) == (0.1, 0)
    assert model.best_validation_score_ > 0
    assert LinearRecommender(**FIXED).fit(many).best_validation_score_ is None


def test_of_few_users_nobody_is_held_out_and_the_setting_is_the_documented_one(wide):
    wide = wide[:90]
    model = LinearRecommender().fit((wide > 0).astype(np.float32))
    assert model.best_validation_score_ is None
    counts = np.diff(wide.indptr)
    unit = (counts * np.maximum(1, counts) ** -0.3).sum() / counts.sum()
    assert _setting(model) == {
        "l2_regularization": pytest.approx(50 * unit),
        "dropout": 0.33,
        "user_exponent": 0.3,
        "item_exponent": 0.1,
        "centering": 0,
    }


def test_few_users_are_validated_in_folds():
    X = make_interactions(n_users=120, n_items=40, density=0.2, random_state=0)
    model = LinearRecommender().fit(X)

    def score(setting):
        of_folds = []
        for trained, validated in validation_folds(X):
            users = X[trained]
            unit = np.mean(np.repeat(np.diff(users.indptr) ** -setting["user_exponent"], np.diff(users.indptr)))
            numbers = setting | {"l2_regularization": setting["l2_regularization"] * unit}
            fold_in, held_out = hide_items(X[validated])
            fitted = LinearRecommender(**numbers).fit(users)
            of_folds.append(skvae.evaluate(fitted, fold_in, y=held_out).mean["ndcg@100"])
        return np.mean(of_folds)

    counts = np.diff(X.indptr)
    unit = np.mean(np.repeat(counts**-model.user_exponent_, counts))
    chosen = _setting(model) | {"l2_regularization": model.l2_regularization_ / unit}
    assert model.best_validation_score_ == pytest.approx(score(chosen), abs=1e-6)
    for l2 in (5, 15, 50, 150, 500, 1500, 5000):
        assert score(chosen | {"l2_regularization": float(l2)}) <= model.best_validation_score_ + 1e-6
    validated = np.concatenate([users for _, users in validation_folds(X)])
    assert sorted(validated) == np.flatnonzero(counts >= 5).tolist()
    assert LinearRecommender().fit(X[:90]).best_validation_score_ is None
    for n_times, n_folds in ((5, 5), (17, 1)):
        assert len(validation_folds(sp.vstack([X] * n_times, format="csr"))) == n_folds
    lonely = sp.vstack([*[X] * 6, *[sp.eye_array(40)] * 125], format="csr")
    [(_, validated)] = validation_folds(lonely)
    assert 100 <= len(validated) < 160


@pytest.mark.parametrize("numbers", [{}, {"l2_regularization": 5}, {"dropout": 0.3, "user_exponent": 0.1}])
def test_of_few_users_as_many_inverses_are_told_as_made(numbers, inverses, monkeypatch):
    X = make_interactions(n_users=150, n_items=40, density=0.2, random_state=0)
    monkeypatch.setattr(linear_search, "MOST_FURTHER", 0)
    LinearRecommender(**numbers).fit(X)
    told = skvae.estimate_cost(LinearRecommender(**numbers), *X.shape, X.nnz).seconds
    assert list(told)[-1] == f"{len(inverses)} inverses"


@pytest.mark.parametrize(
    "numbers",
    [{}, {"user_exponent": 0.2}, {"l2_regularization": 5}, {"l2_regularization": 5, "dropout": 0.3}],
)
@pytest.mark.parametrize("most_kept", [0, 10**6])
def test_a_gram_matrix_is_added_up_once_where_it_is_kept_and_gives_the_same_weights(numbers, most_kept, monkeypatch):
    monkeypatch.setattr(linear_search, "MOST_FURTHER", 0)
    X = make_interactions(n_users=6000, n_items=40, density=0.2, random_state=0)
    expected = LinearRecommender(**numbers).fit(X)
    added_up, add_up = [], gram.Gram._added_up
    monkeypatch.setattr(gram.Gram, "_added_up", lambda *args: added_up.append(1) or add_up(*args))
    for module in (gram, linear_search):
        monkeypatch.setattr(module, "MOST_ITEMS_KEPT", most_kept)
    model = LinearRecommender(**numbers).fit(X)
    assert np.array_equal(model.weights_, expected.weights_)
    given = linear_search.given_by(model._checked_parameters())
    assert len(added_up) == linear_search.n_grams(given, *X.shape)
    is_kept = most_kept and len(numbers) < 2  # else each exponent is tried once
    assert (len(added_up) < linear_search.n_inverses(given, len(X.indptr) - 1)) == is_kept


def test_data_whose_items_follow_from_each_other_get_no_dropout_and_a_small_lambda():
    words = np.random.default_rng(0).integers(0, 12, (2400, 6))  # as words and their pairs of letters
    X = sp.lil_array((2400, 144))
    for user, letters in enumerate(words):
        X[user, letters[:-1] * 12 + letters[1:]] = 1
    X = sp.csr_array(X)
    model, best = LinearRecommender().fit(X[:2100]), EASERecommender(l2_regularization=1).fit(X[:2100])
    assert (model.dropout_, model.l2_regularization_ < 2) == (0, True)
    one, other = (skvae.evaluate(each, X[2100:])["ndcg@100"] for each in (model, best))
    assert one > other - 0.005
    # a number that is given leaves out trials: no more inverses are made than were planned
    for name, value in {"user_exponent": 0.3, "dropout": 0.33, "item_exponent": 0}.items():
        assert LinearRecommender(**{name: value}).fit(X[:2100]).l2_regularization_ < 20
        LinearRecommender(**{name: value}).fit(X[:150])  # in folds


@pytest.mark.parametrize(("best", "tried"), [(5, [5, 500]), (500, [5, 1500]), (1500, [5, 5000]), (9000, [5, 5000])])
def test_larger_lambda_are_tried_while_the_largest_is_best(many, best, tried, monkeypatch):
    settings = []

    def scores(X, pair, setting, *_):
        settings.append(setting)
        return {setting: -abs(setting.l2_regularization - best)}

    monkeypatch.setattr(linear_search, "_validation_scores", scores)
    given = linear_search.Setting("auto", "auto", 0.0, "auto", 0.0, 0.0)
    setting, _ = linear_search.chosen(many, given, None, ALONE)
    of_first = [setting.l2_regularization for setting in settings if setting.dropout == 0.33]
    assert [min(of_first), max(of_first)] == tried
    assert setting.l2_regularization == min(best, 5000)  # many holds ones, whose unit is 1
    assert linear_search.most_inverses(given, many) >= len(settings) + 1


def _others():
    """Data of another kind than those that the steps of the search were set on."""
    draws = np.random.default_rng(0)
    sparse = draws.random((600, 60)) < 0.15
    sparse[:, :5] |= draws.random((600, 5)) < 0.4
    yield "one item dominates", np.hstack([np.ones((600, 1)), sparse])
    yield "one item dominates by its values", np.hstack([np.full((600, 1), 1e6), sparse])
    yield "one user dominates by values", np.vstack([1e6 * np.ones((1, 60)), sparse])
    yield "items that are the same", np.repeat(sparse, 3, axis=1)
    yield "users that are the same", np.tile(sparse[:6], (100, 1))
    yield "few users, many items", draws.random((12, 900)) < 0.05
    yield "values from 1e-6 to 1e6", sparse * 10 ** draws.uniform(-6, 6, sparse.shape)
    yield "values whose squares float32 does not hold", 1e30 * sparse
    yield "values near the largest float32", 1e38 * sparse
    yield "values whose squares float32 makes 0", 1e-30 * sparse
    yield "everyone has everything", np.ones((600, 30))
    yield "one item each", np.eye(60)[draws.integers(60, size=600)]
    yield "most items have nobody", np.hstack([sparse, np.zeros((600, 300))])


OTHERS = dict(_others())


@pytest.mark.filterwarnings(
    "ignore:A few large values of each user", "ignore:Only 0 of the 600 users", "ignore:Most users of X have a value"
)
@pytest.mark.parametrize("kind", OTHERS)
def test_auto_gives_finite_weights_on_data_of_every_kind(kind):
    X = sp.csr_array(OTHERS[kind].astype(np.float32))
    model = LinearRecommender().fit(X)
    assert np.isfinite(model.weights_).all()
    assert np.isfinite(model.decision_function(sp.csr_array((X != 0).astype(np.float32)))).all()
    assert all(np.isfinite(value) for value in _setting(model).values())
    assert model.best_validation_score_ is None or 0 <= model.best_validation_score_ <= 1


@pytest.mark.parametrize(("n_users", "n_items"), [(2000, 30), (300, 1000)])
@pytest.mark.parametrize(
    "numbers", [{}, {"centering": 0.99, "l2_regularization": 5}, {"centering": 0}, {"keep_gram": True}]
)
def test_of_users_of_one_item_each_the_popular_items_are_recommended(numbers, n_users, n_items):
    items = np.random.default_rng(0).zipf(1.7, n_users) % n_items
    X = sp.csr_array((np.ones(n_users, np.float32), (np.arange(n_users), items)), shape=(n_users, n_items))
    with pytest.warns(UserWarning, match=f"Only 0 of the {n_users} users"):
        model = LinearRecommender(**numbers).fit(X)
    assert not model.weights_.any()
    expected, _ = skvae.PopularityRecommender().fit(X).recommend(X[:50])
    np.testing.assert_array_equal(model.recommend(X[:50])[0], expected)


def test_a_lambda_without_an_inverse_is_left_out_of_the_search(many, monkeypatch):
    solve, asked = linear._weights, []

    def too_small(gram, squares, setting, **options):
        asked.append(setting)
        return None if len(asked) < 3 else solve(gram, squares, setting, **options)

    monkeypatch.setattr(linear, "_weights", too_small)
    model = LinearRecommender(user_exponent=0).fit(many)
    assert model.l2_regularization_ not in [setting.l2_regularization for setting in asked[:2]]
    monkeypatch.setattr(linear, "_weights", lambda *_, **__: None)
    with pytest.raises(ValueError, match=r"l2_regularization=.* is too small beside the values of X.*Raise it"):
        LinearRecommender().fit(many)


@pytest.mark.parametrize("scale", [1e-3, 1000])
def test_auto_scales_with_the_values_of_X(many, scale):
    rated = many.copy()
    rated.data = np.random.default_rng(0).uniform(0.5, 3, many.nnz).astype(np.float32)
    model, scaled = (LinearRecommender().fit(values) for values in (rated, np.float32(scale) * rated))
    expected = _setting(model) | {"l2_regularization": scale**2 * model.l2_regularization_}
    assert _setting(scaled) == pytest.approx(expected)
    np.testing.assert_allclose(scaled.weights_, model.weights_, atol=1e-5)


def test_more_items_than_fit_into_memory_with_the_gram_matrix_raise_before_any_work():
    million = sp.csr_array(([1.0], ([0], [5])), shape=(2, 1_000_000))
    with pytest.raises(MemoryError, match=r"LinearRecommender needs 37\d\d.\d GiB for a fit on 2 users x"):
        LinearRecommender().fit(million)
    with pytest.raises(MemoryError, match=r"LinearRecommender needs 74\d\d.\d GiB"):
        LinearRecommender(keep_gram=True).fit(million)


@pytest.mark.parametrize(("keep_gram", "n_matrices"), [(False, 1), (True, 2)])
def test_a_fit_and_a_refit_hold_one_matrix_and_the_one_that_is_kept(keep_gram, n_matrices):
    data = make_interactions(n_users=600, n_items=1500, density=0.01, random_state=0)
    model = LinearRecommender(keep_gram=keep_gram)
    tracemalloc.start()
    try:
        model.fit(data).fit(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n_matrices <= peak / model.weights_.nbytes < n_matrices + 0.5


@pytest.mark.parametrize("model", [EASERecommender(), LinearRecommender()])
def test_values_with_which_scores_leave_float32_are_warned_of(model):
    X = make_interactions(n_users=300, n_items=30, random_state=0).astype(np.float64)
    scale = 1e-16 if isinstance(model, EASERecommender) else 1e-36
    with pytest.warns(UserWarning, match="scores are below what float32 holds"):
        model.fit(X * scale)
    model.fit(X * 1e-6)


def test_users_who_are_added_again_are_warned_of():
    X = make_interactions(n_users=60, n_items=20, random_state=0)
    model = LinearRecommender(l2_regularization=5, keep_gram=True).fit(X[:40])
    model.partial_fit(X[40:])
    with pytest.warns(
        UserWarning, match=r"has most users of X already, \d+ of \d+: they count twice now. Pass new users alone"
    ):
        model.partial_fit(X[20:])
    plain = LinearRecommender(l2_regularization=5, keep_gram=True, store_user_hashes=False).fit(X[:40])
    plain.partial_fit(X[:40])  # of whom it does not know


def test_users_are_added_by_the_bound_of_the_fit():
    X = make_interactions(n_users=40, n_items=20, random_state=0)
    model = LinearRecommender(**FIXED, diagonal=0.2, keep_gram=True).fit(X[:25])
    assert model.diagonal_ == 0.2
    model.set_params(diagonal=0.5, l2_regularization=1000).partial_fit(X[25:])
    np.testing.assert_allclose(model.weights_, LinearRecommender(**FIXED, diagonal=0.2).fit(X).weights_, atol=1e-5)
    del model.diagonal_  # as in a file of before
    model.partial_fit(X[:1])
    assert model.weights_.diagonal().max() > 0.2


def test_a_first_partial_fit_looks_at_y_as_fit_does():
    X = make_interactions(n_users=40, n_items=20, random_state=0)
    with pytest.raises(ValueError, match="take validation users by name, as X_val"):
        LinearRecommender().partial_fit(X, X[:5])
