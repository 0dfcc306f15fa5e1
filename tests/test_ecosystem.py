"""In pipelines and searches, on tables, saved and loaded. Warnings are errors."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from conftest import frame
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler

from skvae import (
    EASERecommender,
    MultDAERecommender,
    PopularityRecommender,
    RankingScorer,
    UserKFold,
    fold_in_split,
    ndcg_scorer,
    recommend,
)

CV = UserKFold(2)


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


def test_grid_search_takes_a_scorer_for_each_name_and_refits_by_one(X):
    scorers = {"ndcg": ndcg_scorer, "recall": RankingScorer("recall@20")}
    grid = {"l2_regularization": [1.0, 100.0]}
    search = GridSearchCV(EASERecommender(), grid, cv=CV, scoring=scorers, refit="recall").fit(X)
    assert search.best_score_ == search.cv_results_["mean_test_recall"].max()
    assert (search.cv_results_["mean_test_ndcg"] > 0).all()


def test_grid_search_takes_held_out_as_a_sparse_y(estimator, X):
    (fold_in, held_out), scores = fold_in_split(X), []
    for container, scoring in ((sp.csr_array, ndcg_scorer), (sp.csr_matrix, None)):
        search = GridSearchCV(estimator, {"dropout": [0.0, 0.5]}, cv=CV, scoring=scoring)
        scores.append(search.fit(container(fold_in), container(held_out)).best_score_)
    assert 0 < scores[0] < 1
    assert scores[0] == pytest.approx(scores[1])


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


# -- tables


def test_a_data_frame_with_names_goes_through_a_search(estimator, X):
    search = GridSearchCV(estimator, {"dropout": [0.0, 0.5]}, cv=CV, scoring=ndcg_scorer, n_jobs=2).fit(frame(X))
    assert list(search.feature_names_in_) == list(frame(X).columns)
    assert recommend(search, frame(X))[0].shape == (500, 10)


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


def test_optimizer_state_is_not_saved(estimator, X):
    model = estimator.partial_fit(X)
    assert model._training_state is not None
    assert pickle.loads(pickle.dumps(model))._training_state is None
    size = sum(weight.nbytes for weight in model.weights_.values())
    assert len(pickle.dumps(model)) < size + 10_000


def test_baseline_in_the_same_search_as_the_models(X):
    pipeline = Pipeline([("model", PopularityRecommender())])
    candidates = {"model": [PopularityRecommender(), MultDAERecommender(4, max_iter=30, random_state=0)]}
    search = GridSearchCV(pipeline, candidates, cv=CV, scoring=ndcg_scorer).fit(X)
    assert isinstance(search.best_params_["model"], MultDAERecommender)
