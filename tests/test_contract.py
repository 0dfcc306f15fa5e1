"""What every recommender promises; what is one model's own is in its file. Warnings are errors."""

import copy
import pickle
from functools import partial
from types import SimpleNamespace

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import skops.io
import torch
from conftest import CONTAINERS_OF_ONES, RECOMMENDERS, Scores, first_half, frame, left_alone, through_skvae, widened
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.model_selection import cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, FunctionTransformer, MaxAbsScaler
from sklearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.validation import has_fit_parameter

import skvae
from skvae import (
    BlendRecommender,
    MultDAERecommender,
    MultVAERecommender,
    PopularityRecommender,
    RankingScorer,
    UserKFold,
    evaluate,
    fold_in_split,
    ndcg_scorer,
    ranking,
    recommend,
    top_k,
)
from skvae.core.likelihoods import Multinomial

CHANGES = {
    "with early stopping": {"early_stopping": True},
    "without hidden layers": {"hidden_layer_sizes": ()},
    "logistic": {"likelihood": "logistic"},
    "gaussian": {"likelihood": "gaussian"},
}
CHANGES_OF = {"vae": CHANGES, "dae": CHANGES | {"without hidden layers": {"hidden_layer_sizes": (16,)}}}
VARIANTS = RECOMMENDERS | {
    f"{name} {change}": clone(RECOMMENDERS[name]).set_params(**parameters)
    for name, changes in CHANGES_OF.items()
    for change, parameters in changes.items()
}
DROPPED = BlendRecommender([(name, RECOMMENDERS[name]) for name in ("ease", "popularity", "vae")])
FITTED = VARIANTS | {"blend with a dropped member": DROPPED.set_params(popularity="drop")}


@pytest.fixture(params=RECOMMENDERS)
def estimator(request):
    """A recommender at a small size and with few updates, not fitted."""
    return _quick(request.param)


@pytest.fixture(scope="module", params=FITTED)
def model(request, X):
    """A recommender fitted on 400 of the users, once for all tests that only ask it."""
    return clone(FITTED[request.param]).fit(X[:400])


@pytest.fixture(scope="module")
def answers(model, X):
    return _answers(model, X)


def _answers(model, X):
    calls = ("decision_function", "transform", "score_samples", "predict")
    answers = {name: getattr(model, name)(X) for name in calls if hasattr(model, name)}
    return answers | dict(zip(("items", "scores"), model.recommend(X, k=10), strict=True))


def _equal(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def _assert_close(one, other):
    for name, answer in one.items():
        if answer.dtype == np.int64:
            assert (answer == other[name]).mean() > 0.999, name  # a last-bit difference may swap equals
        else:
            np.testing.assert_allclose(answer, other[name], rtol=2e-4, atol=2e-5, err_msg=name)


def _set(estimator, **parameters):
    """Those of the parameters that the estimator has, or a member of it."""
    names = [name for name in estimator.get_params() if name.split("__")[-1] in parameters]
    return estimator.set_params(**{name: parameters[name.split("__")[-1]] for name in names})


def _quick(name):
    return _set(clone(RECOMMENDERS[name]), max_iter=2, batch_size=100)


def test_every_public_recommender_is_held_to_the_contract():
    public = {name for name, member in vars(skvae).items() if hasattr(member, "decision_function")}
    assert public == {type(estimator).__name__ for estimator in RECOMMENDERS.values()}


# -- scikit-learn's own checks, with no expected failure

# but for the number of epochs
BY_DEFAULT = {"vae by default": MultVAERecommender(max_iter=5), "dae by default": MultDAERecommender(max_iter=5)}
# a list, not parametrize_with_checks: pytest 9 warns of the generator that scikit-learn 1.6 passes on
CHECKS = [
    pytest.param(*pair, id=f"{name} {pair[1].func.__name__}")
    for name, estimator in (VARIANTS | BY_DEFAULT).items()
    for pair in estimator_checks_generator(estimator)
]


# the checks' data have two to ten items, of which no user can hide one
@pytest.mark.filterwarnings("ignore:No validation user can hide an item")
@pytest.mark.filterwarnings("ignore:No user of X can hide an item")
@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_scikit_learn_check_passes(estimator, check):
    check(estimator)


OTHER_NETWORK = {"n_components": 3, "hidden_layer_sizes": (5,), "activation": "relu", "likelihood": "gaussian"}
CHANGED = {
    "popularity": {},
    "ease": {"l2_regularization": 3.0},
    "linear": {"l2_regularization": 3.0, "dropout": 0.5, "item_exponent": 1, "diagonal": 0.1},
    "vae": OTHER_NETWORK,
    "dae": OTHER_NETWORK,
    "recvae": OTHER_NETWORK,
    "blend": {"weights": [5, 1], "dae__n_components": 3, "dae__random_state": 7},
}


@pytest.mark.parametrize("name", CHANGED)
def test_clone_and_set_params_keep_every_parameter(name):
    estimator = clone(RECOMMENDERS[name]).set_params(**CHANGED[name])
    assert CHANGED[name].items() <= estimator.get_params().items()
    assert repr(clone(estimator).get_params()) == repr(estimator.get_params())


@pytest.mark.parametrize("name", CHANGED)
def test_parameters_set_after_fit_do_not_reach_the_fitted_model(name, X):
    model = _quick(name).fit(X)
    expected = _answers(model, X)
    model.set_params(**CHANGED[name])
    assert _equal(_answers(model, X), expected)
    assert _equal(_answers(pickle.loads(pickle.dumps(model)), X), expected)
    assert _equal(_answers(model.fit(X), X), _answers(clone(model).fit(X), X))


# -- what is returned


def test_shapes_and_dtypes_are_those_of_the_contract(model, answers):
    arrays = {
        "decision_function": ((500, 200), np.float32),
        "items": ((500, 10), np.int64),
        "scores": ((500, 10), np.float32),
        "predict": ((500,), np.int64),
        "transform": ((500, 8), np.float32),
        "score_samples": ((500,), np.float64),
    }
    assert all((answer.shape, answer.dtype) == arrays[name] for name, answer in answers.items())
    assert all(type(answer) is np.ndarray and np.isfinite(answer).all() for answer in answers.values())


def test_predictions_are_the_best_recommendations_which_are_the_best_unseen_scores(answers, X):
    np.testing.assert_array_equal(answers["predict"], answers["items"][:, 0])
    items, scores = top_k(_unseen(answers["decision_function"], X), 10)
    assert (answers["items"] == items).mean() > 0.999
    np.testing.assert_allclose(answers["scores"], scores, rtol=2e-4, atol=2e-5)


def _unseen(scores, X):
    scores = scores.copy()
    scores[X.nonzero()] = -np.inf
    return scores


def _reversed(estimator):
    """Of a subclass, with the scores of its parent the other way round."""

    class Reversed(type(estimator)):
        def decision_function(self, X):
            return -super().decision_function(X)

    return Reversed(**estimator.get_params(deep=False))


def test_a_subclass_ranks_by_its_own_decision_function(estimator, X):
    model = _reversed(estimator).fit(X)
    scores = -estimator.fit(X).decision_function(X[:20])
    np.testing.assert_array_equal(model.recommend(X[:20], 3)[0], top_k(_unseen(scores, X[:20]), 3)[0])


def test_score_is_the_ndcg_scorer(model, X):
    score = model.score(X[400:])
    assert type(score) is float
    assert score == ndcg_scorer(model, X[400:]) == model.score(X[400:], np.zeros(100))
    assert score == model.score(*fold_in_split(X[400:]))


def test_score_is_nan_with_one_warning_where_nobody_can_hide_an_item(model):
    with pytest.warns(UserWarning, match="No user of X can hide an item") as caught:
        assert np.isnan(model.score(sp.csr_array(np.eye(3, 200, dtype=np.float32))))
    assert len(caught) == 1


def test_k_above_n_items_pads_and_never_repeats(model, X):
    items, scores = model.recommend(X, k=300)
    assert ((items >= 0).sum(1) == 200 - np.diff(X.indptr)).all()
    assert ((items == -1) == (scores == -np.inf)).all()
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in items)


