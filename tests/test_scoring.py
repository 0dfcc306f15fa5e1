"""The scorers against hiding, recommending and scoring by hand."""

import math
import pickle
import statistics
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from conftest import CONTAINERS, CONTAINERS_OF_ONES, Scores, frame, left_alone
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer

from skvae import (
    BlendRecommender,
    PopularityRecommender,
    RankingScorer,
    UserKFold,
    evaluate,
    fold_in_split,
    ndcg_scorer,
    recommend,
)
from skvae.datasets import make_interactions
from skvae.hiding import hide_items, interactions_needed
from skvae.metrics import METRICS, ndcg_at_k, recall_at_k
from skvae.scoring import metric_functions, score_pairs, score_users

X = make_interactions(60, 30, density=0.3, random_state=0)
TRAIN, TEST = X[:40], X[40:]
TEST_WITH_LIGHT_USERS = sp.csr_array(sp.vstack([TEST, sp.csr_array(np.eye(3, 30, dtype=np.float32))]))
MODEL = PopularityRecommender().fit(TRAIN)


def frame_of(matrix):
    return pd.DataFrame(matrix.toarray())


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
    assert ndcg_scorer.__name__ == "ndcg@100"
    assert RankingScorer(["recall@5", "map@5"]).__name__ == "recall@5, map@5"
    assert RankingScorer.__name__ == "RankingScorer"
    assert ndcg_scorer != RankingScorer("ndcg@10")
    assert len({RankingScorer("ndcg@5"), RankingScorer("ndcg@5"), ndcg_scorer}) == 2
    with pytest.raises(AttributeError, match="cannot assign to field"):
        ndcg_scorer.metrics = "recall@5"


FOLD_IN, HELD_OUT = fold_in_split(TEST, random_state=9)
FOLD_IN, HELD_OUT = FOLD_IN.toarray(), HELD_OUT.toarray()
UNNAMED = [name for name in (*CONTAINERS, "bool") if name != "DataFrame with names"]  # as what MODEL was fitted on


@pytest.mark.parametrize(
    ("as_X", "as_y"),
    [pair for name in UNNAMED for pair in ((name, "csr_array"), ("csr_array", name))],
)
def test_a_matrix_y_is_what_was_held_out_of_X(as_X, as_y):
    fold_in, held_out = CONTAINERS_OF_ONES[as_X](FOLD_IN), CONTAINERS_OF_ONES[as_y](HELD_OUT)
    expected = RankingScorer("ndcg@10", random_state=9)(MODEL, TEST)
    assert RankingScorer("ndcg@10")(MODEL, fold_in, held_out) == expected
    assert evaluate(MODEL, fold_in, "ndcg@10", y=held_out).mean["ndcg@10"] == expected


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
    with left_alone(fold_in, held_out):
        score_users(MODEL, fold_in, held_out, "ndcg@5", min_value=0.5)


def test_a_data_frame_with_names_is_scored_like_its_values_without_a_warning():
    table = frame(X)
    model = PopularityRecommender().fit(table[:40])
    assert ndcg_scorer(model, table[40:]) == ndcg_scorer(MODEL, TEST)
    scores = cross_val_score(model, table, scoring=ndcg_scorer, cv=UserKFold(3))
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


# -- held-out items that the fold-in has

SHOWN, HIDDEN = sp.csr_array(FOLD_IN), sp.csr_array(HELD_OUT)
REPEATS = sp.csr_array((SHOWN + HIDDEN) > 0).astype(np.float32)  # they came back to what they knew as well


class Wants(PopularityRecommender):
    """Scores of a matrix, whoever asks."""

    def __init__(self, wanted=None):
        self.wanted = wanted

    def decision_function(self, X):
        return self.wanted.toarray()[: X.shape[0]]


ORACLE = Wants(HIDDEN).fit(TRAIN)


def blended_score(held_out):
    members = [("popularity", MODEL), ("oracle", ORACLE)]
    blend = BlendRecommender(members, prefit=True).fit(TRAIN, X_val=(SHOWN, held_out))
    return blend.best_validation_score_


SCORES_OF_REPEATS = {
    "evaluate": lambda y: evaluate(ORACLE, SHOWN, "ndcg@10", y=y).mean["ndcg@10"],
    "RankingScorer": lambda y: RankingScorer("ndcg@10")(ORACLE, SHOWN, y),
    "score": lambda y: ORACLE.score(SHOWN, y),
    "X_val": blended_score,
    "hide_items": lambda y: score_users(ORACLE, *hide_items(SHOWN, y), "recall@5")["recall@5"].mean(),
}


