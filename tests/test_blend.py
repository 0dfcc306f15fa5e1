"""Blends against z-scores, weights and paired standard errors written out by hand."""

import contextlib
import copy
import inspect
import io
import itertools
import warnings
import weakref
from functools import partial
from unittest import SkipTest

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from conftest import Scores, first_half, same_weights, widened
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import zscore
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, FunctionTransformer, MaxAbsScaler
from sklearn.utils import estimator_html_repr, get_tags
from sklearn.utils.estimator_checks import estimator_checks_generator

from skvae import (
    BlendRecommender,
    EASERecommender,
    LinearRecommender,
    MultDAERecommender,
    MultVAERecommender,
    PopularityRecommender,
    UserKFold,
    UserShuffleSplit,
    blend_weights,
    evaluate,
    fold_in_split,
    load,
    ndcg_scorer,
    ranking,
    recommend,
    save,
)
from skvae import blend as blend_module
from skvae.datasets import make_interactions
from skvae.export import to_onnx
from skvae.hiding import hide_for_validation
from skvae.ranking import users_per_block
from skvae.recommender import as_it_is
from skvae.validation_users import hold_out_users

CV = UserKFold(2)
DAE = MultDAERecommender(8, max_iter=5, learning_rate=1e-2, random_state=0)


@pytest.fixture(scope="module")
def many():
    """900 users x 100 items: enough users for weights to be learned."""
    return make_interactions(n_users=900, n_items=100, density=0.1, random_state=0)


@pytest.fixture(scope="module")
def members(many):
    ease, popularity = EASERecommender(l2_regularization=20), PopularityRecommender()
    return {"ease": ease.fit(many[:600]), "popularity": popularity.fit(many[:600]), "dae": clone(DAE).fit(many[:600])}


def _blend(members, names="ease popularity", **parameters):
    return BlendRecommender([(name, members[name]) for name in names.split()], prefit=True, **parameters)


def _of_functions(X, *functions, **parameters):
    pairs = [(f"m{i}", Scores(function)) for i, function in enumerate(functions)]
    return BlendRecommender(pairs, prefit=True, **parameters).fit(X)


class Foreign:
    """A model of somebody else: nothing but fit and decision_function."""

    def fit(self, X):
        self.together = (X.T @ X).toarray()

    def decision_function(self, X):
        return np.asarray(X @ self.together, np.float64)


def _random_scores(X):
    """Random by the user's own items, so that a user's scores do not depend on who else is in X."""
    return np.array([np.random.default_rng(np.flatnonzero(row)).normal(size=len(row)) for row in X])


# -- members that are no estimators of scikit-learn


@pytest.mark.parametrize("prefit", [False, True])
def test_a_member_needs_nothing_but_fit_and_decision_function(many, prefit):
    foreign, popularity = Foreign(), PopularityRecommender()
    if prefit:
        foreign.fit(many[:600])
        popularity.fit(many[:600])
    blend = BlendRecommender([("foreign", foreign), ("popularity", popularity)], prefit=prefit)
    answers = blend.fit(many[600:]).decision_function(many)
    together = many[:600].T @ many[:600] if prefit else many[600:].T @ many[600:]
    of_estimators = [("foreign", Scores(lambda X: X @ together.toarray())), ("popularity", popularity)]
    as_estimators = BlendRecommender(of_estimators, prefit=prefit).fit(many[600:])
    np.testing.assert_allclose(answers, as_estimators.decision_function(many), rtol=1e-5, atol=1e-5)
    assert blend.estimators_[0] is foreign if prefit else not hasattr(foreign, "together")
    assert clone(blend).set_params(prefit=False, popularity="drop").fit(many[600:]).recommend(many, 3)[0].shape == (
        900,
        3,
    )
    assert "foreign" in blend._repr_html_()


def test_a_member_without_fit_is_to_be_fitted_before(many):
    class Scored:
        def decision_function(self, X):
            return X.toarray()

    with pytest.raises(
        TypeError, match=r"'scored', .* has no fit: fit it in its own way, and pass it with prefit=True"
    ):
        BlendRecommender([("scored", Scored())]).fit(many)


# -- scores


@pytest.mark.parametrize("weights", [[1, 1], [0.2, 5.0]])
def test_a_score_is_the_weighted_sum_of_z_scores_over_the_users_unseen_items(members, many, weights):
    users = many[600:650]
    expected = np.zeros(users.shape)
    for name, weight in zip(("ease", "dae"), weights, strict=True):
        scores = members[name].decision_function(users).astype(np.float64)
        for user in range(len(expected)):
            unseen = users[user : user + 1].toarray()[0] == 0
            mean, deviation = scores[user, unseen].mean(), scores[user, unseen].std()
            np.testing.assert_allclose((scores[user, unseen] - mean) / deviation, zscore(scores[user, unseen]))
            expected[user] += weight / sum(weights) * (scores[user] - mean) / deviation
    scores = _blend(members, "ease dae", weights=weights).fit(many[600:]).decision_function(users)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("weights", "name"), [([1, 0], "ease"), ([0, 3], "dae")])
def test_with_all_weight_on_one_member_the_blend_ranks_as_that_member(members, many, weights, name):
    blend = _blend(members, "ease dae", weights=weights).fit(many)
    assert np.array_equal(blend.recommend(many, k=20)[0], members[name].recommend(many, k=20)[0])
    assert blend.score(many) == pytest.approx(members[name].score(many), abs=1e-6)


def test_only_the_ratios_of_weights_matter(members, many):
    small, large = (_blend(members, weights=weights).fit(many) for weights in ([0.25, 0.75], [100, 300]))
    assert small.weights_.tolist() == large.weights_.tolist() == [0.25, 0.75]
    assert np.array_equal(small.decision_function(many), large.decision_function(many))
    assert _blend(members, weights=[1e308, 1e308]).fit(many).weights_.tolist() == [0.5, 0.5]


