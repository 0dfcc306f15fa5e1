"""The scorers against hiding, recommending and scoring by hand."""

import math
import pickle
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer

from skvae import (
    PopularityRecommender,
    RankingScorer,
    UserKFold,
    evaluate,
    fold_in_split,
    ndcg_scorer,
    recommend,
)
from skvae.datasets import make_interactions
from skvae.metrics import METRICS, recall_at_k
from skvae.scoring import hide_items, metric_functions, score_users

X = make_interactions(60, 30, density=0.3, random_state=0)
TRAIN, TEST = X[:40], X[40:]
TEST_WITH_LIGHT_USERS = sp.csr_array(sp.vstack([TEST, sp.csr_array(np.eye(3, 30, dtype=np.float32))]))
MODEL = PopularityRecommender().fit(TRAIN)


def ndcg_by_hand(model, X, k, **kwargs):
    """Mean NDCG@k with plain loops over the parts of fold_in_split."""
    fold_in, held_out = (part.toarray() for part in fold_in_split(sp.csr_array(X), **kwargs))
    values = []
    for seen, hidden in zip(fold_in, held_out, strict=True):
        wanted = set(np.flatnonzero(hidden))
        if not wanted:
            continue
        items, _ = recommend(model, seen[None], k)
        gains = [1 / math.log2(rank + 2) if item in wanted else 0 for rank, item in enumerate(items[0])]
        values.append(sum(gains) / sum(1 / math.log2(rank + 2) for rank in range(min(k, len(wanted)))))
    return sum(values) / len(values)


@pytest.mark.parametrize("users", [TEST, TEST_WITH_LIGHT_USERS], ids=["all eligible", "some light"])
@pytest.mark.parametrize("k", [1, 5, 100])
def test_the_scorer_equals_a_computation_by_hand(users, k):
    expected = pytest.approx(ndcg_by_hand(MODEL, users, k), rel=1e-12)
    assert RankingScorer(f"ndcg@{k}")(MODEL, users) == expected
    if k == 100:
        assert ndcg_scorer(MODEL, users) == expected


@pytest.mark.parametrize("kwargs", [{"random_state": 7}, {"held_out_fraction": 0.5}, {"min_interactions": 9}])
def test_the_scorers_parameters_are_those_of_the_split(kwargs):
    assert RankingScorer("ndcg@5", **kwargs)(MODEL, TEST) == pytest.approx(ndcg_by_hand(MODEL, TEST, 5, **kwargs))
    assert RankingScorer("ndcg@5", **kwargs)(MODEL, TEST) != ndcg_by_hand(MODEL, TEST, 5)


class Scores(PopularityRecommender):
    """Scores of a function of X, for users of any container."""

    def __init__(self, function=None):
        self.function = function

    def decision_function(self, X):
        return self.function(np.asarray(X.todense()))


def test_a_model_that_copies_its_input_gains_nothing_by_it():
    copies, all_alike = Scores(lambda rows: rows), Scores(np.zeros_like)
    assert ndcg_scorer(copies, TEST) == ndcg_scorer(all_alike, TEST) < 1


def test_a_model_that_never_scores_above_0_is_scored_like_one_that_does():
    popular, shifted = Scores(lambda rows: rows + np.arange(30)), Scores(lambda rows: rows + np.arange(30) - 1000)
    assert ndcg_scorer(popular, TEST) == ndcg_scorer(shifted, TEST)


@pytest.mark.parametrize("name", METRICS)
def test_one_name_gives_a_float_and_several_a_dict_of_the_same(name):
    alone = RankingScorer(f"{name}@7")(MODEL, TEST)
    assert isinstance(alone, float)
    assert 0 <= alone <= 1
    together = RankingScorer((f"{name}@7", "ndcg@100", "recall@3"))(MODEL, TEST)
    assert list(together) == [f"{name}@7", "ndcg@100", "recall@3"]
    assert together[f"{name}@7"] == alone
    assert RankingScorer([f"{name}@7"])(MODEL, TEST) == {f"{name}@7": alone}
    assert evaluate(MODEL, TEST, f"{name}@7").mean == {f"{name}@7": alone}


@pytest.mark.parametrize(
    "kwargs", [{}, {"random_state": 5}, {"held_out_fraction": 0.4, "min_interactions": 8}, {"min_value": 2.5}]
)
def test_the_scorer_is_the_mean_of_evaluate(kwargs):
    ratings = TEST_WITH_LIGHT_USERS.copy()
    ratings.data = np.random.default_rng(0).integers(1, 6, ratings.nnz).astype(np.float32)
    metrics = ["ndcg@10", "recall@5"]
    assert RankingScorer(metrics, **kwargs)(MODEL, ratings) == evaluate(MODEL, ratings, metrics, **kwargs).mean