@pytest.mark.parametrize("container", [sp.csr_array, sp.coo_matrix, lambda matrix: matrix.toarray(), frame_of])
@pytest.mark.parametrize("call", SCORES_OF_REPEATS)
def test_held_out_items_that_the_fold_in_has_are_left_out_and_counted(call, container):
    expected = SCORES_OF_REPEATS[call](container(HIDDEN))
    counted = f"{SHOWN.nnz} held-out items of 20 users are in their fold-in as well.*exclude_seen=False"
    with pytest.warns(UserWarning, match=counted) as caught:
        assert SCORES_OF_REPEATS[call](container(REPEATS)) == expected > 0.99
    assert len(caught) == 1


def test_the_warning_counts_items_and_users_and_says_where_it_was_called():
    some = HIDDEN.tolil()
    row = np.flatnonzero(SHOWN.toarray()[3])
    some[3, row[:2]], some[5, np.flatnonzero(SHOWN.toarray()[5])[0]] = 7, 7
    with pytest.warns(UserWarning, match="^3 held-out items of 2 users") as caught:
        evaluate(ORACLE, SHOWN, y=some)
    assert caught[0].filename == __file__


@pytest.mark.filterwarnings("ignore:.* of the .* users who are scored have no interaction in X")
def test_a_repeat_that_is_0_in_either_matrix_is_none():
    zeros = SHOWN.copy()
    zeros.data[:] = 0
    y = sp.csr_array((zeros.data, zeros.indices, zeros.indptr), shape=zeros.shape)
    both = sp.vstack([HIDDEN, y]).tocsr()
    fold_in = sp.vstack([SHOWN, SHOWN]).tocsr()
    assert evaluate(Wants(both), fold_in, "ndcg@10", y=both).mean["ndcg@10"] == pytest.approx(1)
    assert evaluate(ORACLE, y, "ndcg@10", y=HIDDEN).mean["ndcg@10"] == pytest.approx(1)


@pytest.mark.parametrize("container", [sp.csr_array, lambda matrix: matrix.toarray(), frame_of])
def test_where_people_buy_again_seen_items_are_ranked_and_counted(container):
    wants_all = Wants(REPEATS)
    for model, perfect in ((wants_all, True), (ORACLE, False)):
        scores = [
            evaluate(model, container(SHOWN), "ndcg@30", y=container(REPEATS), exclude_seen=False).mean["ndcg@30"],
            RankingScorer("ndcg@30", exclude_seen=False)(model, container(SHOWN), container(REPEATS)),
            np.mean(score_users(model, SHOWN, REPEATS, "ndcg@30", exclude_seen=False)["ndcg@30"]),
        ]
        assert scores == pytest.approx([scores[0]] * 3)
        assert (scores[0] == pytest.approx(1)) is perfect
    items, _ = recommend(wants_all, SHOWN, 30, exclude_seen=False)
    expected = METRICS["ndcg"](REPEATS, items)
    assert evaluate(wants_all, SHOWN, "ndcg@30", y=REPEATS, exclude_seen=False).mean["ndcg@30"] == expected


def test_exclude_seen_is_a_parameter_of_the_scorer_like_others():
    scorer = RankingScorer("ndcg@10", exclude_seen=False)
    assert pickle.loads(pickle.dumps(scorer)) == scorer != RankingScorer("ndcg@10")
    assert scorer(MODEL, TEST) == evaluate(MODEL, TEST, "ndcg@10", exclude_seen=False).mean["ndcg@10"]
    assert scorer(MODEL, TEST) != RankingScorer("ndcg@10")(MODEL, TEST)


# -- metrics, y and messages


@pytest.mark.parametrize(
    "listed",
    [
        tuple,
        list,
        iter,
        np.array,
        lambda names: (name for name in names),
        lambda names: {}.fromkeys(names).keys(),
    ],
)
def test_metrics_are_any_iterable_of_names(listed):
    names = ["ndcg@5", "recall@10", "mrr@3"]
    expected = evaluate(MODEL, TEST, names)
    assert evaluate(MODEL, TEST, listed(names)).mean == expected.mean
    scorer = RankingScorer(listed(names))
    assert scorer(MODEL, TEST) == scorer(MODEL, TEST) == expected.mean
    assert list(score_users(MODEL, *hide_items(TEST), listed(names))) == sorted(names, key=names.index)