@settings(max_examples=25)
@given(log_scale=st.floats(-6, 6), shift=st.floats(-10, 10))
def test_a_positive_affine_map_of_a_members_scores_by_user_changes_nothing(members, many, log_scale, shift):
    users = many[600:610]

    def mapped(X):
        scale = np.exp(log_scale) * (1 + X.sum(axis=1, keepdims=True) % 7)  # another one for each user
        return scale * (_random_scores(X) + shift)

    other = members["ease"].decision_function
    expected, scores = (
        _of_functions(users, function, other, weights=[1, 2]).decision_function(users)
        for function in (_random_scores, mapped)
    )
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_what_a_member_makes_of_seen_items_does_not_change_the_others(many):
    high, low = (
        _of_functions(many, lambda X, c=c: _random_scores(X) + c * (X > 0), lambda X: -_random_scores(X[:, ::-1]))
        for c in (1e4, -3)
    )
    assert np.array_equal(high.recommend(many, k=50)[0], low.recommend(many, k=50)[0])
    unseen = many[:5].toarray() == 0
    np.testing.assert_allclose(
        high.decision_function(many[:5])[unseen], low.decision_function(many[:5])[unseen], atol=1e-5
    )


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e6])
def test_equal_scores_become_0_and_leave_the_ranking_to_the_others(many, constant):
    blend = _of_functions(many, lambda X: np.full(X.shape, constant), _random_scores, weights=[5, 1])
    alone = _of_functions(many, _random_scores, weights=[1])
    np.testing.assert_allclose(6 * blend.decision_function(many), alone.decision_function(many), rtol=1e-5)
    assert not _of_functions(many, lambda X: np.full(X.shape, constant), weights=[1]).decision_function(many).any()


def test_an_item_that_a_member_forbids_is_not_recommended_unless_the_member_has_no_weight(many):
    def forbid_even(X):
        return np.where(np.arange(X.shape[1]) % 2, _random_scores(X), -np.inf)

    items, _ = _of_functions(many, forbid_even, _random_scores, weights=[1, 2]).recommend(many, k=100)
    assert (items[items >= 0] % 2 == 1).all()
    without = _of_functions(many, forbid_even, _random_scores, weights=[0, 2])
    assert np.array_equal(without.recommend(many)[0], _of_functions(many, _random_scores).recommend(many)[0])
    nothing = _of_functions(many, lambda X: np.full(X.shape, -np.inf), _random_scores, weights=[1, 1])
    assert (nothing.predict(many) == -1).all()


@pytest.mark.parametrize("far", [1e30, -1e30, -3.4e38])
@pytest.mark.parametrize("scale", [1, 1e-12])
def test_a_finite_score_of_an_item_that_is_seen_stays_finite_however_far_it_is(many, scale, far):
    def score(X):
        return np.where(X != 0, far, scale * _random_scores(X)).astype(np.float32)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        blend = _of_functions(many, score, score, weights=[1, 1])
        scores, items = blend.decision_function(many), blend.recommend(many, k=many.shape[1], exclude_seen=False)[0]
    assert np.isfinite(scores).all()
    assert (items >= 0).all()
    assert (np.sign(scores[many.nonzero()]) == np.sign(far)).all()


def test_scores_and_learned_weights_do_not_depend_on_the_size_of_blocks(members, many, monkeypatch):
    whole = _blend(members).fit(many[600:])
    scores = whole.decision_function(many)
    monkeypatch.setattr(ranking, "SCORES_PER_BLOCK", 7000)
    blocks = _blend(members).fit(many[600:])
    assert np.array_equal(blocks.weights_, whole.weights_)
    assert np.array_equal(blocks.decision_function(many), scores)
    assert np.array_equal(blocks.recommend(many)[0], recommend(whole, many)[0])


def test_members_are_asked_for_one_block_of_users_at_a_time(many, monkeypatch):
    asked = []
    monkeypatch.setattr(ranking, "SCORES_PER_BLOCK", 2000)
    blend = _of_functions(many, lambda X: asked.append(len(X)) or _random_scores(X), _random_scores)
    blend.recommend(many)
    blend.decision_function(many)
    assert max(asked) == users_per_block(100) == 20


# -- learned weights


def _ndcg(members, weights, users):
    evaluation = evaluate(_blend(members, " ".join(members), weights=weights).fit(users), users, "ndcg@100")
    return evaluation.per_user["ndcg@100"]


@pytest.mark.parametrize("names", ["ease popularity", "dae popularity", "ease dae", "popularity ease dae"])
def test_weights_are_the_mean_of_a_grid_by_the_paired_distance_to_its_best(members, many, names):
    users, chosen = many[600:], {name: members[name] for name in names.split()}
    n_steps = {2: 20, 3: 12}[len(chosen)]
    counts = [count for count in itertools.product(range(n_steps + 1), repeat=len(chosen)) if sum(count) == n_steps]
    scores = [_ndcg(chosen, count, users) for count in counts]
    best = max(scores, key=np.nanmean)
    mean = 0
    for count, score in zip(counts, scores, strict=True):
        behind = (best - score)[~np.isnan(score)]
        error = behind.std(ddof=1) / np.sqrt(len(behind))
        nearness = np.exp(-((behind.mean() / error) ** 2)) if error else 1
        mean = mean + nearness * np.array(count) / n_steps
    mean[mean < mean.max() / 40] = 0
    blend = _blend(members, names).fit(users)
    np.testing.assert_allclose(blend.weights_, mean / mean.sum(), rtol=1e-3)
    assert blend.best_validation_score_ == pytest.approx(np.nanmean(_ndcg(chosen, mean, users)), abs=1e-4)


@pytest.mark.filterwarnings("ignore:BlendRecommender was fitted on most users")
@pytest.mark.parametrize("names", ["ease popularity", "ease dae", "popularity ease dae"])
def test_learned_weights_are_at_most_one_standard_error_behind_the_best_member(members, many, names):
    users = many[600:]
    blend = _blend(members, names).fit(users)
    assert blend.weights_.sum() == pytest.approx(1)
    for name in names.split():
        difference = evaluate(members[name], users, "ndcg@100") - evaluate(blend, users, "ndcg@100")
        assert difference.mean["ndcg@100"] <= difference.standard_error["ndcg@100"]


@pytest.mark.parametrize("n_members", [1, 2, 3, 4, 5, 7, 14, 30])
def test_some_hundred_weights_are_tried_each_member_alone_and_near_equal_ones_among_them(n_members):
    grid = blend_weights._grid(n_members)
    assert n_members <= len(grid) <= 201
    np.testing.assert_allclose(grid.sum(axis=1), 1)
    assert (grid.max(axis=0) == 1).all()
    assert np.abs(grid - 1 / n_members).max(axis=1).min() <= 1 / 6
    assert len({*map(tuple, grid)}) == len(grid)
    n_steps = grid[grid > 0].min() ** -1
    assert n_members > 4 or np.allclose(n_steps * grid, np.rint(n_steps * grid))  # of more, some on the way to equal


