"""In pipelines and searches, on tables, saved and loaded. Warnings are errors."""

import copy
import pickle

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
import skops.io
from conftest import SMALL_DAE, SMALL_VAE
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Binarizer, FunctionTransformer, MaxAbsScaler

import skvae
from skvae import (
    BlendRecommender,
    EASERecommender,
    MultDAERecommender,
    PopularityRecommender,
    RankingScorer,
    UserKFold,
    evaluate,
    fold_in_split,
    ndcg_scorer,
    recommend,
)

CV = UserKFold(2)


@pytest.fixture(scope="module")
def ratings(X):
    rated = X.copy()
    rated.data = np.random.default_rng(0).integers(1, 6, X.nnz).astype(np.float32)
    return rated


@pytest.mark.parametrize(
    "step", [Binarizer(threshold=2.5), MaxAbsScaler(), TfidfTransformer(), FunctionTransformer(np.log1p)], ids=str
)
def test_a_pipeline_with_a_step_before_the_estimator_does_everything(estimator, ratings, step):
    pipeline = make_pipeline(clone(step), estimator).fit(ratings[:400])
    alone = clone(estimator).fit(clone(step).fit_transform(ratings[:400]))
    users = ratings[400:]
    transformed = pipeline[0].transform(users)
    assert np.array_equal(pipeline.decision_function(users), alone.decision_function(transformed))
    assert np.array_equal(pipeline.transform(users), alone.transform(transformed))
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
    pipeline = make_pipeline(FunctionTransformer(_first_half), estimator).fit(X)
    with pytest.raises(ValueError, match="Does a step before the recommender drop columns"):
        recommend(pipeline, X)


def _first_half(X):
    return X[:, :100]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search_finds_the_same_with_one_and_two_workers(estimator, X, n_jobs):
    search = GridSearchCV(estimator, {"dropout": [0.0, 0.5]}, cv=CV, scoring=ndcg_scorer, n_jobs=n_jobs)
    search.fit(X)
    by_hand = [
        np.mean([ndcg_scorer(clone(estimator).set_params(dropout=d).fit(X[tr]), X[te]) for tr, te in CV.split(X)])
        for d in (0.0, 0.5)
    ]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], by_hand, rtol=1e-4)
    assert search.predict(X).shape == (500,)
    assert recommend(search, X, k=3)[0].shape == (500, 3)


def test_grid_search_takes_several_metrics_and_refits_by_name(estimator, X):
    scorer = RankingScorer(["ndcg@100", "recall@20"])
    search = GridSearchCV(estimator, {"dropout": [0.0, 0.5]}, cv=CV, scoring=scorer, refit="recall@20").fit(X)
    assert search.best_score_ == search.cv_results_["mean_test_recall@20"].max()
    named = {"ndcg": ndcg_scorer, "recall": RankingScorer("recall@20")}
    again = GridSearchCV(estimator, {"dropout": [0.0, 0.5]}, cv=CV, scoring=named, refit="recall").fit(X)
    assert np.array_equal(again.cv_results_["mean_test_recall"], search.cv_results_["mean_test_recall@20"])


def test_grid_search_takes_held_out_as_a_sparse_y(estimator, X):
    fold_in, held_out = fold_in_split(X)
    for container in (sp.csr_array, sp.csr_matrix):
        search = GridSearchCV(estimator, {"dropout": [0.0, 0.5]}, cv=CV, scoring=ndcg_scorer)
        search.fit(container(fold_in), container(held_out))
        assert 0 < search.best_score_ < 1
        default = GridSearchCV(estimator, {"dropout": [0.0, 0.5]}, cv=CV).fit(container(fold_in), container(held_out))
        assert default.best_score_ == pytest.approx(search.best_score_)


def test_a_validation_pair_reaches_fit_through_a_search_of_a_pipeline(estimator, X):
    pair = fold_in_split(X[400:])
    with sklearn.config_context(enable_metadata_routing=True):
        routed = clone(estimator).set_fit_request(X_val=True)
        search = GridSearchCV(routed, {"dropout": [0.0, 0.5]}, cv=CV, scoring=ndcg_scorer)
        search.fit(X[:400], X_val=pair)
        assert len(search.best_estimator_.validation_scores_) == 5
        pipeline = Pipeline([("scale", MaxAbsScaler()), ("model", routed)]).fit(X[:400], X_val=pair)
        assert len(pipeline[-1].validation_scores_) == 5


def test_halving_search_over_epochs(estimator, X):
    search = HalvingGridSearchCV(
        estimator, {"dropout": [0.0, 0.3, 0.5]}, cv=CV, scoring=ndcg_scorer, resource="max_iter", max_resources=9
    ).fit(X)
    assert search.best_estimator_.max_iter == 9


def test_cross_validation_functions(estimator, X):
    scores = cross_val_score(estimator, X, cv=CV, scoring=ndcg_scorer)
    several = cross_validate(estimator, X, cv=CV, scoring=RankingScorer(["ndcg@100", "mrr@10"]))
    assert np.array_equal(scores, several["test_ndcg@100"])
    assert np.array_equal(scores, cross_val_score(estimator, X, cv=CV))


def test_clone_and_set_params_keep_every_parameter(estimator):
    changed = {"dropout": 0.1, "batch_size": 7, "hidden_layer_sizes": (3, 4), "random_state": 3}
    assert clone(estimator.set_params(**changed)).get_params() == estimator.get_params()
    assert estimator.get_params()["hidden_layer_sizes"] == (3, 4)


# -- tables