def test_candidates_and_exclude_are_kept_to(model, X):
    assert set(np.unique(model.recommend(X, k=5, candidates=[3, 1, 4, 15, 92])[0])) <= {-1, 3, 1, 4, 15, 92}
    assert (model.recommend(X, k=50, exclude=np.arange(100))[0] >= 100).any()
    assert not np.isin(model.recommend(X, k=50, exclude=np.arange(100))[0], np.arange(100)).any()
    nobody_twice = model.recommend(X, exclude=X[::-1])[0]
    assert not X[::-1][np.repeat(np.arange(500), 10), nobody_twice.ravel()].any()
    assert X[np.arange(500), model.recommend(X, k=5, exclude_seen=False)[0][:, 0]].any()


def test_users_never_seen_empty_rows_and_full_rows_have_defined_results(model, X):
    answers = _answers(model, sp.vstack([X[499:], sp.csr_array((1, 200)), np.ones((1, 200))], format="csr"))
    assert ((answers["items"] == -1).all(axis=1) == [False, False, True]).all()
    assert ((answers["predict"] == -1) == [False, False, True]).all()
    assert (np.isfinite(answers.pop("scores")) == [[True], [True], [False]]).all()
    assert all(np.isfinite(answer).all() for answer in answers.values())


def test_a_user_without_any_item_gets_items_that_many_users_have(model, X):
    n_users = X[:400].sum(axis=0)
    recommended, _ = model.recommend(sp.csr_array((1, 200)))
    assert n_users[recommended].mean() > 1.5 * n_users.mean()


