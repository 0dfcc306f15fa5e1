"""Answers in float32 against plain formulas in float64, on extreme data too, and whatever else is asked at once.

A score may be off by `ROUNDING` of the user's largest, by `ROUNDING_OF_HALF` where products are taken in bfloat16, and
by `ROUNDING_OF_BLENDS` where a member's scores hardly differ; items are the same but for those whose exact scores are
as near to each other as that. docs/faq.md states them.
"""

import contextlib
from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from conftest import AUTOENCODERS, RECOMMENDERS, Scores
from sklearn.base import clone

from skvae import (
    BlendRecommender,
    EASERecommender,
    LinearRecommender,
    PopularityRecommender,
    blend_normalizations,
    ranking,
)
from skvae.datasets import make_interactions

ROUNDING, ROUNDING_OF_BLENDS, ROUNDING_OF_HALF = 1e-5, 1e-4, 2e-2
K = 10
ONES = make_interactions(n_users=120, n_items=40, density=0.1, random_state=0).toarray()
IS_LARGE = np.random.default_rng(0).random(ONES.shape) < 0.1
EVERY_TENTH = np.arange(len(ONES))[:, None] % 10 == 0
EXTREMES = {
    "one item": np.ones((20, 1)),
    "one user": ONES[:1],
    "one user and one item": np.ones((1, 1)),
    "counts of 1e6": 1e6 * ONES,
    "counts of 1e6 among ones": np.where(IS_LARGE, 1e6, 1) * ONES,
    "counts of 1e30": 1e30 * ONES,
    "counts of 1e30 among ones": np.where(IS_LARGE, 1e30, 1) * ONES,
    "counts of 1e-30": 1e-30 * ONES,
    "one user has everything": np.vstack([ONES, np.ones((1, 40))]),
    "everyone has everything": np.ones((60, 40)),
    "nine of ten users have nothing": EVERY_TENTH * ONES,
    "constant columns": np.hstack([ONES, np.ones((120, 2)), np.zeros((120, 2)), np.full((120, 2), 7)]),
}
MODELS = {
    **RECOMMENDERS,
    "linear": LinearRecommender(),  # lambda goes with the values
    "blend of all": BlendRecommender(
        [("linear", LinearRecommender()), ("popularity", PopularityRecommender()), *AUTOENCODERS.items()],
        weights=[3, 1, 2, 2, 2],
    ),
}
ARE_TOO_FAR_APART = {("ease", "counts of 1e30 among ones")}  # for one number, l2_regularization, beside both


# -- the formulas


def exact_scores(model, X):
    """float64 array of shape (n_users, n_items), of the fitted weights and X, a dense float64 array."""
    if hasattr(model, "estimators_"):
        members = [standardized(exact_scores(member, X), X) for member in model.estimators_]
        return sum(weight * scores for weight, scores in zip(model.weights_, members, strict=True))
    if hasattr(model, "architecture_"):
        weights = {name: array.astype(np.float64) for name, array in model.weights_.items()}
        return decoded(model, weights, encoded(model, weights, X))
    counts = np.tile(model.item_counts_.astype(np.float64), (len(X), 1))
    if not hasattr(model, "weights_"):
        return counts
    scores = X @ model.weights_.astype(np.float64)
    return np.where(scores.any(axis=1, keepdims=True), scores, counts)


def standardized(scores, X):
    """Mean 0 and deviation 1 over what each user does not have, or over everything where nothing else is left.

    Scores that differ by rounding alone stay that near to each other.
    """
    for row, is_unseen in zip(scores, X == 0, strict=True):
        counted = row[is_unseen & ~np.isnan(row)] if is_unseen.any() else row
        largest = np.abs(counted).max()
        row[:] = (row - counted.mean()) / (counted.std() if counted.std() > 1e-6 * largest else largest or 1)
    return scores


def encoded(model, weights, X):
    """The code: of a VAE the mean."""
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    hidden = X / np.where(lengths > 0, lengths, 1) @ weights["encoder.item_weight"] + weights["encoder.item_bias"]
    outputs = []
    for layer in range(len(model.architecture_.hidden_layer_sizes)):
        if model.architecture_.skip_connections:
            hidden = activated(model, hidden + sum(outputs))
            centred = hidden - hidden.mean(axis=1, keepdims=True)
            hidden = centred / np.sqrt(np.mean(centred**2, axis=1, keepdims=True) + 0.1)
            scale, shift = (weights[f"encoder.normalizations.{layer}.{part}"] for part in ("weight", "bias"))
            outputs.append(hidden := hidden * scale + shift)
        else:
            hidden = activated(model, hidden)
        hidden = hidden @ weights[f"encoder.layers.{layer}.weight"].T + weights[f"encoder.layers.{layer}.bias"]
    is_variational = model.architecture_.is_variational
    return hidden[:, : model.n_components] if is_variational else activated(model, hidden)