def _frame(X):
    names = [f"item {i}" for i in range(X.shape[1])]
    return pd.DataFrame(X.toarray(), columns=names, index=[f"user {i}" for i in range(X.shape[0])])


def test_a_data_frame_with_names_goes_through_everything(estimator, X):
    table, expected = _frame(X), clone(estimator).fit(X)
    model = estimator.fit(table, X_val=None)
    assert list(model.feature_names_in_) == list(table.columns)
    assert np.array_equal(model.recommend(table)[0], expected.recommend(X)[0])
    assert np.array_equal(model.predict(table), expected.predict(X))
    assert model.score(table) == expected.score(X) == ndcg_scorer(model, table)
    search = GridSearchCV(clone(estimator), {"dropout": [0.0, 0.5]}, cv=CV, scoring=ndcg_scorer, n_jobs=2).fit(table)
    assert recommend(search, table)[0].shape == (500, 10)
    assert estimator.fit(table, X_val=table).validation_scores_
    with pytest.raises(ValueError, match="feature names should match"):
        model.recommend(table[table.columns[::-1]])


def test_set_output_gives_named_components_and_disturbs_nothing_else(estimator, X):
    expected = clone(estimator).fit(X).inverse_transform(clone(estimator).fit(X).transform(X))
    model = estimator.set_output(transform="pandas").fit(X)
    codes = model.transform(X)
    assert list(codes.columns) == list(model.get_feature_names_out())
    assert codes.columns[0] == type(model).__name__.lower() + "0"
    assert codes.shape == (500, 8)
    assert np.array_equal(model.inverse_transform(codes), expected)
    assert model.score_samples(X).shape == (500,)
    assert model.recommend(X)[0].shape == (500, 10)


# -- saving


def _through_joblib(model, path, **options):
    joblib.dump(model, path / "model.joblib")
    return joblib.load(path / "model.joblib", **options)


def _through_skops(model, path):
    skops.io.dump(model, path / "model.skops")
    return skops.io.load(path / "model.skops", trusted=[_type_name(model)])


def _type_name(model):
    return f"{type(model).__module__}.{type(model).__qualname__}"


SAVING = {
    "joblib": _through_joblib,
    "joblib, memory-mapped": lambda model, path: _through_joblib(model, path, mmap_mode="r"),
    "pickle": lambda model, path: pickle.loads(pickle.dumps(model)),
    "cloudpickle": lambda model, path: pickle.loads(cloudpickle.dumps(model)),
    "deepcopy": lambda model, path: copy.deepcopy(model),
    "skops": _through_skops,
}


@pytest.mark.parametrize("saving", SAVING)
def test_a_saved_model_answers_to_the_bit_and_can_be_trained_on(estimator, X, saving, tmp_path):
    model = estimator.fit(X)
    loaded = SAVING[saving](model, tmp_path)
    assert np.array_equal(model.decision_function(X), loaded.decision_function(X))
    assert np.array_equal(model.score_samples(X), loaded.score_samples(X))
    assert np.array_equal(model.recommend(X)[0], loaded.recommend(X)[0])
    assert loaded.get_params() == model.get_params()
    loaded.partial_fit(X)
    assert loaded.n_iter_ == model.n_iter_ + 1


EASE, POPULARITY = EASERecommender(), PopularityRecommender()


@pytest.mark.parametrize(
    ("model", "members"),
    [
        (SMALL_VAE, []),
        (SMALL_DAE, []),
        (EASE, []),
        (POPULARITY, []),
        (BlendRecommender([("ease", EASE), ("vae", SMALL_VAE)]), [EASE, SMALL_VAE]),
        (BlendRecommender([("ease", EASE), ("popularity", "drop"), ("dae", SMALL_DAE)]), [EASE, SMALL_DAE]),
    ],
    ids=["vae", "dae", "ease", "popularity", "blend", "blend with a dropped member"],
)
def test_skops_asks_for_trust_in_no_class_but_the_recommenders_own(model, members, X):
    fitted = clone(model).fit(X)
    saved = skops.io.dumps(fitted)
    trusted = [_type_name(part) for part in (model, *members)]
    assert sorted(skops.io.get_untrusted_types(data=saved)) == sorted(trusted)
    loaded = skops.io.loads(saved, trusted=trusted)
    assert np.array_equal(loaded.decision_function(X), fitted.decision_function(X))
    assert np.array_equal(loaded.recommend(X)[0], fitted.recommend(X)[0])


def test_optimizer_state_is_not_saved(estimator, X):
    model = estimator.partial_fit(X)
    assert model._training_state is not None
    assert pickle.loads(pickle.dumps(model))._training_state is None
    size = sum(weight.nbytes for weight in model.weights_.values())
    assert len(pickle.dumps(model)) < size + 10_000


def test_a_model_of_a_later_format_is_refused(estimator, X, monkeypatch):
    monkeypatch.setattr(skvae.autoencoder, "FORMAT_VERSION", 99)
    saved = pickle.dumps(estimator.fit(X))
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"saved in format 99, .* upgrade skvae"):
        pickle.loads(saved)


def test_baseline_in_the_same_search_as_the_models(X):
    pipeline = Pipeline([("model", PopularityRecommender())])
    candidates = {"model": [PopularityRecommender(), MultDAERecommender(4, max_iter=30, random_state=0)]}
    search = GridSearchCV(pipeline, candidates, cv=CV, scoring=ndcg_scorer).fit(X)
    assert isinstance(search.best_params_["model"], MultDAERecommender)