def test_a_dict_of_metrics_holds_functions_and_names():
    def own(held_out, items, per_user):
        assert items.shape[1] == 100
        return ndcg_at_k(held_out, items, k=10, per_user=per_user)

    named = evaluate(MODEL, TEST, ["ndcg@10", "recall@150"])
    mixed = evaluate(MODEL, TEST, {"own": own, "ndcg": "ndcg@10", "recall": "recall@150"})
    ndcg, recall = named.mean.values()
    assert mixed.mean == {"own": ndcg, "ndcg": ndcg, "recall": recall}
    assert RankingScorer({"own": own, "recall": "recall@150"})(MODEL, TEST)["own"] == named.mean["ndcg@10"]


def test_metrics_of_another_kind_are_refused_with_a_sentence():
    with pytest.raises(TypeError, match=r"metrics lists a function, .*: pass a dict, {name: function}"):
        evaluate(MODEL, TEST, ["ndcg@10", ndcg_at_k])
    with pytest.raises(ValueError, match=r"Unknown metric {'own': "):
        evaluate(MODEL, TEST, [{"own": ndcg_at_k}])
    with pytest.raises(ValueError, match=r"Unknown metric None: write one of ndcg, .* or in a dict a function"):
        evaluate(MODEL, TEST, dict.fromkeys(["ndcg@5"]))


@pytest.mark.parametrize("container", [set, frozenset])
def test_a_set_of_metrics_is_in_alphabetical_order(container):
    names = container({"ndcg@5", "recall@10", "mrr@3", "map@7"})
    assert list(evaluate(MODEL, TEST, names).mean) == ["map@7", "mrr@3", "ndcg@5", "recall@10"]
    assert list(RankingScorer(names)(MODEL, TEST)) == ["map@7", "mrr@3", "ndcg@5", "recall@10"]


@pytest.mark.parametrize(
    "container", [sp.csr_array, lambda matrix: matrix.toarray(), frame_of, lambda matrix: matrix.toarray().tolist()]
)
def test_held_out_items_as_metrics_are_told_of_y(container):
    with pytest.raises(TypeError, match=r"metrics must be names such as .*matrix of shape \(20, 30\).*as y=held_out"):
        evaluate(MODEL, SHOWN, container(HIDDEN))
    with pytest.raises(TypeError, match="as y=held_out"):
        RankingScorer(container(HIDDEN))


@pytest.mark.parametrize("metrics", [5, None, 0.5])
def test_metrics_that_are_no_names_raise(metrics):
    with pytest.raises(TypeError, match="metrics must be names such as"):
        evaluate(MODEL, TEST, metrics)


@pytest.mark.parametrize("y", [{}, {0: [1]}, set(), "held-out", 3, iter([])])
def test_a_y_that_is_no_matrix_raises(y):
    for call in (partial(RankingScorer(), MODEL), MODEL.score, hide_items):
        with pytest.raises(
            TypeError, match=f"y must be a held-out matrix of the shape of X, or None, got {type(y).__name__}"
        ):
            call(TEST, y)
    with pytest.raises(TypeError, match="y must be a held-out matrix of the shape of X, got"):
        evaluate(MODEL, TEST, y=y)


@pytest.mark.parametrize("y", [np.zeros(20), [0] * 20, ["a"] * 20, pd.Series(range(20))])
def test_evaluate_has_no_labels(y):
    with pytest.raises(TypeError, match="y must be a held-out matrix of the shape of X, got"):
        evaluate(MODEL, TEST, y=y)


@pytest.mark.parametrize("y", [np.zeros(19), [0] * 21, (SHOWN, HIDDEN), ()])
def test_labels_of_other_users_raise(y):
    for call in (partial(RankingScorer(), MODEL), MODEL.score):
        with pytest.raises(ValueError, match=f"y is one-dimensional and of length {len(y)}, X has 20 users"):
            call(TEST, y)