def decoded(model, weights, hidden):
    for layer in range(len(model.architecture_.decoder_layer_sizes) - 1):
        hidden = hidden @ weights[f"decoder.layers.{layer}.weight"].T + weights[f"decoder.layers.{layer}.bias"]
        hidden = activated(model, hidden)
    return hidden @ weights["decoder.item_weight"].T + weights["decoder.item_bias"]


def activated(model, hidden):
    return hidden / (1 + np.exp(-hidden)) if model.architecture_.skip_connections else np.tanh(hidden)


# -- what is compared


def assert_near(values, exact, tolerance):
    """Each user's values are off by so much of the user's largest."""
    largest = np.max(np.abs(exact), axis=1, keepdims=True, initial=0)
    assert np.isfinite(values).all()
    assert (np.abs(values - exact) <= tolerance * largest).all(), np.max(np.abs(values - exact) / largest)


def assert_best(items, scores, X, tolerance):
    """At each rank stands an unseen item whose score is the one that belongs there, but for the tolerance."""
    unseen = np.where(X > 0, -np.inf, scores)
    best = -np.sort(-unseen, axis=1)[:, :K]
    found = np.where(items >= 0, np.take_along_axis(unseen, items, axis=1), -np.inf)[:, : best.shape[1]]
    assert np.array_equal(np.isneginf(found), np.isneginf(best))
    assert all(len(np.unique(row[row >= 0])) == (row >= 0).sum() for row in items)
    with np.errstate(invalid="ignore"):
        differences = np.where(np.isneginf(best), 0, np.abs(found - best))
    assert (differences <= 2 * tolerance * np.abs(scores).max(axis=1, keepdims=True)).all()


@pytest.mark.filterwarnings("ignore:The largest value of X:UserWarning")
@pytest.mark.parametrize("kind", EXTREMES)
@pytest.mark.parametrize("name", MODELS)
def test_extreme_data_get_the_scores_of_the_formulas_in_double(name, kind):
    X, model = sp.csr_array(EXTREMES[kind].astype(np.float32)), clone(MODELS[name])
    if (name, kind) in ARE_TOO_FAR_APART:
        with pytest.raises(ValueError, match="too small beside the values of X"):
            model.fit(X)
        return
    is_trained = name in AUTOENCODERS or "blend" in name
    if torch.cuda.is_available() and "1e30" in kind and is_trained:  # whose gradients Adam squares in float32
        with pytest.raises(ValueError, match="scale down the largest values of X"):
            model.fit(X)
        return
    users, tolerance = X.toarray().astype(np.float64), ROUNDING_OF_BLENDS if "blend" in name else ROUNDING
    exact = exact_scores(model.fit(X), users)
    assert_near(model.decision_function(X), exact, tolerance)
    assert_best(model.recommend(X, K)[0], exact, users, tolerance)
    for method in {"score_samples", "transform"} & set(dir(model)):
        assert np.isfinite(getattr(model, method)(X)).all()
    if name in AUTOENCODERS:
        assert np.isfinite(model.partial_fit(X).decision_function(X)).all()


@cache
def _scaled_blend(by):
    members = [("linear", LinearRecommender()), ("ease", LinearRecommender(dropout=0.0))]
    return BlendRecommender(members, weights=[1, 1]).fit(sp.csr_array(ONES.astype(np.float32)) * np.float32(by))


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e20, 1e30])
def test_a_blend_is_the_same_whatever_the_scale_of_the_values(scale):
    X, blend, scaled = sp.csr_array(ONES.astype(np.float32)), _scaled_blend(1), _scaled_blend(scale)
    assert_near(scaled.decision_function(X * np.float32(scale)), blend.decision_function(X), 1e-4)
    np.testing.assert_allclose(*(model.similar_items(range(40))[1] for model in (scaled, blend)), atol=1e-3)


@pytest.mark.parametrize("size", [3.1, 3.1e8])
def test_a_member_whose_scores_are_equal_but_for_rounding_leaves_the_ranking_to_the_others(size):
    users = sp.csr_array(ONES.astype(np.float32))
    rounding = np.random.default_rng(0).choice([-1, 0, 1], ONES.shape) * np.finfo(np.float32).eps
    equal = Scores(lambda X: size * (1 + rounding[: len(X)])).fit(users)
    popularity = PopularityRecommender().fit(users)
    blend = BlendRecommender([("a", equal), ("b", popularity)], weights=[1, 1], prefit=True).fit(users)
    alone = BlendRecommender([("b", popularity)], weights=[1], prefit=True).fit(users)
    assert_near(2 * blend.decision_function(users), alone.decision_function(users), ROUNDING)


@pytest.mark.parametrize("scale", [1e-38, 1e-11, 1, 1e16, 3e38])
def test_scores_of_any_size_are_standardized_alike(scale):
    scores = np.random.default_rng(0).uniform(-scale, scale, ONES.shape).astype(np.float32)
    scores[0], scores[1, :5] = -scale, -np.inf
    exact = standardized(np.where(np.isneginf(scores), np.nan, scores).astype(np.float64), ONES)
    found = blend_normalizations.standardized(scores.copy(), ONES.nonzero())
    assert np.array_equal(np.isneginf(found), np.isneginf(scores))
    assert_near(np.where(np.isneginf(found), 0, found), np.nan_to_num(exact), ROUNDING)