def test_a_scorer_pickles_and_compares_by_its_parameters():
    scorer = RankingScorer({"recall": partial(recall_at_k, k=20)}, random_state=3)
    loaded = pickle.loads(pickle.dumps(scorer))
    assert loaded(MODEL, TEST) == scorer(MODEL, TEST)
    assert pickle.loads(pickle.dumps(ndcg_scorer)) == ndcg_scorer == RankingScorer("ndcg@100")
    assert ndcg_scorer != RankingScorer("ndcg@10")


FOLD_IN, HELD_OUT = fold_in_split(TEST, random_state=9)
FOLD_IN, HELD_OUT = FOLD_IN.toarray(), HELD_OUT.toarray()
DUPLICATED = sp.csr_array(HELD_OUT / 2).tocoo()
DUPLICATED = sp.coo_array(
    (np.tile(DUPLICATED.data, 2), (np.tile(DUPLICATED.row, 2), np.tile(DUPLICATED.col, 2))), shape=HELD_OUT.shape
)
MATRICES = {
    "csr_array": sp.csr_array,
    "csr_matrix": sp.csr_matrix,
    "csc_array": sp.csc_array,
    "coo_array": sp.coo_array,
    "array": np.array,
    "bool": lambda matrix: matrix > 0,
    "list": np.ndarray.tolist,
    "DataFrame": lambda matrix: pd.DataFrame(matrix.copy()),
    "duplicates": lambda matrix: DUPLICATED if matrix is HELD_OUT else sp.coo_array(matrix),
}


@pytest.mark.parametrize(
    ("as_X", "as_y"), [*((name, "csr_array") for name in MATRICES), *(("csr_array", name) for name in MATRICES)]
)
def test_a_matrix_y_is_what_was_held_out_of_X(as_X, as_y):
    fold_in, held_out = MATRICES[as_X](FOLD_IN), MATRICES[as_y](HELD_OUT)
    expected = RankingScorer("ndcg@10", random_state=9)(MODEL, TEST)
    assert RankingScorer("ndcg@10")(MODEL, fold_in, held_out) == expected
    assert evaluate(MODEL, fold_in, "ndcg@10", y=held_out).mean["ndcg@10"] == expected
    assert DUPLICATED.nnz == 2 * np.count_nonzero(HELD_OUT)


@pytest.mark.parametrize("labels", [np.zeros(20), [0, 1] * 10, ["a"] * 20, pd.Series(range(20)), None])
def test_a_one_dimensional_y_is_ignored(labels):
    assert ndcg_scorer(MODEL, TEST, labels) == ndcg_scorer(MODEL, TEST)


@pytest.mark.parametrize("shape", [(20, 1), (20, 29), (19, 30)])
@pytest.mark.parametrize("container", [np.ones, sp.csr_array, lambda shape: np.ones(shape).tolist()])
def test_a_matrix_y_of_another_shape_raises(shape, container):
    sentence = rf"y has shape \({shape[0]}, {shape[1]}\), X has \(20, 30\): they must be the same"
    with pytest.raises(ValueError, match=sentence):
        ndcg_scorer(MODEL, TEST, container(shape))


@pytest.mark.parametrize(
    ("scorer", "y"),
    [
        (RankingScorer(min_interactions=31), None),
        (RankingScorer(min_value=1), None),
        (RankingScorer(), sp.csr_array((20, 30))),
        (RankingScorer(), np.zeros((20, 30))),
    ],
    ids=["too few interactions", "no value above min_value", "empty y", "zero y"],
)
def test_where_no_user_can_hide_an_item_the_scorer_raises(scorer, y):
    with pytest.raises(ValueError, match=f"None of the 20 users can hide an item above min_value={scorer.min_value}"):
        scorer(MODEL, TEST, y)


def test_only_held_out_entries_above_min_value_are_relevant():
    ratings = TEST.copy()
    ratings.data = np.random.default_rng(1).integers(1, 6, ratings.nnz).astype(np.float32)
    fold_in, held_out = fold_in_split(ratings)
    above = held_out.copy()
    above.data = (above.data > 3).astype(np.float32)
    scorer = RankingScorer("recall@10", min_value=3)
    assert scorer(MODEL, ratings) == RankingScorer("recall@10")(MODEL, fold_in, above)
    assert scorer(MODEL, ratings) != RankingScorer("recall@10")(MODEL, ratings)
    # duplicates count by their sum, as everywhere
    indptr = held_out.indptr * 2
    halves = sp.csr_array((np.repeat(held_out.data / 2, 2), np.repeat(held_out.indices, 2), indptr), shape=(20, 30))
    assert scorer(MODEL, fold_in, halves) == scorer(MODEL, ratings)


@pytest.mark.parametrize(
    "name", ["ndcg", "ndcg@", "ndcg@0", "ndcg@-5", "ndcg@1.5", "ncdg@10", "NDCG@10", "ndcg@10 ", "@10"]
)
@pytest.mark.parametrize("container", [str, lambda name: ["recall@5", name]])
def test_an_unknown_metric_name_raises_at_construction(name, container):
    with pytest.raises(ValueError, match=f"Unknown metric '{name}': write one of {', '.join(METRICS)} and its number"):
        RankingScorer(container(name))