@pytest.mark.parametrize(
    ("held_out_fraction", "min_interactions", "needed"),
    [
        (0.2, 3, 5),
        (0.2, 5, 5),
        (0.2, 9, 9),
        (0.1, 1, 10),
        (0.3, 1, 4),
        (0.5, 2, 2),
        (0.9, 1, 2),
        (1 / 3, 1, 3),
        (0.07, 1, 15),
    ],
)
def test_messages_name_the_interactions_that_a_user_needs(held_out_fraction, min_interactions, needed):
    hiding = {"held_out_fraction": held_out_fraction, "min_interactions": min_interactions}
    assert interactions_needed(**hiding) == needed
    too_few, enough = (np.tile(np.arange(30) < n, (3, 1)) for n in (needed - 1, needed))
    sentence = f"a user needs {needed} interactions to hide one with .*the most that a user of X has is {needed - 1}"
    with pytest.raises(ValueError, match=f"No user of X has a held-out item: {sentence}"):
        evaluate(MODEL, too_few, **hiding)
    with pytest.raises(ValueError, match=f"None of the 3 users can hide an item above min_value=0.0: {sentence}"):
        RankingScorer(**hiding)(MODEL, too_few)
    assert evaluate(MODEL, enough, **hiding).n_users == 3


def test_messages_say_where_y_or_min_value_leave_nobody():
    with pytest.raises(ValueError, match="a user needs an entry of y above min_value=9 where X holds none"):
        evaluate(MODEL, SHOWN, y=HIDDEN, min_value=9)
    with pytest.raises(ValueError, match="a user needs hidden items with a value above min_value=9"):
        evaluate(MODEL, TEST, min_value=9)
    with pytest.warns(
        UndefinedMetricWarning, match="No user of X can hide an item, so the score is NaN: a user needs 5 inter"
    ):
        assert math.isnan(MODEL.score(np.eye(3, 30)))


@pytest.mark.parametrize(("min_value", "error"), [(float("nan"), ValueError), ("a", TypeError), (None, TypeError)])
def test_a_min_value_that_is_no_number_raises(min_value, error):
    for call in (partial(RankingScorer, "ndcg@5"), partial(evaluate, MODEL, TEST)):
        with pytest.raises(error, match="min_value must be"):
            call(min_value=min_value)


def test_a_callable_that_gives_a_mean_raises():
    def mean(held_out, items, per_user):
        return METRICS["ndcg"](held_out, items, k=10)

    with pytest.raises(ValueError, match=r"metric 'mean' gave values of shape \(\) for 20 users"):
        evaluate(MODEL, TEST, {"mean": mean})
    with pytest.raises(ValueError, match="metric 'own' gave an infinite value; of a user without a score it must give"):
        evaluate(MODEL, TEST, {"own": lambda held_out, items, per_user: np.full(len(items), np.inf)})
    for dtype in (complex, str):
        with pytest.raises(TypeError, match="metric 'own' must give real numbers, got"):
            evaluate(MODEL, TEST, {"own": lambda held_out, items, per_user, of=dtype: np.ones(len(items), of)})


def test_a_k_far_above_the_catalogue_is_not_ranked_in_full(monkeypatch):
    asked = []

    def spy(model, X, k, **kwargs):
        asked.append(k)
        return recommend(model, X, k, **kwargs)

    monkeypatch.setattr("skvae.scoring.recommend", spy)
    far, near = (evaluate(MODEL, TEST, [f"{name}@{k}" for name in METRICS]).mean for k in (10**6, 10**3))
    assert max(asked) == 1000  # no more than that, with 30 items
    for name in METRICS:
        factor = 1000 if name == "precision" else 1
        assert far[f"{name}@1000000"] * factor == pytest.approx(near[f"{name}@1000"], rel=1e-12)
    for k in (2**31, 10**30):
        with pytest.raises(ValueError, match=f"Unknown metric 'ndcg@{k}'"):
            RankingScorer(f"ndcg@{k}")


def test_a_metric_of_one_s_own_gets_relevant_items_alone():
    seen = []

    def hits(held_out, items, per_user):
        seen.append((held_out, items))
        return np.array([np.isin(items[u, :3], held_out[[u]].indices).any() for u in range(len(items))], float)

    X = make_interactions(n_users=60, n_items=20, random_state=0).toarray()
    X *= np.where(np.arange(20) % 2, 2, 5)
    model = PopularityRecommender().fit(X[:20])
    own, known = (evaluate(model, X[20:], metric, min_value=3.5) for metric in (hits, "hit_rate@3"))
    assert own.mean["hits"] == known.mean["hit_rate@3"]
    assert own.n_users == known.n_users
    for held_out, items in seen:
        assert (held_out.data == 1).all()
        assert held_out.dtype == np.int8
        assert items.dtype == np.int64