def test_scores_that_float32_does_not_hold_are_an_error_not_a_ranking():
    users = sp.csr_array(ONES.astype(np.float32))
    model = EASERecommender(l2_regularization=0.01).fit(users)
    assert np.isfinite(model.decision_function(users * np.float32(1e30))).all()
    with pytest.raises(ValueError, match=r"X holds the value 3e\+38, and scores.*divide X by a constant"):
        model.recommend(users * np.float32(3e38))


# -- who else is asked, threads, blocks, precision


N_OTHERS, N_ITEMS = 5000, 150
PRECISIONS = [(name, "float32") for name in MODELS if name != "blend"]
PRECISIONS += [(name, "bfloat16") for name in AUTOENCODERS]


@cache
def crowd():
    """Users of every kind, and 5 000 others."""
    X = make_interactions(n_users=N_OTHERS + 8, n_items=N_ITEMS, density=0.05, random_state=1).toarray()
    X[0], X[1], X[2], X[3] = 0, 1, 1e6 * X[2], 1e30 * X[3]
    X[4] = np.arange(N_ITEMS) == 7
    X[5, X[5] > 0] = 10.0 ** np.linspace(-6, 20, int((X[5] > 0).sum()))
    return sp.csr_array(X)


@cache
def fitted(name, precision):
    model = clone(MODELS[name])
    if name in AUTOENCODERS:
        model.set_params(precision=precision)
    return model.fit(crowd()[-400:])


def answers(model, X, users):
    """What each of the users gets, asked for all of X at once."""
    items, scores = model.recommend(X, K)
    values = {"scores": np.maximum(scores, -1), "decision_function": model.decision_function(X)}  # -inf of who has all
    values |= {name: getattr(model, name)(X) for name in ("transform",) if hasattr(model, name)}
    return items[users], {name: value[users] for name, value in values.items()}


@contextlib.contextmanager
def threads(n_threads):
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def assert_same(model, one, other):
    users = crowd()[:8].toarray()
    for name, values in one[1].items():
        assert_near(other[1][name], values, ROUNDING)
    exact = one[1]["decision_function"]
    for items, _ in (one, other):
        assert_best(items, exact, users, ROUNDING)


@pytest.mark.parametrize(("name", "precision"), PRECISIONS)
def test_a_users_answer_is_that_of_the_user_alone(name, precision):
    model, users = fitted(name, precision), range(8)
    together = answers(model, crowd(), slice(8))
    one_by_one = [answers(model, crowd()[user : user + 1], slice(1)) for user in users]
    alone = (
        np.concatenate([items for items, _ in one_by_one]),
        {part: np.concatenate([values[part] for _, values in one_by_one]) for part in together[1]},
    )
    assert_same(model, together, alone)
    if hasattr(model, "score_samples"):
        likelihoods = model.score_samples(crowd()[:200])[:8]
        one_by_one = np.concatenate([model.score_samples(crowd()[user : user + 1]) for user in users])
        np.testing.assert_allclose(likelihoods, one_by_one, rtol=1e-12)


@pytest.mark.parametrize(("name", "precision"), PRECISIONS)
def test_threads_and_blocks_change_no_answer_beyond_rounding(name, precision, monkeypatch):
    model, X = fitted(name, precision), crowd()[:20]
    expected = answers(model, X, slice(8))
    for n_threads in (1, 2):
        with threads(n_threads):
            assert_near(model.decision_function(crowd()[:100])[:8], expected[1]["decision_function"], ROUNDING)
    for n_users in (1, 7):
        monkeypatch.setattr(ranking, "SCORES_PER_BLOCK", n_users * N_ITEMS)
        assert_same(model, expected, answers(clone_of(model), X, slice(8)))
    # tiles of 40 items and a rest
    monkeypatch.setattr(ranking, "SCORES_PER_BLOCK", ranking.USERS_PER_TILE * 40)
    monkeypatch.setattr(ranking, "FEWEST_USERS_PER_BLOCK", 1000)
    assert_same(model, expected, answers(clone_of(model), X, slice(8)))


def clone_of(model):
    """With the same weights, and nothing kept of the size of blocks."""
    other = clone(model)
    other.__setstate__(model.__getstate__())
    return other


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_half_precision_is_near_the_formulas_too(name):
    model, X = fitted(name, "bfloat16"), crowd()[:300]
    users = X.toarray().astype(np.float64)
    exact = exact_scores(model, users)
    assert_near(model.decision_function(X), exact, ROUNDING_OF_HALF)
    assert_best(model.recommend(X, K)[0], exact, users, ROUNDING_OF_HALF)