# popularity tells no user from another
@pytest.mark.parametrize("name", [name for name in RECOMMENDERS if name != "popularity"])
def test_on_a_checkerboard_users_like_the_items_of_their_group_best(name):
    """Even users have even items, odd users odd ones, each but for one that is hidden."""
    board = (np.add.outer(np.arange(60), np.arange(40)) % 2 == 0).astype(np.float32)
    hidden = board.copy()
    hidden[np.arange(60), (np.arange(60) % 2) + 2 * (np.arange(60) // 2 % 20)] = 0
    estimator = _set(clone(RECOMMENDERS[name]), max_iter=50, early_stopping=False, learning_rate=0.01)
    assert board[np.arange(60), estimator.fit(hidden).predict(hidden)].all()


WITH_ITEM_METHODS = [name for name in FITTED if hasattr(FITTED[name], "similar_items")]


@pytest.mark.parametrize("model", WITH_ITEM_METHODS, indirect=True)
def test_similar_items_are_other_items_best_first(model):
    similar, similarities = model.similar_items(np.arange(200), k=10)
    assert (similar.shape, similar.dtype, similarities.dtype) == ((200, 10), np.int64, np.float32)
    assert (np.diff(similarities) <= 0).all()
    assert (similar != np.arange(200)[:, None]).all()
    every, _ = model.similar_items([5], k=201)
    assert sorted(every[0]) == [-1, -1, *(item for item in range(200) if item != 5)]
    only, _ = model.similar_items([5, 7], k=30, candidates=[*range(20)], exclude=[3, 7])
    assert sorted(only[0]) == [-1] * 13 + [item for item in range(20) if item not in (3, 5, 7)]
    for row, item in zip(only, (5, 7), strict=True):
        every, _ = model.similar_items([item], k=199)
        assert [one for one in every[0] if one in row] == [one for one in row if one >= 0]
    with pytest.raises(ValueError, match="items holds item 200"):
        model.similar_items([200])
    with pytest.raises(ValueError, match="exclude holds item 200"):
        model.similar_items([5], exclude=[200])
    with pytest.raises(ValueError, match=r"one-dimensional .* with shape \(\), such as \[3\]\.$"):
        model.similar_items(3)
    with pytest.raises(NotFittedError):
        clone(model).similar_items([0])


@pytest.mark.parametrize("model", WITH_ITEM_METHODS, indirect=True)
def test_an_added_item_is_nobodys_and_like_nothing_until_a_fit_and_changes_no_other_score(model, X):
    wide, before = widened(X, 3), model.decision_function(X)
    model = copy.deepcopy(model)
    assert model.add_items(1).add_items(2) is model
    scores = model.decision_function(wide)
    np.testing.assert_allclose(scores[:, :200], before, rtol=1e-5, atol=1e-5)
    assert np.isneginf(scores[:, 200:]).all()
    assert not (model.recommend(wide, k=203)[0] >= 200).any()
    similar, _ = model.similar_items([5, 201], k=203)
    assert sorted(similar[0]) == [-1] * 4 + [item for item in range(200) if item != 5]
    assert (similar[1] == -1).all()
    own_items, contributions = model.explain(wide[:5], np.tile([201], (5, 1)))
    assert (own_items == -1).all()
    assert not contributions.any()
    assert model.add_items(0).add_items(0, names=[]) is model
    assert model.n_features_in_ == 203
    with pytest.raises(ValueError, match="n_items == -1, must be >= 0"):
        model.add_items(-1)
    with pytest.raises(NotFittedError):
        clone(model).add_items(1)
    assert np.isfinite(model.fit(wide).decision_function(wide)).all()


@pytest.mark.parametrize("model", [name for name in FITTED if hasattr(FITTED[name], "item_vectors")], indirect=True)
def test_scores_are_products_of_query_and_item_vectors(model, answers, X):
    queries, vectors = model.query_vectors(X), model.item_vectors()
    assert queries.dtype == vectors.dtype == np.float32
    np.testing.assert_allclose(queries @ vectors.T, answers["decision_function"], rtol=1e-4, atol=1e-5)
    wide = copy.deepcopy(model).add_items(2)
    assert np.isneginf(wide.query_vectors(widened(X, 2)) @ wide.item_vectors().T)[:, 200:].all()


# -- what a score comes from


def _all_contributions(model, X, items):
    """What each score loses without each item that the user has: (n_users, m, n_items), by one call each."""
    every = np.zeros((*items.shape, X.shape[1]))
    for user, row in enumerate(X.toarray()):
        for own in np.flatnonzero(row):
            without = np.where(np.arange(len(row)) == own, 0, row)
            losses = model.decision_function(row[None]) - model.decision_function(without[None])
            every[user, :, own] = losses[0, items[user]]
    return every


def test_an_explanation_is_what_the_score_loses_without_each_of_the_users_items(model, X):
    users = X[400:404]
    items, _ = model.recommend(users, k=3)
    own_items, contributions = model.explain(users, items, k=200)
    assert (own_items.shape, own_items.dtype, contributions.dtype) == ((4, 3, 200), np.int64, np.float32)
    assert (np.diff(contributions)[own_items[..., 1:] >= 0] <= 0).all()
    assert ((own_items == -1) == (contributions == 0)).all()
    found, (user, place, _) = np.zeros((4, 3, 200)), np.nonzero(own_items >= 0)
    found[user, place, own_items[own_items >= 0]] = contributions[own_items >= 0]
    np.testing.assert_allclose(found, _all_contributions(model, users, items), rtol=1e-3, atol=2e-5)
    assert not found[np.repeat(users.toarray()[:, None] == 0, 3, axis=1)].any()
    fewer = model.explain(users, items, k=2)
    assert np.array_equal(fewer[0], own_items[..., :2])
    assert np.array_equal(fewer[1], contributions[..., :2])


def test_no_item_and_no_interaction_have_no_explanation(model, X):
    users = sp.vstack([X[:2], sp.csr_array((1, 200), dtype=np.float32)], format="csr")
    own_items, contributions = model.explain(users, np.array([[7, -1], [-1, 3], [0, 1]]))
    assert (own_items[[0, 1, 2, 2], [1, 0, 0, 1]] == -1).all()
    assert not contributions[[0, 1, 2, 2], [1, 0, 0, 1]].any()
    assert model.explain(users, np.empty((3, 0), int))[0].shape == (3, 0, 5)


def test_explanations_do_not_depend_on_the_size_of_blocks(model, X, monkeypatch):
    items, _ = model.recommend(X[:40], k=2)
    own_items, contributions = model.explain(X[:40], items, k=3)
    monkeypatch.setattr(ranking, "SCORES_PER_BLOCK", 1500)  # seven users
    again, same = model.explain(X[:40], items, k=3)
    assert (own_items == again).mean() > 0.99  # a last-bit difference may swap equals
    np.testing.assert_allclose(contributions, same, rtol=1e-3, atol=2e-5)


def test_users_without_an_item_are_scored_a_block_at_a_time(X, monkeypatch):
    asked = []
    monkeypatch.setattr(ranking, "SCORES_PER_BLOCK", 2000)
    model = Scores(lambda X: asked.append(len(X)) or np.cumsum(X, axis=1)).fit(X)
    own_items, contributions = model.explain(X[:30], np.full((30, 1), 199), k=200)
    assert max(asked) == 10
    assert ((own_items >= 0).sum(axis=2)[:, 0] == np.diff(X[:30].indptr)).all()  # each item counts one
    assert np.array_equal(contributions, own_items >= 0)


def test_a_subclass_is_explained_by_its_own_decision_function(estimator, X):
    items = np.tile(np.arange(5), (3, 1))
    _, expected = estimator.fit(X).explain(X[:3], items, k=200)
    _, contributions = _reversed(estimator).fit(X).explain(X[:3], items, k=200)
    np.testing.assert_allclose(np.sort(contributions), np.sort(-expected), rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([3, 4], r"items must be integer item indices of shape \(n_users, k\), got dtype int64 with shape \(2,\)"),
        ([[3]], "items has 1 rows, X has 2 users: pass one row for each"),
        ([[0.5], [1.0]], "got dtype float64"),
        ([[3], [4, 5]], "as many ranks for each user: fill up with -1"),
        (np.ma.array([[3], [4]], mask=[[0], [1]]), "masked"),
        ([[3], [200]], "items holds item 200; X has items 0 to 199"),
        ([[3], [-2]], "items holds item -2; X has items 0 to 199, and -1 stands for none"),
    ],
)
def test_items_that_cannot_be_explained_are_said(items, message, X):
    model = PopularityRecommender().fit(X)
    with pytest.raises(ValueError, match=message):
        model.explain(X[:2], items)
    with pytest.raises(ValueError, match="k == 0, must be >= 1"):
        model.explain(X[:2], [[0], [0]], k=0)


# -- invariances, on data 5 % full


def test_answers_do_not_depend_on_who_else_is_in_X(model, answers, X):
    single = [_answers(model, X[i : i + 1]) for i in range(400, 420)]
    together = {name: np.concatenate([answer[name] for answer in single]) for name in answers}
    _assert_close({name: answer[400:420] for name, answer in answers.items()}, together)


def test_answers_follow_the_order_of_users(model, answers, X):
    order = np.random.default_rng(0).permutation(500)
    _assert_close({name: answer[order] for name, answer in answers.items()}, _answers(model, X[order]))


def test_answers_are_the_same_when_asked_again_and_leave_the_model_as_it_was(model, answers, X):
    before = {name: (id(value), repr(value)) for name, value in vars(model).items()}
    assert _equal(answers, _answers(model, X))
    model.score(X)
    assert before == {name: (id(value), repr(value)) for name, value in vars(model).items()}


@pytest.mark.filterwarnings("ignore:partial_fit adds users")
def test_global_random_states_are_not_touched(estimator, X):
    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state().clone()  # noqa: NPY002
    _answers(estimator.fit(X), X)
    getattr(estimator, "partial_fit", estimator.fit)(X)
    assert np.array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(torch_state, torch.get_rng_state())


def test_a_refit_and_a_fit_of_a_clone_and_with_labels_give_the_same_model(estimator, X):
    expected = _answers(estimator.fit(X), X)
    assert _equal(_answers(clone(estimator).fit(X, np.arange(500)), X), expected)
    assert _equal(_answers(estimator.fit(X[:, ::-1]).fit(X), X), expected)


def test_a_model_knows_whom_it_was_fitted_on(model, X):
    assert model.was_fitted_on(X).tolist() == [True] * 400 + [False] * 100


def test_users_without_any_item_change_nothing_that_is_learned(estimator, X):
    with_empty = sp.vstack([X[:200], sp.csr_array((50, 200), dtype=np.float32), X[200:]], format="csr")
    assert _equal(_answers(clone(estimator).fit(with_empty), X), _answers(estimator.fit(X), X))


# -- containers


@pytest.fixture(scope="module", params=RECOMMENDERS)
def of_csr(request, X):
    """A recommender fitted on 100 users in csr, on whom it is also validated, if it ever is."""
    model = _fit_and_validate(_quick(request.param), X[:100])
    return model, _answers(model, X[:100])


def _fit_and_validate(estimator, X):
    if not has_fit_parameter(estimator, "X_val"):
        return clone(estimator).fit(X)
    with pytest.warns(UserWarning, match="Most users of X_val are users of X, 100 of 100"):
        return clone(estimator).fit(X, X_val=X)


@pytest.mark.parametrize("container", [*CONTAINERS_OF_ONES, "lil_array"])
def test_every_container_gives_the_same_model_and_answers_and_is_not_modified(of_csr, X, container):
    expected, answers = of_csr
    users = (CONTAINERS_OF_ONES | {"lil_array": sp.lil_array})[container](X[:100])
    with left_alone(users):
        model = _fit_and_validate(expected, users)
        assert _equal(_answers(model, users), answers)
        assert model.score(users) == expected.score(X[:100])


# -- saving


def _through_joblib(model, path, **options):
    joblib.dump(model, path / "model.joblib")
    return joblib.load(path / "model.joblib", **options)


def _trusted(model):
    """A recommender's own class and its members'."""
    members = [member for _, member in getattr(model, "estimators", []) if member != "drop"]
    return sorted({f"{type(part).__module__}.{type(part).__qualname__}" for part in (model, *members)})


def _through_skops(model, path):
    skops.io.dump(model, path / "model.skops")
    assert skops.io.get_untrusted_types(file=path / "model.skops") == _trusted(model)
    return skops.io.load(path / "model.skops", trusted=_trusted(model))


SAVING = {
    "joblib": _through_joblib,
    "joblib, memory-mapped": lambda model, path: _through_joblib(model, path, mmap_mode="r"),
    "pickle": lambda model, path: pickle.loads(pickle.dumps(model)),
    "cloudpickle": lambda model, path: pickle.loads(cloudpickle.dumps(model)),
    "deepcopy": lambda model, path: copy.deepcopy(model),
    "skops, trusting the recommenders alone": _through_skops,
    "skvae": through_skvae,
    "skvae, memory-mapped": lambda model, path: through_skvae(model, path, mmap_mode="r"),
}


@pytest.mark.filterwarnings("ignore:partial_fit adds users")
@pytest.mark.parametrize("saving", SAVING)
def test_a_saved_model_answers_to_the_bit_and_can_be_trained_on(model, answers, X, saving, tmp_path):
    loaded = SAVING[saving](model, tmp_path)
    assert _equal(_answers(loaded, X), answers)
    assert repr(loaded.get_params()) == repr(model.get_params())
    trained = getattr(loaded, "partial_fit", loaded.fit)(X[:100])
    assert not np.array_equal(trained.decision_function(X), answers["decision_function"])


# -- in pipelines and cross-validation, on tables

STEPS = [Binarizer(threshold=2.5), MaxAbsScaler(), TfidfTransformer(), FunctionTransformer(np.log1p)]


@pytest.fixture(scope="module")
def ratings(X):
    rated = X.copy()
    rated.data = np.random.default_rng(0).integers(1, 6, X.nnz).astype(np.float32)
    return rated


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_pipeline_with_a_step_before_the_recommender_does_everything(estimator, ratings, step):
    pipeline = make_pipeline(clone(step), estimator).fit(ratings[:400])
    alone = clone(estimator).fit(clone(step).fit_transform(ratings[:400]))
    users = ratings[400:]
    for name in {"decision_function", "transform"} & set(dir(alone)):
        assert np.array_equal(getattr(pipeline, name)(users), getattr(alone, name)(pipeline[0].transform(users)))
    assert pipeline.predict(users).shape == (100,)
    items, _ = recommend(pipeline, users, k=5)
    assert not users[np.repeat(np.arange(100), 5), items.ravel()].any()
    assert 0 < ndcg_scorer(pipeline, users) <= 1
    assert evaluate(pipeline, users).n_users > 0


def test_with_a_threshold_in_the_pipeline_min_value_makes_the_scorer_count_the_same_entries(estimator, ratings):
    pipeline = make_pipeline(Binarizer(threshold=2.5), estimator).fit(ratings[:400])
    fold_in, held_out = fold_in_split(ratings[400:])
    expected = RankingScorer()(pipeline, fold_in, held_out > 2.5)
    assert RankingScorer(min_value=2.5)(pipeline, ratings[400:]) == pytest.approx(expected)


def test_a_step_that_drops_columns_is_named_as_the_cause(estimator, X):
    pipeline = make_pipeline(FunctionTransformer(first_half), estimator).fit(X)
    with pytest.raises(ValueError, match="Does a step before the recommender drop columns"):
        recommend(pipeline, X)


def test_cross_validation_functions(estimator, X):
    scores = cross_val_score(estimator, X, cv=UserKFold(2), scoring=ndcg_scorer)
    several = cross_validate(estimator, X, cv=UserKFold(2), scoring=RankingScorer(["ndcg@100", "mrr@10"]))
    assert np.array_equal(scores, several["test_ndcg@100"])
    assert np.array_equal(scores, cross_val_score(estimator, X, cv=UserKFold(2)))


def test_a_data_frame_with_names_gives_the_same_and_its_names_are_held_to(estimator, X):
    table, expected = frame(X), clone(estimator).fit(X)
    model = estimator.fit(table)
    assert list(model.feature_names_in_) == list(table.columns)
    assert _equal(_answers(model, table), _answers(expected, X))
    assert model.score(table) == expected.score(X) == ndcg_scorer(model, table)
    with pytest.raises(ValueError, match="feature names should match"):
        model.recommend(table[table.columns[::-1]])


# -- numbers as a search over a NumPy array passes them


def _as_numpy(value):
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return np.int64(value)
    if isinstance(value, tuple):
        return tuple(map(np.int64, value))
    return np.float64(value) if isinstance(value, float) else value


def test_numpy_s_numbers_are_those_of_python(estimator, X):
    parameters = estimator.get_params(deep=False) | {"batch_size": 50, "early_stopping": False, "n_iter_no_change": 3}
    own = {name: parameters[name] for name in estimator.get_params(deep=False)}
    converted = {name: _as_numpy(value) for name, value in own.items()}
    expected, model = (clone(estimator).set_params(**values).fit(X) for values in (own, converted))
    assert _equal(_answers(model, X), _answers(expected, X))
    for name, value in vars(expected).items():
        if name.endswith("_") and isinstance(value, (bool, int, float)):
            assert type(vars(model)[name]) is type(value), name


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_no_parameter_takes_nan_or_infinity(estimator, X, value):
    for name in estimator.get_params(deep=False):
        if name not in ("random_state", "estimators"):
            with pytest.raises((ValueError, TypeError), match=name):
                clone(estimator).set_params(**{name: value}).fit(X)


# -- bad input

AUTOENCODER_ERRORS = [
    ({"n_components": 0}, ValueError, "n_components == 0, must be >= 1"),
    ({"n_components": 2.5}, TypeError, "n_components must be an instance of int"),
    ({"hidden_layer_sizes": 600}, ValueError, "hidden_layer_sizes must be a tuple of positive ints"),
    ({"hidden_layer_sizes": (0,)}, ValueError, "hidden_layer_sizes must be a tuple of positive ints"),
    ({"activation": "gelu"}, ValueError, "activation must be one of identity, relu"),
    ({"likelihood": "poisson"}, ValueError, "likelihood must be one of gaussian, logistic, multinomial, or an"),
    ({"likelihood": 3}, ValueError, "likelihood must be one of"),
    ({"likelihood": Multinomial}, TypeError, r"likelihood must be an object, got the class Multinomial: write Mul.*\("),
    ({"dropout": 1.0}, ValueError, "dropout == 1.0, must be < 1"),
    ({"dropout": -0.1}, ValueError, "dropout == -0.1, must be >= 0"),
    ({"dropout": "half"}, TypeError, "dropout must be an instance of float"),
    ({"learning_rate": 0}, ValueError, "learning_rate == 0, must be > 0"),
    ({"l2_regularization": -1}, ValueError, "l2_regularization == -1, must be >= 0"),
    ({"batch_size": 0}, ValueError, "batch_size == 0, must be >= 1"),
    ({"batch_size": "all"}, ValueError, "batch_size must be a number or \"auto\", got 'all'"),
    ({"batch_size": 1.5}, TypeError, "batch_size must be an instance of int"),
    ({"max_iter": 0}, ValueError, "max_iter == 0, must be >= 1"),
    ({"early_stopping": "yes"}, ValueError, 'early_stopping must be "auto", True or False'),
    ({"validation_fraction": 1.0}, ValueError, "validation_fraction == 1.0, must be < 1"),
    ({"n_iter_no_change": 0}, ValueError, "n_iter_no_change == 0, must be >= 1"),
    ({"n_iter_no_change": "long"}, ValueError, 'n_iter_no_change must be a number or "auto"'),
    ({"n_sampled_items": 0}, ValueError, "n_sampled_items == 0, must be >= 1"),
    ({"averaging_epochs": -1}, ValueError, "averaging_epochs == -1, must be >= 0"),
    ({"warm_start": "yes"}, TypeError, "warm_start must be"),
    ({"precision": "float64"}, ValueError, "precision must be one of auto, bfloat16, float32, got 'float64'"),
    ({"device": "abacus"}, ValueError, "device='abacus' is not present on this machine"),
    ({"device": 0}, TypeError, "device must be a str"),
    ({"random_state": "seed"}, ValueError, "cannot be used to seed"),
    ({"verbose": "loud"}, TypeError, "verbose must be"),
]
TARGET_ERRORS = [
    ({"target": "kept"}, ValueError, "target must be one of all, dropped, or \"auto\", got 'kept'"),
    ({"target": "dropped", "dropout": 0}, ValueError, 'target="dropped" needs dropout above 0: use target="all", or'),
    (
        {"target": "dropped", "likelihood": SimpleNamespace(log_prob=None, mean=None)},
        ValueError,
        'target="dropped" needs a likelihood that says takes_unknown = True: use target="all", or "auto".',
    ),
]
POPULARITY = PopularityRecommender()
ERRORS = {
    "ease": [
        ({"l2_regularization": 0}, ValueError, "l2_regularization == 0, must be > 0"),
        ({"l2_regularization": -1}, ValueError, "l2_regularization == -1, must be > 0"),
        ({"l2_regularization": "1"}, TypeError, "l2_regularization must be an instance of float"),
        ({"device": "cuda:99"}, ValueError, "device='cuda:99' is not present on this machine"),
        ({"device": 0}, TypeError, "device must be a str"),
    ],
    "linear": [
        ({"l2_regularization": 0}, ValueError, "l2_regularization == 0, must be > 0"),
        ({"l2_regularization": "best"}, ValueError, "l2_regularization must be a number or \"auto\", got 'best'"),
        ({"dropout": 1}, ValueError, "dropout == 1, must be < 1"),
        ({"user_exponent": -0.1}, ValueError, "user_exponent == -0.1, must be >= 0"),
        ({"item_exponent": 2}, ValueError, "item_exponent == 2, must be <= 1"),
        ({"item_exponent": None}, TypeError, "item_exponent must be an instance of float"),
        ({"diagonal": 1.5}, ValueError, "diagonal == 1.5, must be <= 1"),
        ({"diagonal": "none"}, ValueError, "diagonal must be \"zero\" or a number from 0 to 1, got 'none'"),
        ({"keep_gram": "yes"}, TypeError, "keep_gram must be an instance of"),
        ({"device": "cuda:99"}, ValueError, "device='cuda:99' is not present on this machine"),
    ],
    "vae": [
        *AUTOENCODER_ERRORS,
        *TARGET_ERRORS,
        ({"anneal_cap": -0.1}, ValueError, "anneal_cap == -0.1, must be >= 0"),
        ({"anneal_cap": "0.2"}, ValueError, 'anneal_cap must be a number or "auto", got'),
        ({"total_anneal_steps": -1}, ValueError, "total_anneal_steps == -1, must be >= 0"),
        ({"total_anneal_steps": "half"}, ValueError, 'total_anneal_steps must be a number or "auto"'),
        ({"kl_weighting": "per_item"}, ValueError, "kl_weighting must be one of constant, per_user, got 'per_item'"),
        ({"decoder_hidden_layer_sizes": 600}, ValueError, "decoder_hidden_layer_sizes must be a tuple of positive"),
        *(
            (
                {"prior": prior},
                ValueError,
                "prior must be one of composite, standard_normal, or an object with log_prob, got",
            )
            for prior in ("laplace", 3, object())
        ),
    ],
    "dae": [*AUTOENCODER_ERRORS, *TARGET_ERRORS],
    "recvae": [
        *AUTOENCODER_ERRORS,
        ({"gamma": -1}, ValueError, "gamma == -1, must be >= 0"),
        ({"gamma": "0.005"}, TypeError, "gamma must be an instance of float"),
        ({"n_encoder_passes": -1}, ValueError, "n_encoder_passes == -1, must be >= 0"),
        ({"n_encoder_passes": 1.5}, TypeError, "n_encoder_passes must be an instance of int"),
        ({"hidden_layer_sizes": (8, 6)}, ValueError, r"hidden_layer_sizes must be of one width, .* got \(8, 6\)"),
    ],
    "blend": [
        ({"estimators": []}, ValueError, "estimators holds no member to blend"),
        ({"estimators": [("a", "drop")]}, ValueError, "no member to blend, got.*drop"),
        ({"estimators": [POPULARITY]}, TypeError, "estimators must be a list of .name, estimator. pairs"),
        ({"estimators": [("a", POPULARITY), ("a", POPULARITY)]}, ValueError, "Names provided are not unique"),
        ({"estimators": [("a__b", POPULARITY)]}, ValueError, "must not contain __"),
        ({"estimators": [("weights", POPULARITY)]}, ValueError, "conflict with constructor arguments"),
        ({"estimators": [("a", Binarizer())]}, TypeError, "The member 'a', Binarizer.*has no decision_function"),
        ({"weights": [1]}, ValueError, "weights must be 2, one per member, got .1."),
        ({"weights": None}, ValueError, "weights must be 2, one per member, got None"),
        ({"weights": [1, -1]}, ValueError, "finite, not negative and not all 0, got .1, -1"),
        ({"weights": [0, 0]}, ValueError, "finite, not negative and not all 0, got .0, 0"),
        ({"weights": [1, float("nan")]}, ValueError, "finite, not negative and not all 0, got .1, nan"),
        ({"weights": "equal"}, ValueError, 'weights must be "auto" or a list of numbers, got .equal'),
        ({"validation_fraction": 1.0}, ValueError, "validation_fraction == 1.0, must be < 1"),
        ({"prefit": "yes"}, TypeError, "prefit must be an instance of"),
    ],
}


@pytest.mark.parametrize(
    ("name", "parameters", "error", "message"), [(name, *row) for name, rows in ERRORS.items() for row in rows]
)
def test_a_parameter_out_of_type_or_range_is_said_in_one_sentence(name, parameters, error, message, X, monkeypatch):
    monkeypatch.setattr(PopularityRecommender, "fit", lambda *args: pytest.fail("a member was fitted"))
    estimator = type(RECOMMENDERS[name])(**RECOMMENDERS[name].get_params(deep=False) | parameters)
    for fit in {estimator.fit, getattr(estimator, "partial_fit", estimator.fit)}:
        with pytest.raises(error, match=message):
            fit(X)
    assert not hasattr(estimator, "weights_")


def _with(value):
    X = np.ones((10, 8), np.float32)
    X[3, 4] = value
    return X


ZEROS_STORED = sp.csr_array(np.ones((10, 8))) * 0
BAD_X = {
    "negative": (_with(-1), "Negative values in data passed to"),
    "nan": (_with(np.nan), "contains NaN"),
    "inf": (_with(np.inf), "contains infinity"),
    "no interaction": (np.zeros((10, 8)), r"X of shape \(10, 8\) holds no interaction: every entry is 0"),
    "zeros stored": (ZEROS_STORED, r"X of shape \(10, 8\) holds no interaction: every entry is 0"),
    "no user": (np.zeros((0, 8)), "0 sample"),
}


@pytest.mark.parametrize("container", [np.array, sp.csr_array])
@pytest.mark.parametrize("bad", BAD_X)
def test_bad_values_of_X_are_said_in_one_sentence(estimator, container, bad):
    X, message = BAD_X[bad]
    with pytest.raises(ValueError, match=message):
        estimator.fit(X if sp.issparse(X) else container(X))


CALLS = ("decision_function", "predict", "recommend", "score", "transform", "score_samples", "explain")


def _call(model, name, X):
    return model.explain(X, np.zeros((X.shape[0], 1), int)) if name == "explain" else getattr(model, name)(X)


def test_another_number_of_items_is_refused_everywhere(estimator, X):
    model = clone(estimator).fit(X)
    for name in {*CALLS, "partial_fit"} & set(dir(model)):
        with pytest.raises(ValueError, match=f"X has 100 features, but {type(model).__name__} is expecting 200"):
            _call(model, name, X[:, :100])
    with pytest.raises(ValueError, match=r"as many rows as the model has items: where its rows are items, pass X\.T"):
        model.recommend(X.T)
    if has_fit_parameter(estimator, "X_val"):
        for X_val, name in ((X[:, :100], "X_val"), ((X, X[:, :100]), r"X_val\[1\]")):
            with pytest.raises(ValueError, match=f"^{name} has 100 columns, X has 200: they must be the same"):
                estimator.fit(X, X_val=X_val)


def test_columns_that_are_numbers_of_items_are_compared(estimator, X, tmp_path):
    table = pd.DataFrame(X.toarray(), columns=np.arange(1000, 1200))
    model = clone(estimator).fit(table)
    skvae.save(model, tmp_path / "model")
    for fitted in (model, skvae.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        for other in (table[table.columns[::-1]], table.set_axis(range(500, 700), axis=1)):
            for call in (fitted.recommend, partial(evaluate, fitted), getattr(fitted, "partial_fit", fitted.predict)):
                with pytest.raises(
                    ValueError, match=r"^X has the column '\d+' where .* was fitted with '1000' \(column 0"
                ):
                    call(other)
        np.testing.assert_array_equal(fitted.predict(table), fitted.predict(X))
        assert (fitted.predict(table.set_axis(np.arange(1000.0, 1200), axis=1)) == fitted.predict(X)).all()
    assert not hasattr(clone(model).fit(X), "_column_labels")
    numbered, mixed = pd.DataFrame(X.toarray()), pd.DataFrame(X.toarray())[[*range(1, 200), 0]]
    for fitted_on, other in ((numbered, mixed), (mixed, numbered)):
        with pytest.raises(ValueError, match=r"^X has the column '[01]' where .* was fitted with '[01]'"):
            clone(estimator).fit(fitted_on).predict(other)
    lacking = table.set_axis([pd.NA, *range(199)], axis=1)
    assert (clone(estimator).fit(lacking).predict(lacking) == fitted.predict(X)).all()
    if hasattr(model, "add_items"):
        wide = table.assign(new=1).rename(columns={"new": 7})
        with pytest.raises(ValueError, match=r"add_items\(1, names=X.columns\[-1:\]\)"):
            model.predict(wide)
        for names in (["7"], [1000], [7, 8], [[7]]):
            with pytest.raises(ValueError, match="names must be 1 labels like the others"):
                model.add_items(1, names=names)
        model.add_items(1, names=np.array([7.0])).predict(wide)


def test_more_items_than_the_model_has_are_told_of_add_items(estimator, X):
    model, wider = clone(estimator).fit(X[:, :198]), pd.DataFrame(X.toarray())
    for name in {*CALLS, "partial_fit"} & set(dir(model)) if hasattr(model, "add_items") else ():
        for more in (X, wider):
            with pytest.raises(
                ValueError, match=r"expecting 198 .*\nWhere the last columns are new items, add_items\(2\)"
            ):
                _call(model, name, more)


def test_a_held_out_matrix_of_another_shape_is_refused(estimator, X):
    message = r"y has shape \(400, 200\), X has \(500, 200\)"
    with pytest.raises(ValueError, match=message):
        clone(estimator).fit(X).score(X, X[:400])
    if has_fit_parameter(estimator, "X_val"):
        with pytest.raises(ValueError, match=r"X_val\[1\] has shape \(400, 200\), X_val\[0\] has \(500, 200\)"):
            estimator.fit(X, X_val=(X, X[:400]))


def _assert_not_fitted(model, X):
    for name in {*CALLS, "inverse_transform"} & set(dir(model)):
        with pytest.raises(NotFittedError, match="is not fitted yet"):
            _call(model, name, X)


def test_calling_before_fit_says_so(estimator, X):
    _assert_not_fitted(estimator, X)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda X: 0 * X[:, :150], "holds no interaction"),
        (lambda X: -X[:, :150], "Negative values"),
        (lambda X: np.full((3, 150), np.nan), "NaN|fill with 0"),
    ],
    ids=["no interaction", "negative", "nan"],
)
def test_a_refit_that_is_refused_leaves_the_model_as_it_was(estimator, X, bad, message):
    frame = pd.DataFrame(X.toarray(), columns=[f"item {i}" for i in range(200)])
    model = estimator.fit(frame)
    before, expected = dict(vars(model)), _answers(model, frame)
    with pytest.raises(ValueError, match=message):
        model.fit(bad(X))
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
    assert _equal(_answers(model, frame), expected)


@pytest.mark.parametrize("name", RECOMMENDERS)
def test_calling_after_a_first_fit_that_failed_says_so(name, X):
    estimator = clone(RECOMMENDERS[name])
    with pytest.raises(ValueError, match="holds no interaction"):
        estimator.fit(0 * X)
    _assert_not_fitted(estimator, X)


@pytest.mark.parametrize("name", [name for name in RECOMMENDERS if name != "popularity"])  # it has no parameter
def test_a_fit_that_fails_leaves_no_model_of_before_under_new_parameters(name, X):
    model = _quick(name).fit(X)
    _set(model, learning_rate=1e30, likelihood="gaussian", max_iter=50, l2_regularization=1e-9, dropout=0)
    with pytest.raises(ValueError, match=r"training diverged|l2_regularization=1e-09 is too small"):
        model.fit(np.full((30, 200), 1e8))
    _assert_not_fitted(model, X)