def test_a_function_alone_is_a_scorer_of_one_number():
    X = make_interactions(n_users=60, n_items=20, random_state=0)
    model, recall = PopularityRecommender().fit(X[:20]), partial(recall_at_k, k=5)
    assert RankingScorer(recall)(model, X[20:]) == RankingScorer("recall@5")(model, X[20:])
    assert RankingScorer({"r": recall})(model, X[20:]) == {"r": RankingScorer("recall@5")(model, X[20:])}
    assert evaluate(model, X[20:], recall).mean.keys() == {"recall_at_k"}
    scores = cross_val_score(model, X, scoring=RankingScorer(recall), cv=UserKFold(2))
    np.testing.assert_array_equal(scores, cross_val_score(model, X, scoring=RankingScorer("recall@5"), cv=UserKFold(2)))
    assert pickle.loads(pickle.dumps(RankingScorer(recall)))(model, X[20:]) == RankingScorer(recall)(model, X[20:])


def test_masked_values_of_a_metric_are_no_scores_and_nan_for_everybody_is_said():
    def masked(held_out, items, per_user):
        return np.ma.masked_greater(np.arange(len(items), dtype=float), 0)

    def nothing(held_out, items, per_user):
        return np.full(len(items), np.nan)

    assert evaluate(MODEL, TEST, masked).mean == {"masked": 0}
    with pytest.raises(ValueError, match="The metrics nothing gave NaN for every user"):
        evaluate(MODEL, TEST, nothing)
    with pytest.raises(ValueError, match=r"Or nothing gave NaN for each of them"):
        RankingScorer(nothing)(MODEL, TEST)


@given(
    kinds=st.lists(st.tuples(*[st.integers(0, 12)] * 3), min_size=2, max_size=2),
    n_of_kinds=st.tuples(*[st.sampled_from([0, 49, 50, 51, 100, 150])] * 2),
    min_value=st.sampled_from([0, 3]),
    exclude_seen=st.booleans(),
)
@example(kinds=[(0, 0, 12), (0, 0, 5)], n_of_kinds=(49, 51), min_value=0, exclude_seen=True)
@example(kinds=[(0, 0, 12), (3, 0, 0)], n_of_kinds=(100, 150), min_value=0, exclude_seen=True)
def test_what_a_random_ranking_would_find_is_warned_of(kinds, n_of_kinds, min_value, exclude_seen):
    """Where a hundred users or more are scored, and of the items they do not have more than half count, in the median.

    Of a kind of user some items are seen, and of the others some are held out with the value 1, and some with 5.
    """
    n_items, shares = 12, []
    fold_in, held_out = np.zeros((2, sum(n_of_kinds), n_items), np.float32)
    first = 0
    for (n_seen, n_low, n_high), n_users in zip(kinds, n_of_kinds, strict=True):
        users, first = slice(first, first + n_users), first + n_users
        fold_in[users, :n_seen] = 1
        held_out[users, n_seen : n_seen + n_low] = 1
        held_out[users, n_seen + n_low : n_seen + n_low + n_high] = 5
        n_left = n_items - n_seen
        n_found = min(n_left, n_low + n_high) - (min(n_left, n_low) if min_value else 0)
        shares += [n_found / n_left] * n_users if n_found else []
    model = PopularityRecommender(store_user_hashes=False).fit(np.ones((1, n_items)))
    half = len(fold_in) // 2
    pairs = [(sp.csr_array(fold_in[part]), sp.csr_array(held_out[part])) for part in (slice(half), slice(half, None))]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        score_pairs(model, pairs, ["ndcg@10"], min_value=min_value, exclude_seen=exclude_seen)
    expected = exclude_seen and len(shares) >= 100 and statistics.median(shares) > 0.5
    assert any("a random ranking would score nearly as well" in str(warning.message) for warning in caught) == expected


def test_users_who_have_every_item_may_have_them_again():
    everything = np.ones((3, 4))
    model = PopularityRecommender(store_user_hashes=False).fit(everything)
    assert evaluate(model, everything, "recall@4", y=everything, exclude_seen=False).mean == {"recall@4": 1}