@pytest.mark.parametrize("metrics", [[], (), {}])
def test_no_metric_at_all_raises_at_construction(metrics):
    with pytest.raises(ValueError, match="metrics is empty: name at least one"):
        RankingScorer(metrics)


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0), 1.0])
def test_a_random_state_that_is_no_int_raises_at_construction(random_state):
    with pytest.raises(TypeError, match="random_state must be an instance of"):
        RankingScorer(random_state=random_state)


def test_a_mapping_names_callables_and_they_get_100_ranks():
    seen = []

    def first_hit(held_out, items, *, per_user):
        seen.append(items.shape[1])
        return (held_out.toarray()[np.arange(len(items)), items[:, 0]] > 0).astype(float)

    def recall(n, **kwargs):
        return partial(recall_at_k, k=n, **kwargs)

    scores = RankingScorer({"mine": first_hit, "all": recall(20, denominator="n"), "min": recall(5)})(MODEL, TEST)
    names = RankingScorer(["hit_rate@1", "recall@20", "recall@5"])(MODEL, TEST)
    assert seen == [100]
    assert scores == {"mine": names["hit_rate@1"], "all": pytest.approx(names["recall@20"]), "min": names["recall@5"]}


def test_the_largest_k_decides_how_many_items_are_ranked():
    functions, k = metric_functions(["ndcg@7", "recall@20", "mrr@3"])
    assert k == 20
    held_out, items = np.eye(2, 20), [[0, *range(2, 20), 1], [0, *range(2, 20), 1]]
    assert {name: function(held_out, items) for name, function in functions.items()} == {
        "ndcg@7": 0.5,
        "recall@20": 1.0,
        "mrr@3": 0.5,
    }


@pytest.mark.parametrize("scores_per_block", [1, 61, 30 * 19, 30 * 20])
@pytest.mark.parametrize("container", [sp.csr_array, sp.csr_matrix, lambda matrix: matrix.toarray()])
def test_scoring_in_blocks_gives_what_one_block_gives(monkeypatch, scores_per_block, container):
    metrics = ["ndcg@10", "recall@3", "map@50"]
    parts = hide_items(container(TEST_WITH_LIGHT_USERS))
    expected = score_users(MODEL, *parts, metrics)
    monkeypatch.setattr("skvae.ranking.SCORES_PER_BLOCK", scores_per_block)
    for name, scores in score_users(MODEL, *parts, metrics).items():
        np.testing.assert_array_equal(scores, expected[name])
        assert np.isnan(scores).tolist() == [False] * 20 + [True] * 3


def test_score_users_leaves_its_arguments_alone():
    fold_in, held_out = fold_in_split(TEST)
    before = [part.copy() for part in (fold_in, held_out)]
    score_users(MODEL, fold_in, held_out, "ndcg@5", min_value=0.5)
    for part, copy in zip((fold_in, held_out), before, strict=True):
        np.testing.assert_array_equal(part.toarray(), copy.toarray(), strict=True)


def test_a_data_frame_with_names_is_scored_like_its_values_without_a_warning():
    frame = pd.DataFrame(X.toarray(), columns=[f"item {i}" for i in range(30)], index=np.arange(60)[::-1])
    model = PopularityRecommender().fit(frame[:40])
    assert ndcg_scorer(model, frame[40:]) == ndcg_scorer(MODEL, TEST)
    scores = cross_val_score(model, frame, scoring=ndcg_scorer, cv=UserKFold(3))
    np.testing.assert_array_equal(scores, cross_val_score(MODEL, X, scoring=ndcg_scorer, cv=UserKFold(3)))


def test_a_scorer_of_several_metrics_works_in_a_search_and_in_cross_validate():
    ratings = X.copy()
    ratings.data = np.random.default_rng(2).integers(1, 6, ratings.nnz).astype(np.float32)
    scorer = RankingScorer(["ndcg@10", "recall@5"])
    pipeline = make_pipeline(Binarizer(), PopularityRecommender())
    search = GridSearchCV(
        pipeline, {"binarizer__threshold": [0, 3]}, scoring=scorer, refit="ndcg@10", cv=UserKFold(3)
    ).fit(ratings)
    for i, threshold in enumerate([0, 3]):
        candidate = clone(pipeline).set_params(binarizer__threshold=threshold)
        result = cross_validate(candidate, ratings, scoring=scorer, cv=UserKFold(3))
        for name in scorer.metrics:
            assert search.cv_results_[f"mean_test_{name}"][i] == pytest.approx(result[f"test_{name}"].mean())
    assert scorer(search, ratings) == scorer(search.best_estimator_, ratings)