@pytest.mark.parametrize("n_errors", [1.9, 2.1])
def test_a_mean_that_is_more_than_two_standard_errors_behind_gives_way_to_the_best(n_errors, monkeypatch):
    """As where no weights between those of the members alone do well."""
    n_users = 40
    spread = np.tile([1.0, -1.0], n_users // 2)  # as far behind as its mean says, give or take one
    behind = n_errors * spread.std(ddof=1) / np.sqrt(n_users) + spread

    def scores(members, normalize, candidates, fold_in, held_out):
        is_learned = len(candidates) == 1
        return np.zeros((1, n_users)) - behind if is_learned else np.zeros((len(candidates), n_users))

    monkeypatch.setattr(blend_weights, "_scores_of_users", scores)
    weights, score = blend_weights.learned_weights([None, None], None, None, None)
    is_best = max(weights) == 1
    assert is_best == (n_errors > 2)
    assert score == pytest.approx(0 if is_best else -behind.mean())


def test_a_member_that_forbids_items_that_are_wanted_gets_no_weight(members, many):
    popularity = members["popularity"]

    def forbid_the_best(X):
        scores = popularity.decision_function(X)
        scores[:, np.argsort(-popularity.item_counts_)[:5]] = -np.inf
        return scores

    forbids = {**members, "forbids": Scores(forbid_the_best).fit(many)}
    blend = _blend(forbids, "ease forbids").fit(many[600:])
    assert blend.weights_.tolist() == [1, 0]
    assert blend.best_validation_score_ == np.nanmean(_ndcg({"ease": members["ease"]}, [1], many[600:]))


@pytest.mark.filterwarnings("ignore:BlendRecommender was fitted on most users")
@pytest.mark.parametrize("n_members", [8, 14])
def test_many_weak_members_are_blended(n_members, members, many):
    """One alone is far from all of them together."""
    users = many[600:]

    def noisy(seed):
        def scores(X):
            noise = np.random.default_rng([seed, X.shape[0]]).standard_normal(X.shape)
            return zscore(members["ease"].decision_function(X), axis=1) + 2 * noise

        return Scores(scores).fit(many)

    crowd = {f"noisy{seed}": noisy(seed) for seed in range(n_members)}
    learned = _blend(crowd, " ".join(crowd)).fit(users)
    alone = max(np.nanmean(_ndcg({name: member}, [1], users)) for name, member in crowd.items())
    assert evaluate(learned, users, "ndcg@100").mean["ndcg@100"] > alone + 0.02


def test_of_one_validation_user_weights_are_equal(members, many):
    one = many[[600 + np.argmax(np.diff(many.indptr[600:]))]]
    blend = _blend(members, "ease popularity dae").fit(one)
    np.testing.assert_allclose(blend.weights_, 1 / 3)
    assert 0 <= blend.best_validation_score_ <= 1


def test_a_normalization_that_there_is_not_is_refused_after_fit_too(members, many):
    blend = _blend(members, "ease popularity", weights=[1, 1]).fit(many[600:]).set_params(normalization="minmax")
    with pytest.raises(ValueError, match="normalization must be one of none, standard, or a function"):
        blend.recommend(many[:3])


@pytest.mark.parametrize(
    "normalization",
    [
        lambda s, seen: s.max(axis=1, keepdims=True),
        lambda s, seen: s.mean(axis=0),
        lambda s, seen: None,
        lambda s, seen: s[:, 1:].tolist(),
    ],
)
def test_a_normalization_that_gives_another_shape_is_refused(members, many, normalization):
    for weights in ([1, 1], "auto"):
        blend = _blend(members, "ease popularity", weights=weights).set_params(normalization=normalization)
        with pytest.raises(
            ValueError, match=r"normalization must return an array of the shape of the scores, \(\d+, 100"
        ):
            blend.fit(many[600:]).recommend(many[:3])


def test_a_normalization_may_return_the_same_array_each_time_but_not_change_what_all_members_get(members, many):
    out = np.empty((300, 100), np.float32)
    blend = _blend(members, "ease popularity", weights=[3, 1]).set_params(normalization=lambda s, seen: s / 10)
    expected = blend.fit(many[600:]).decision_function(many[600:])
    blend.set_params(normalization=lambda s, seen: np.divide(s, 10, out=out[: len(s)]))
    assert np.array_equal(blend.decision_function(many[600:]), expected)
    blend.set_params(normalization=lambda s, seen: (seen[1].fill(0), s)[1])
    with pytest.raises(ValueError, match="read-only"):
        blend.decision_function(many[600:])


def test_a_normalization_gives_numbers_in_any_container(members, many):
    def fitted(normalization):
        blend = _blend(members, "ease popularity", weights=[1, 1]).set_params(normalization=normalization)
        return blend.fit(many[600:]).decision_function(many[:3])

    for container in (np.ndarray.tolist, torch.tensor, sp.csr_array):
        np.testing.assert_allclose(fitted(lambda s, seen, of=container: of(s)), fitted("none"), rtol=1e-6)
    for wrong, error, words in (
        (lambda s, seen: np.ma.masked_less(s, 0), ValueError, "what normalization returned must not be masked"),
        (lambda s, seen: s.astype(str), TypeError, "what normalization returned must be real numbers"),
        (lambda s, seen: s * np.nan, ValueError, "got NaN for items that a user does not have"),
    ):
        with pytest.raises(error, match=words):
            fitted(wrong)

    def nan_of_seen(scores, seen):
        scores[seen] = np.nan
        return scores

    blend = _blend(members, "ease popularity", weights=[1, 1]).set_params(normalization=nan_of_seen).fit(many[600:])
    assert (blend.recommend(many[:3])[0] >= 0).all()


def test_noise_gets_almost_no_weight_and_twins_get_equal_weights(members, many):
    noise = {**members, "noise": Scores(_random_scores).fit(many)}
    assert _blend(noise, "noise ease").fit(many[600:]).weights_[0] < 0.3
    assert _blend(noise, "noise ease popularity").fit(many[600:]).weights_[0] < 0.2
    twins = {"one": members["ease"], "two": members["ease"]}
    assert _blend(twins, "one two").fit(many[600:]).weights_.tolist() == [0.5, 0.5]
    assert _blend(members, "ease").fit(many[600:]).weights_.tolist() == [1]


def test_weights_are_learned_on_held_out_users_and_members_fitted_on_the_others_stop_on_the_same(many):
    pairs = [("ease", EASERecommender()), ("dae", DAE)]
    blend = BlendRecommender(pairs, refit=False).fit(many)
    train, held_out_users = next(UserShuffleSplit(1).split(many))
    validation = fold_in_split(many[held_out_users])
    by_hand = BlendRecommender(pairs).fit(many[train], X_val=validation)
    dae = clone(DAE).fit(many[train], X_val=validation)
    for model in (blend, by_hand, BlendRecommender(pairs).fit(many[train], X_val=many[held_out_users])):
        assert np.array_equal(model.weights_, blend.weights_)
        assert np.array_equal(model.named_estimators_.ease.weights_, EASERecommender().fit(many[train]).weights_)
        assert model.named_estimators_["dae"].validation_scores_ == dae.validation_scores_
    fitted = BlendRecommender([("ease", blend.estimators_[0]), ("dae", dae)], prefit=True).fit(many[held_out_users])
    assert np.array_equal(fitted.weights_, blend.weights_)
    assert not hasattr(DAE, "weights_")


def test_with_few_users_weights_are_equal_and_members_are_fitted_on_all(many):
    blend = BlendRecommender([("ease", EASERecommender()), ("popularity", PopularityRecommender())]).fit(many[:140])
    assert blend.weights_.tolist() == [0.5, 0.5]
    assert blend.best_validation_score_ is None
    assert np.array_equal(blend.estimators_[1].item_counts_, PopularityRecommender().fit(many[:140]).item_counts_)


def test_given_weights_hold_nobody_out(many):
    blend = BlendRecommender([("a", PopularityRecommender()), ("b", EASERecommender())], weights=[1, 3]).fit(many)
    assert blend.weights_.tolist() == [0.25, 0.75]
    assert np.array_equal(blend.estimators_[0].item_counts_, PopularityRecommender().fit(many).item_counts_)


def test_validation_users_who_can_hide_nothing_are_warned_of(members, many):
    few = sp.csr_array(np.eye(3, 100))
    with pytest.warns(UserWarning, match="No validation user can hide an item"):
        assert _blend(members).fit(few).weights_.tolist() == [0.5, 0.5]
    with pytest.warns(UserWarning, match="BlendRecommender is fitted without validation"):
        BlendRecommender([("a", PopularityRecommender())]).fit(many, X_val=few)


# -- as an estimator


def test_fitted_members_are_taken_as_they_are(members, many):
    blend = _blend(members).fit(many[600:])
    assert blend.estimators_[0] is members["ease"] is blend.named_estimators_.ease
    with pytest.raises(NotFittedError, match="EASERecommender instance is not fitted"):
        clone(blend).fit(many)
    with pytest.raises(ValueError, match="X has 90 features, but EASERecommender is expecting 100"):
        _blend(members).fit(many[:, :90])


def test_frozen_members_are_fitted_once_for_a_search_over_weights(members, many):
    frozen = [(name, FrozenEstimator(members[name])) for name in ("ease", "popularity")]
    grid = {"weights": [[1, 0], [1, 1], [0, 1]]}
    search = GridSearchCV(BlendRecommender(frozen), grid, cv=CV, scoring=ndcg_scorer).fit(many[600:])
    assert search.best_params_["weights"] != [0, 1]
    assert search.best_estimator_.named_estimators_.ease.estimator is members["ease"]


def test_a_search_reaches_weights_members_and_their_parameters_with_two_workers(many):
    blend = BlendRecommender([("ease", EASERecommender()), ("other", PopularityRecommender())])
    grid = {
        "weights": ["auto", [3, 1]],
        "ease__l2_regularization": [20.0, 200.0],
    }
    search = GridSearchCV(blend, grid, cv=CV, scoring=ndcg_scorer, n_jobs=2).fit(many)
    assert len(search.cv_results_["mean_test_score"]) == 4
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert recommend(search, many, k=3)[0].shape == (900, 3)


def test_a_refit_lets_go_of_the_members_of_before(members, many, monkeypatch):
    def fit_members(*args):
        held.append(of_before() is not None)
        return fit(*args)

    held, fit, blend = [], blend_module.fit_members, BlendRecommender([*members.items()]).fit(many)
    of_before = weakref.ref(blend.estimators_[0])
    monkeypatch.setattr(blend_module, "fit_members", fit_members)
    blend.fit(many)
    assert held[0] is False


def test_parameters_of_members_are_set_by_name_and_cloned():
    blend = BlendRecommender([("ease", EASERecommender()), ("dae", DAE)], weights=[1, 2])
    copied = clone(blend).set_params(ease__l2_regularization=7, dae__dropout=0.1, weights=[2, 1])
    parameters = copied.get_params()
    assert (parameters["ease__l2_regularization"], parameters["dae__dropout"]) == (7, 0.1)
    assert set(copied.get_params(deep=False)) == set(inspect.signature(BlendRecommender).parameters)
    assert blend.get_params()["ease__l2_regularization"] == 200
    with pytest.raises(ValueError, match="Invalid parameter 'nobody'"):
        blend.set_params(nobody=1)


def test_a_dropped_member_takes_no_part(many):
    pairs = [("a", PopularityRecommender()), ("b", "drop"), ("c", EASERecommender())]
    blend = BlendRecommender(pairs, weights=[1, 5, 3]).fit(many)
    assert blend.weights_.tolist() == [0.25, 0.75]
    assert blend.named_estimators_.b == "drop"
    assert len(blend.estimators_) == 2
    assert clone(blend).set_params(a="drop", weights="auto").fit(many).weights_.tolist() == [1]


def test_pipelines_searches_and_blends_are_members(many):
    pairs = [
        ("pipeline", make_pipeline(Binarizer(threshold=0.5), EASERecommender())),
        ("search", GridSearchCV(EASERecommender(), {"l2_regularization": [20, 200]}, cv=CV, scoring=ndcg_scorer)),
        ("blend", BlendRecommender([("popularity", PopularityRecommender()), ("dae", DAE)])),
    ]
    blend = BlendRecommender(pairs, refit=False).fit(many)
    first = blend.named_estimators_.blend
    assert first.named_estimators_.dae.validation_scores_  # the same users, passed on
    assert blend.predict(many).shape == (900,)
    again = blend.set_params(refit=True).fit(many).named_estimators_.blend
    assert np.array_equal(again.weights_, first.weights_)
    assert again.named_estimators_.dae.n_iter_ == first.named_estimators_.dae.best_iter_


def test_the_html_shows_the_members_side_by_side_and_the_tags_are_theirs_together():
    blend = BlendRecommender([("first", PopularityRecommender()), ("second", EASERecommender())])
    html = estimator_html_repr(blend)
    assert "sk-parallel" in html
    assert all(part in html for part in ("first", "second", "PopularityRecommender", "EASERecommender"))
    assert get_tags(blend).input_tags.sparse
    assert not get_tags(blend.set_params(second=Dense(_random_scores))).input_tags.sparse


class Dense(Scores):
    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags


def test_a_member_that_drops_columns_is_named_as_the_cause(many):
    member = make_pipeline(FunctionTransformer(first_half), PopularityRecommender())
    with pytest.raises(ValueError, match="Does a step before the recommender drop columns"):
        BlendRecommender([("half", member)]).fit(many)


@pytest.mark.parametrize(("n_eligible", "n_validated"), [(249, 0), (250, 25), (259, 25), (260, 26)])
def test_a_tenth_of_the_users_with_five_items_are_held_out_from_25_on(n_eligible, n_validated):
    """One rule for autoencoders and blend: rounded down, and users with one item do not count."""
    users = [np.eye(1, 60, 0) + sum(np.eye(1, 60, 1 + (i + j) % 59) for j in range(4)) for i in range(n_eligible)]
    short = [np.eye(1, 60, i % 60) for i in range(200)]
    X = sp.csr_array(np.vstack([*short, *users]).astype(np.float32))
    trained, validated = hold_out_users(X, 0.1)
    assert len(validated) == n_validated
    assert (validated >= 200).all()
    assert np.array_equal(np.sort(np.concatenate([trained, validated])), np.arange(X.shape[0]))
    blend = BlendRecommender([("popularity", PopularityRecommender())]).fit(X)
    assert (blend.best_validation_score_ is not None) == (n_validated > 0)
    assert MultDAERecommender(2, max_iter=1).fit(X).early_stopping_ == (n_validated > 0)


def test_users_of_two_to_four_items_are_validated_where_there_are_no_others():
    """One item of each is hidden: small baskets, of which fold_in_split hides nothing."""
    draws = np.random.default_rng(0)
    X = sp.csr_array(np.argsort(draws.random((300, 30)), axis=1) < draws.integers(2, 5, (300, 1)), dtype=np.float32)
    _, validated = hold_out_users(X, 0.1)
    assert len(validated) == 30
    fold_in, held_out = hide_for_validation(X[validated])
    assert (held_out.sum(axis=1) == 1).all()
    assert (fold_in + held_out != X[validated]).nnz == 0
    assert MultDAERecommender(2, max_iter=1).fit(X).early_stopping_
    assert LinearRecommender().fit(X).best_validation_score_ is not None
    assert BlendRecommender([("popularity", PopularityRecommender())]).fit(X).best_validation_score_ is not None
    assert len(hold_out_users(sp.eye_array(300, format="csr"), 0.1)[1]) == 0


def test_users_of_two_to_four_items_validate_as_x_val_too():
    draws = np.random.default_rng(0)
    X = sp.csr_array(np.argsort(draws.random((90, 30)), axis=1) < draws.integers(2, 5, (90, 1)), dtype=np.float32)
    model = MultDAERecommender(2, max_iter=2).fit(X[:60], X_val=X[60:])
    assert len(model.validation_scores_) == 2
    assert BlendRecommender([("dae", model)], prefit=True).fit(X[60:]).best_validation_score_ is not None


def test_who_has_five_items_hides_the_same_ones_inside_fit(X):
    heavy = X[np.diff(X.indptr) >= 5]
    for own, others in zip(hide_for_validation(heavy), fold_in_split(heavy), strict=True):
        assert (own != others).nnz == 0


# -- the members of a blend without any, and their second fit


@pytest.fixture
def small_members(monkeypatch):
    """The members that a blend has by default, at small sizes."""
    for kind in (MultDAERecommender, MultVAERecommender):
        small = partial(kind, 8, hidden_layer_sizes=(), max_iter=2, batch_size=200)
        monkeypatch.setattr(blend_module, kind.__name__, small)


@pytest.mark.usefixtures("small_members")
def test_without_members_a_linear_model_and_both_autoencoders_are_blended(many, capsys):
    blend = BlendRecommender(random_state=0).fit(many)
    kinds = [LinearRecommender, MultDAERecommender, MultVAERecommender]
    assert [type(member) for member in blend.estimators_] == kinds
    assert blend.estimators is None
    assert capsys.readouterr().out == ""
    again = clone(blend).set_params(verbose=1).fit(many)
    assert np.array_equal(again.decision_function(many), blend.decision_function(many))
    lines = capsys.readouterr().out.splitlines()
    starts = [f"{fit} {number}/3  {name}  " for fit in ("fit", "refit") for number, name in enumerate(NAMES, 1)]
    starts.insert(3, "weights  linear 0.")
    assert len(lines) == len(starts)
    assert all(line.startswith(f"[BlendRecommender] {start}") for line, start in zip(lines, starts, strict=True))
    assert lines.pop(3).endswith(f"  ndcg@100 {blend.best_validation_score_:.4f}")
    assert all(0 <= float(line.removesuffix(" s").split()[-1]) < 60 for line in lines)  # and no time of a clock
    clone(blend).set_params(verbose=2, weights=[1, 1, 1]).fit(many)
    assert "[MultVAERecommender] epoch 1/" in capsys.readouterr().out


NAMES = ("linear", "dae", "vae")


@pytest.mark.usefixtures("small_members")
def test_a_blend_without_members_passes_scikit_learns_checks_and_is_searched(many):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No .* can hide an item")
        for estimator, check in estimator_checks_generator(BlendRecommender()):
            with contextlib.suppress(SkipTest):
                check(estimator)
    grid = {"weights": [[1, 0, 0], [1, 1, 1]], "refit": [True, False]}
    search = GridSearchCV(BlendRecommender(), grid, cv=CV, scoring=ndcg_scorer).fit(many[:300])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    html = estimator_html_repr(BlendRecommender())
    assert all(name in html for name in NAMES)


def test_members_are_fitted_again_on_all_users_with_what_their_first_fit_came_to(many):
    small = {"hidden_layer_sizes": (), "batch_size": 200, "learning_rate": 3e-2, "random_state": 0}
    vae = MultVAERecommender(8, max_iter=40, n_iter_no_change=3, **small)
    pairs = [("linear", LinearRecommender()), ("dropped", "drop"), ("dae", DAE), ("vae", vae)]
    first, blend = (BlendRecommender(pairs, refit=refit).fit(many) for refit in (False, True))
    assert np.array_equal(blend.weights_, first.weights_)
    assert blend.best_validation_score_ == first.best_validation_score_
    linear, dae, vae = first.estimators_
    numbers = {name: getattr(linear, f"{name}_") for name in ("l2_regularization", "dropout", "user_exponent")}
    expected = LinearRecommender(**numbers, item_exponent=linear.item_exponent_).fit(many)
    np.testing.assert_array_equal(blend.named_estimators_.linear.weights_, expected.weights_)
    ending = {"max_iter": dae.best_iter_, "early_stopping": False}
    assert same_weights(blend.named_estimators_.dae, clone(DAE).set_params(**ending).fit(many))
    again = blend.named_estimators_.vae
    assert again.n_iter_ == vae.best_iter_ < 40
    assert again.validation_scores_ is None
    assert again.total_anneal_steps_ == round(vae.total_anneal_steps_)
    betas = (again._kl_schedule(again._checked_parameters()), vae._kl_schedule(vae._checked_parameters()))
    assert betas[0].weight(50) == pytest.approx(betas[1].weight(50), rel=0.05)
    assert blend.named_estimators_.dropped == "drop"


def test_nothing_is_fitted_again_where_no_user_was_held_out(many, monkeypatch):
    fits, fit = [], PopularityRecommender.fit
    monkeypatch.setattr(PopularityRecommender, "fit", lambda self, *args: fits.append(1) or fit(self, *args))
    blend = BlendRecommender([("a", PopularityRecommender())])
    blend.fit(many[:140])  # too few users to hold some out
    blend.fit(many[:600], X_val=many[600:])
    clone(blend).set_params(weights=[1]).fit(many)
    assert len(fits) == 3
    blend.fit(many)
    assert len(fits) == 5


# -- items


def _dense_similarities(member, items, n_items):
    similarities = np.full((len(items), n_items), -np.inf)
    for row, item in enumerate(items):
        similar, values = member.similar_items([item], n_items)
        similarities[row, similar[0, :-1]] = values[0, :-1]
    return similarities


def test_similar_items_are_those_of_the_members_standardised_and_weighted(members, many):
    items = np.array([3, 40, 99])
    expected = np.zeros((3, 100))
    for name, weight in (("ease", 0.25), ("dae", 0.75)):
        for row, values in enumerate(_dense_similarities(members[name], items, 100)):
            others = np.arange(100) != items[row]
            expected[row, others] += weight * zscore(values[others])
    expected[np.arange(3), items] = -np.inf
    similar, similarities = _blend(members, "ease dae", weights=[1, 3]).fit(many).similar_items(items, k=5)
    np.testing.assert_array_equal(similar, np.argsort(-expected, axis=1)[:, :5])
    np.testing.assert_allclose(similarities, -np.sort(-expected)[:, :5], rtol=1e-4)
    alone = _blend(members, "ease popularity", weights=[1, 1])
    assert not hasattr(alone, "similar_items")
    with pytest.raises(AttributeError, match="has no attribute 'add_items'") as error:
        alone.add_items(1)
    assert "its member 'popularity', PopularityRecommender(), has none" in str(error.value.__cause__)


def test_a_member_that_is_there_twice_is_widened_once(members, many):
    twice = copy.deepcopy(members["ease"])
    blend = BlendRecommender([("one", twice), ("two", twice)], prefit=True, weights=[1, 2]).fit(many)
    assert blend.add_items(2).decision_function(widened(many, 2)).shape == (900, 102)
    assert twice.n_features_in_ == 102


def test_names_of_members_are_strings(many):
    with pytest.raises(TypeError, match="Names of members must be strings, got 1"):
        BlendRecommender([(1, EASERecommender())]).fit(many)


@pytest.mark.parametrize("names", [[f"i{item}" for item in range(20)], range(100, 120), range(20)], ids=str)
@pytest.mark.parametrize(
    "wrap", [lambda model: model, FrozenEstimator, make_pipeline], ids=["member", "frozen", "pipeline"]
)
def test_a_member_that_was_fitted_on_other_columns_is_refused(X, names, wrap):
    table = pd.DataFrame(X[:, :20].toarray(), columns=names)
    other = table[table.columns[::-1]]
    of_table, of_other = (wrap(EASERecommender().fit(columns)) for columns in (table, other))
    of_table, of_other = (m.fit(x) if wrap is make_pipeline else m for m, x in [(of_table, table), (of_other, other)])
    alone, refused = {"prefit": True, "weights": [1]}, r"has the column '.+' where .+ '.+' \(column 0\): they must have"
    with pytest.raises(ValueError, match=rf"^X {refused}"):
        BlendRecommender([("one", of_table)], **alone).fit(other)
    if wrap is FrozenEstimator:
        with pytest.raises(ValueError, match=rf"^X {refused}"):
            BlendRecommender([("one", make_pipeline(of_table))], weights=[1]).fit(other)
    if names != range(20):  # which are names beside other tables alone
        with pytest.raises(ValueError, match=rf"^The member two {refused}"):
            BlendRecommender([("one", of_table), ("two", of_other)], prefit=True, weights=[1, 1]).fit(X[:, :20])
    blend = BlendRecommender([("one", of_table)], **alone).fit(table)
    np.testing.assert_array_equal(blend.recommend(table, 3)[0], recommend(of_table, table, 3)[0])
    BlendRecommender([("one", EASERecommender().fit(table))], weights=[1]).fit(other)  # a clone of it is fitted


@pytest.mark.parametrize("prefit", [True, False])
def test_add_items_reaches_members_of_members_and_frozen_ones(X, prefit, tmp_path):
    table = pd.DataFrame(X.toarray(), columns=[f"i{item}" for item in range(X.shape[1])])
    one, two, three = (EASERecommender(l2_regularization=l2).fit(table) for l2 in (1, 5, 9))
    shared = {"prefit": prefit, "weights": [1, 1]}
    inner = BlendRecommender([("one", one), ("two", two)], **shared).fit(table)
    outer = BlendRecommender([("inner", inner), ("three", FrozenEstimator(three))], **shared).fit(table)
    expected = outer.recommend(table, 5)
    assert outer.add_items(2, names=["new", "newer"]) is outer
    wide = table.assign(new=0, newer=0)
    for answer, before in zip(outer.recommend(wide, 5), expected, strict=True):
        np.testing.assert_allclose(answer, before, rtol=1e-5)
    inner = outer.named_estimators_["inner"]
    models = [
        outer,
        inner,
        three,
        *inner.estimators_,
        *inner.named_estimators_.values(),
        *([one, two] if prefit else []),
    ]
    assert {model.n_features_in_ for model in models} == {X.shape[1] + 2}
    if prefit:
        assert one.feature_names_in_[-2:].tolist() == ["new", "newer"]
        assert np.array_equal(
            one.recommend(wide, 5)[0], EASERecommender(l2_regularization=1).fit(table).recommend(table, 5)[0]
        )
    save(inner, tmp_path / "inner.skvae")
    assert load(tmp_path / "inner.skvae").recommend(wide if prefit else wide.to_numpy(), 5)[0].shape == (len(table), 5)


def test_a_member_of_two_blends_is_widened_once(X):
    one, two = (EASERecommender(l2_regularization=l2).fit(X) for l2 in (1, 5))
    shared = {"prefit": True, "weights": [1, 1]}
    first, second = (BlendRecommender([("one", FrozenEstimator(one)), ("two", two)], **shared).fit(X) for _ in range(2))
    expected = first.recommend(X, 5)[0]
    first.add_items(2)
    second.add_items(2)
    for blend in (first, second):
        np.testing.assert_array_equal(blend.recommend(widened(X, 2), 5)[0], expected)


def test_a_member_that_has_other_items_is_named_before_anything_is_widened(X, tmp_path):
    one, two = (EASERecommender(l2_regularization=l2).fit(X) for l2 in (1, 5))
    blend = BlendRecommender([("one", one), ("two", two)], weights=[1, 1], prefit=True).fit(X)
    two.add_items(3)
    with pytest.raises(ValueError, match=rf"=5\) has {X.shape[1] + 3} items and the blend {X.shape[1]}"):
        blend.add_items(2)
    assert one.n_features_in_ == blend.n_features_in_ == X.shape[1]
    with pytest.raises(ValueError, match=f"The blend knows {X.shape[1]} items, and a member {X.shape[1] + 3}"):
        to_onnx(blend, tmp_path / "model.onnx")
    blend.add_items(3).add_items(2)
    assert blend.recommend(widened(X, 5), 3)[0].shape == (X.shape[0], 3)


def test_a_member_that_has_the_added_items_under_other_names_is_refused(X):
    table = pd.DataFrame(X.toarray(), columns=[f"i{item}" for item in range(X.shape[1])])
    one = EASERecommender().fit(table)
    first, second = (BlendRecommender([("one", one)], prefit=True, weights=[1]).fit(table) for _ in range(2))
    first.add_items(2, names=["a", "b"])
    with pytest.raises(ValueError, match="With the same items and names both go on"):
        second.add_items(2, names=["c", "d"])
    second.add_items(2, names=["a", "b"])
    wide = table.assign(a=0, b=0)
    np.testing.assert_array_equal(second.recommend(wide, 3)[0], first.recommend(wide, 3)[0])


def test_a_member_that_was_fitted_in_its_own_way_is_taken_for_fitted(X):
    class Factors(BaseEstimator):
        def __init__(self, rank=2):
            self.rank = rank

        def fit(self, X, y=None):
            self.item_factors = np.linalg.svd(X.toarray())[2][: self.rank].T  # as implicit calls them
            return self

        def decision_function(self, X):
            return (X @ self.item_factors) @ self.item_factors.T

    pairs = [("own", Factors()), ("ease", EASERecommender().fit(X))]
    blend = BlendRecommender(pairs, weights=[1, 1], prefit=True)
    with pytest.raises(NotFittedError):
        blend.fit(X)
    pairs[0][1].item_factors = None  # as some constructors have it
    with pytest.raises(NotFittedError):
        blend.fit(X)
    pairs[0][1].fit(X)
    assert blend.fit(X).recommend(X, 3)[0].shape == (X.shape[0], 3)
    with pytest.raises(TypeError, match="Factors"):
        save(pairs[0][1], "nowhere")


def test_a_name_that_the_output_cannot_show_ends_no_fit(X, monkeypatch):
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", output)
    members = [("größe", PopularityRecommender()), ("ease", EASERecommender())]
    BlendRecommender(members, weights=[1, 1], verbose=1).fit(X)
    output.seek(0)
    assert "gr\\xf6\\xdfe" in output.read()


@pytest.mark.parametrize("wrong", [-1, np.nan, 1e300])
def test_what_the_steps_of_a_member_make_of_users_is_checked(X, wrong):
    def times(X):
        return X * wrong if X.shape[0] == 3 else X

    member = make_pipeline(FunctionTransformer(times, accept_sparse=True), EASERecommender())
    blend = BlendRecommender([("steps", member), ("ease", EASERecommender())], weights=[1, 1]).fit(X)
    for model in (blend, blend.estimators_[0]):
        with pytest.raises(ValueError, match="X"), np.errstate(over="ignore"):
            model.decision_function(X[:3])


def test_a_member_that_adds_items_in_its_own_way_does_so(X):
    class Foreign:
        n_items = X.shape[1]

        def decision_function(self, X):
            return np.ones((X.shape[0], self.n_items))

        def add_items(self, n_items):
            self.n_items += n_items

    class Counting(EASERecommender):
        def add_items(self, n_items, *, names=None):
            self.n_added_ = n_items
            return super().add_items(n_items, names=names)

    foreign, counting = Foreign(), Counting().fit(X)
    blend = BlendRecommender([("own", counting), ("foreign", foreign)], weights=[1, 1], prefit=True).fit(X)
    assert blend.add_items(2).decision_function(widened(X, 2)).shape == (X.shape[0], X.shape[1] + 2)
    assert counting.n_added_ == 2
    assert counting.n_features_in_ == foreign.n_items == X.shape[1] + 2
    assert "_read_from" not in vars(counting).keys() | vars(foreign).keys()
    piped = BlendRecommender([("p", make_pipeline(Binarizer(), EASERecommender()))], weights=[1])
    outer = BlendRecommender([("inner", piped), ("ease", EASERecommender())], weights=[1, 1]).fit(X)
    assert not hasattr(outer, "add_items")


def test_readers_of_frozen_members_beside_add_items_get_one_width(X):
    frozen = [(name, FrozenEstimator(EASERecommender().fit(X[:100]))) for name in "ab"]
    blend = BlendRecommender(frozen, weights=[1, 1]).fit(X[:100])
    model = as_it_is(blend)
    expected = blend.decision_function(X[:9])
    blend.add_items(1)
    np.testing.assert_allclose(model.decision_function(X[:9]), expected, rtol=1e-6)
    assert {member.n_features_in_ for member in model.estimators_} == {X.shape[1]}


def test_members_of_other_names_are_blended_where_none_is_shared(X):
    titles, ids = (
        pd.DataFrame(X.toarray(), columns=names) for names in ([f"t{i}" for i in range(200)], range(500, 700))
    )
    named, unnamed = (
        BlendRecommender([("a", a), ("b", b)], prefit=True, weights=[1, 1]).fit(X).decision_function(X[:9])
        for a, b in ((EASERecommender().fit(titles), EASERecommender().fit(ids)), [EASERecommender().fit(X)] * 2)
    )
    np.testing.assert_array_equal(named, unnamed)


def test_weights_that_are_no_numbers_are_named(X):
    for weights in (["1"], [None], [1j], [np.inf]):
        with pytest.raises(ValueError, match="weights must be finite, not negative and not all 0"):
            BlendRecommender([("ease", EASERecommender())], weights=weights).fit(X)
    for weights in ([np.array(2.0)], [np.True_], np.array([3])):
        BlendRecommender([("ease", EASERecommender())], weights=weights).fit(X)


def test_a_weight_that_float32_takes_for_0_leaves_an_added_item_at_minus_infinity(X):
    one, two = (EASERecommender(l2_regularization=l2).fit(X) for l2 in (1, 5))
    blend = BlendRecommender([("one", one), ("two", two)], prefit=True, weights=[1, 1e-50]).fit(X)
    scores = blend.add_items(1).decision_function(widened(X, 1))
    assert (scores[:, -1] == -np.inf).all()
    assert np.isfinite(scores[:, :-1]).all()


def test_members_that_are_no_pairs_and_weights_that_are_lists_are_refused_in_words(X):
    search = GridSearchCV(
        BlendRecommender([EASERecommender()]), {"refit": [True]}, cv=2, scoring=ndcg_scorer, error_score="raise"
    )
    with pytest.raises(TypeError, match=r"estimators must be a list of \(name, estimator\) pairs"):
        search.fit(X)
    pairs = [("a", EASERecommender()), ("b", EASERecommender())]
    with pytest.raises(ValueError, match="weights must be finite, not negative and not all 0"):
        BlendRecommender(pairs, weights=[[1], [1, 2]]).fit(X)
    for weights in (np.array(0.5), {0.3, 0.7}, {0: 1, 1: 2}, b"ab"):
        with pytest.raises(ValueError, match="weights must be 2, one per member"):
            BlendRecommender(pairs, weights=weights).fit(X)


def test_members_that_were_fitted_on_those_who_choose_the_weights_are_warned_of(many):
    pairs = [("ease", EASERecommender().fit(many[:600])), ("popularity", PopularityRecommender().fit(many[300:600]))]
    with pytest.warns(UserWarning, match=r"The member 'ease' was fitted on most of the users .*, 300 of 300") as caught:
        BlendRecommender(pairs, prefit=True).fit(many[:300])
    assert len(caught) == 1
    inside = [(name, make_pipeline(FunctionTransformer(), member)) for name, member in pairs]
    with pytest.warns(UserWarning, match="The member 'ease' was fitted on most of the users"):
        BlendRecommender(inside, prefit=True).fit(many[:300])
    BlendRecommender([pairs[0], ("popularity", "drop")], prefit=True).fit(many[:300])
    BlendRecommender(pairs, prefit=True).fit(many[600:])
    BlendRecommender(pairs, prefit=True, weights=[1, 1]).fit(many[:300])


def test_a_prefit_blend_knows_the_users_of_its_members_and_those_it_learned_on(X):
    trained, validated, new = X[:200], X[200:350], X[350:]
    popularity = make_pipeline(MaxAbsScaler(), PopularityRecommender()).fit(trained)
    members = [("ease", EASERecommender().fit(trained)), ("popularity", popularity)]
    blend = BlendRecommender(members, prefit=True).fit(validated)
    assert blend.was_fitted_on(trained).all()
    assert blend.was_fitted_on(validated).all()
    assert not blend.was_fitted_on(new).any()
    with pytest.warns(UserWarning, match="BlendRecommender was fitted on most users of X"):
        evaluate(blend, trained)
    assert not clone(blend).set_params(weights=[1, 1], estimators=members).fit(new).was_fitted_on(new).any()
    assert not hasattr(BlendRecommender(members, prefit=True, store_user_hashes=False).fit(validated), "was_fitted_on")


def test_a_blend_knows_the_users_of_its_frozen_members_too(many):
    members = [("ease", FrozenEstimator(EASERecommender().fit(many[:300]))), ("popularity", PopularityRecommender())]
    blend = BlendRecommender(members).fit(many[300:600])
    assert blend.was_fitted_on(many[:600]).all()
    assert not blend.was_fitted_on(many[600:]).any()
    with pytest.warns(
        UserWarning, match="The member 'ease' was fitted on most of the users on whom weights are learned"
    ):
        BlendRecommender(members).fit(many[:300])


def test_a_class_as_a_member_is_named(X):
    with pytest.raises(TypeError, match=r"The member 'e' is the class EASERecommender: pass EASERecommender\(\.\.\.\)"):
        BlendRecommender([("e", EASERecommender), ("p", PopularityRecommender())]).fit(X)


def test_a_member_that_wants_names_of_columns_is_told_that_it_gets_none(X):
    table = pd.DataFrame(X[:50].toarray()).add_prefix("i")
    member = make_pipeline(ColumnTransformer([("ones", Binarizer(), table.columns.tolist())]), EASERecommender())
    with pytest.raises(ValueError, match="columns") as caught:
        BlendRecommender([("by name", member), ("ease", EASERecommender())], weights=[1, 1]).fit(table)
    assert caught.value.__notes__ == ["Members of a blend get X as a csr_array, without names of its columns."]
