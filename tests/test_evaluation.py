"""Evaluations against NumPy's mean and standard error."""

import html
import itertools
import logging
import pickle
import re
import sys
import tracemalloc
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import ttest_1samp, ttest_rel
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer

from skvae import (
    Evaluation,
    LinearRecommender,
    MultDAERecommender,
    PopularityRecommender,
    UserKFold,
    evaluate,
    fold_in_split,
    ndcg_scorer,
)
from skvae.datasets import make_interactions
from skvae.metrics import ndcg_at_k, recall_at_k

X = make_interactions(80, 30, density=0.25, random_state=0)
LIGHT = sp.csr_array(np.eye(4, 30, dtype=np.float32))
TEST = sp.csr_array(sp.vstack([LIGHT, X[50:]]))
MODEL, OTHER = PopularityRecommender().fit(X[:50]), PopularityRecommender().fit(X[:3])
METRICS = ("ndcg@10", "recall@5")


def per_user(model):
    fold_in, held_out = fold_in_split(TEST)
    items, _ = model.recommend(fold_in, k=10)
    return {
        "ndcg@10": ndcg_at_k(held_out, items, per_user=True),
        "recall@5": recall_at_k(held_out, items, k=5, per_user=True),
    }


def test_mean_and_standard_error_are_numpys_over_the_users_counted():
    evaluation = evaluate(MODEL, TEST, METRICS)
    for name, scores in per_user(MODEL).items():
        np.testing.assert_array_equal(evaluation.per_user[name], scores)
        counted = scores[4:]
        assert evaluation.mean[name] == pytest.approx(np.mean(counted))
        assert evaluation.standard_error[name] == pytest.approx(np.std(counted, ddof=1) / np.sqrt(30))
    assert (evaluation.n_users, evaluation.n_left_out) == (30, 4)


def test_one_metric_is_asked_for_by_its_name():
    evaluation = evaluate(MODEL, TEST, METRICS)
    assert [evaluation[name] for name in METRICS] == [evaluation.mean[name] for name in METRICS]
    with pytest.raises(KeyError, match=r"no metric 'ndcg@100', but ndcg@10, recall@5"):
        evaluation["ndcg@100"]
    with pytest.raises(TypeError, match="not iterable"):
        list(evaluation)


def test_the_default_metrics_are_the_papers():
    assert list(evaluate(MODEL, TEST).mean) == ["ndcg@100", "recall@20", "recall@50"]


def test_a_difference_is_paired_by_user():
    difference = evaluate(MODEL, TEST, METRICS) - evaluate(OTHER, TEST, METRICS)
    mine, others = per_user(MODEL), per_user(OTHER)
    for name in METRICS:
        paired = (mine[name] - others[name])[4:]
        assert difference.mean[name] == pytest.approx(paired.mean())
        assert difference.standard_error[name] == pytest.approx(paired.std(ddof=1) / np.sqrt(30))
    assert (difference.n_users, difference.n_left_out) == (30, 4)


def test_a_difference_changes_sign_and_vanishes_with_itself():
    mine, others = evaluate(MODEL, TEST, METRICS), evaluate(OTHER, TEST, METRICS)
    for name in METRICS:
        assert (mine - others).mean[name] == -(others - mine).mean[name] != 0
        assert (mine - mine).mean[name] == (mine - mine).standard_error[name] == 0


@pytest.mark.parametrize(
    "other",
    [
        evaluate(MODEL, TEST[:-1], METRICS),
        evaluate(MODEL, TEST[::-1], METRICS),
        evaluate(MODEL, TEST, "recall@5"),
        evaluate(MODEL, TEST, METRICS, min_interactions=9),
    ],
    ids=["fewer users", "other users left out", "other metrics", "more users left out"],
)
def test_a_difference_of_other_users_or_metrics_raises(other):
    reason = "do not score ndcg@10 for the same users|that is subtracted does not have ndcg@10"
    with pytest.raises(ValueError, match=f"({reason}): evaluate both models with the same"):
        evaluate(MODEL, TEST, METRICS) - other


def test_an_evaluation_made_by_hand_has_scores_of_the_same_users():
    by_hand = Evaluation({"mine": [0.1, 0.3], "other": [1, 2]})
    assert by_hand.mean == pytest.approx({"mine": 0.2, "other": 1.5})
    assert "mine" in repr(by_hand)
    for per_user in ({}, {"mine": [0.1, 0.2], "other": [1]}, {"mine": 0.1}, {"mine": [[0.1]]}):
        with pytest.raises(ValueError, match="scores of the same users for each of its metrics, one at least"):
            Evaluation(per_user)


def test_a_pair_is_the_fold_in_and_its_held_out_items():
    pair = fold_in_split(TEST)
    assert_same = np.testing.assert_array_equal
    with pytest.raises(ValueError, match="X is a pair of matrices"):
        evaluate(MODEL, (pair[0], None))
    assert_same(evaluate(MODEL, pair).per_user["ndcg@100"], evaluate(MODEL, pair[0], y=pair[1]).per_user["ndcg@100"])


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_a_confidence_interval_is_that_of_a_t_test(level):
    one, other = (evaluate(model, TEST, METRICS) for model in (MODEL, OTHER))
    for evaluation in (one, one - other):
        for name, interval in evaluation.confidence_interval(level).items():
            scores = evaluation.per_user[name]
            expected = ttest_1samp(scores[~np.isnan(scores)], 0).confidence_interval(level)
            assert interval == pytest.approx(tuple(expected))
    assert np.isnan(Evaluation({"mine": [0.5, np.nan]}).confidence_interval()["mine"]).all()
    with pytest.raises(ValueError, match="confidence_level == 1"):
        one.confidence_interval(1)


def test_the_p_value_of_a_difference_is_that_of_a_paired_t_test():
    one, other = evaluate(MODEL, TEST, METRICS), evaluate(OTHER, TEST, METRICS)
    difference = one - other
    for name in METRICS:
        expected = ttest_rel(one.per_user[name], other.per_user[name], nan_policy="omit").pvalue
        assert difference.p_value[name] == pytest.approx(expected)
        assert (other - one).p_value[name] == difference.p_value[name]
        shown = f"= {expected:.2g}" if expected >= 0.0001 else "< 0.0001"
        assert f"  p {shown}\n" in repr(difference)
        assert f"<td>{html.escape(shown)}</td>" in difference._repr_html_()
        assert difference.to_frame()["p_value"][name] == difference.p_value[name]
    assert repr(difference).splitlines()[-1].startswith("difference of the scores of 30 users, 4 left out")
    assert (one - one).p_value == dict.fromkeys(METRICS, 1.0)
    assert difference.by_activity(TEST, 2)[0].evaluation.p_value.keys() == difference.p_value.keys()
    with pytest.raises(AttributeError, match=r"that of a difference: \(evaluate\(a, X\) - evaluate\(b, X\)\)\.p_value"):
        one.p_value  # noqa: B018
    of_one = Evaluation({"mine": [0.5]}, is_difference=True)
    assert np.isnan(of_one.p_value["mine"])
    assert "p = nan" in repr(of_one)
    assert Evaluation({"mine": [0.5, 0.5]}, is_difference=True).p_value["mine"] == 0


def test_an_evaluation_shows_its_numbers_as_text_in_html_and_as_a_frame():
    evaluation = evaluate(MODEL, TEST, METRICS)
    assert str(evaluation) == repr(evaluation)
    lines, rows = repr(evaluation).splitlines(), re.findall("<tr>(.*?)</tr>", evaluation._repr_html_())[1:]
    for line, row, name in zip(lines, rows, METRICS, strict=False):
        mean, error = f"{evaluation.mean[name]:.4f}", f"{evaluation.standard_error[name]:.4f}"
        assert line.split() == [name, mean, "+-", error]
        assert row == f"<th>{name}</th><td>{mean}</td><td>{error}</td>"
    assert lines[2:] == ["30 users, 4 left out for want of a held-out item, or of a score"]
    assert "30 users, 4 left out" in evaluation._repr_html_()
    frame = evaluation.to_frame()
    assert frame["mean"].to_dict() == evaluation.mean
    assert frame["standard_error"].to_dict() == evaluation.standard_error
    assert frame["n_users"].tolist() == [30, 30]
    assert "&lt;b&gt;" in Evaluation({"<b>": np.zeros(2)})._repr_html_()


def test_a_frame_without_pandas_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r'to_frame needs pandas: pip install "skvae\[tables\]"'):
        BASE.to_frame()


def test_the_standard_error_of_one_user_is_nan_without_a_warning():
    evaluation = Evaluation({"ndcg@5": np.array([np.nan, 0.5])})
    assert evaluation.mean == {"ndcg@5": 0.5}
    assert np.isnan(evaluation.standard_error["ndcg@5"])
    assert (evaluation.n_users, evaluation.n_left_out) == (1, 1)
    assert "nan\n1 user, too few for a standard error, 1 left out for want of" in str(evaluation)


def test_evaluations_of_different_models_are_unequal():
    assert evaluate(MODEL, TEST) != evaluate(OTHER, TEST)


@pytest.mark.parametrize(
    ("users", "kwargs"),
    [(LIGHT, {}), (X, {"min_interactions": 31}), (X, {"min_value": 1}), (X, {"y": sp.csr_array(X.shape)})],
    ids=["light users", "min_interactions", "min_value", "empty y"],
)
def test_where_no_user_has_a_held_out_item_evaluate_raises(users, kwargs):
    with pytest.raises(ValueError, match="No user of X has a held-out item: a user needs"):
        evaluate(MODEL, users, **kwargs)


@pytest.mark.parametrize("n_groups", [1, 3, 5, 100, 10**12])
def test_activity_groups_are_the_scored_users_from_few_to_many_interactions(n_groups):
    fold_in, _ = fold_in_split(TEST)
    evaluation = evaluate(MODEL, TEST, METRICS)
    groups = evaluation.by_activity(fold_in, n_groups)
    assert 1 <= len(groups) <= n_groups
    assert sum(group.evaluation.n_users for group in groups) == evaluation.n_users
    assert all(group.evaluation.n_left_out == 0 for group in groups)
    assert all(group.fewest <= group.most for group in groups)
    assert all(lower.most < upper.fewest for lower, upper in itertools.pairwise(groups))
    for name in METRICS:
        weighted = sum(group.evaluation.mean[name] * group.evaluation.n_users for group in groups)
        assert weighted / evaluation.n_users == pytest.approx(evaluation.mean[name])
    if n_groups >= evaluation.n_users:
        assert all(group.fewest == group.most for group in groups)


def test_activity_groups_have_the_scores_of_their_users():
    sizes = np.array([1, 7, 3, 9, 5, 2])
    evaluation = Evaluation({"ndcg@10": np.array([np.nan, 0.7, 0.3, 0.9, 0.5, 0.2])})
    groups = evaluation.by_activity(np.arange(10) < sizes[:, None], n_groups=2)
    assert [(group.fewest, group.most) for group in groups] == [(2, 5), (7, 9)]
    assert [group.evaluation.per_user["ndcg@10"].tolist() for group in groups] == [[0.3, 0.5, 0.2], [0.7, 0.9]]


@pytest.mark.parametrize("kwargs", [{}, {"min_value": 0.5}, {"held_out_fraction": 1}, {"exclude_seen": False}])
def test_activity_groups_count_the_fold_in_or_all_that_users_have(kwargs):
    users = TEST.copy()
    users.data[::3] = 0.5
    fold_in, held_out = fold_in_split(users, held_out_fraction=kwargs.get("held_out_fraction", 0.2))
    own = {name: value for name, value in kwargs.items() if name != "held_out_fraction"}
    for evaluation in (evaluate(MODEL, users, **kwargs), evaluate(MODEL, fold_in, y=held_out, **own)):
        scored = ~np.isnan(evaluation.per_user["ndcg@100"])
        for counted in (fold_in, users):
            groups = evaluation.by_activity(counted, 2)
            assert groups[-1].most == np.diff(counted.indptr)[scored].max()
        among = np.flatnonzero(scored)[: groups[0].evaluation.n_users]
        assert groups[0].evaluation.by_activity(users[among], 2)  # of a part of the users nothing is known


def test_of_a_fold_in_that_is_given_one_block_at_a_time_is_copied():
    n_users, n_each, n_items = 20_000, 100, 500
    columns = np.arange(n_users)[:, None] + np.arange(n_each)
    indices = np.sort(columns % n_items, axis=1).astype(np.int32)
    indptr = np.arange(0, indices.size + 1, n_each, dtype=np.int32)
    fold_in = sp.csr_array((np.ones(indices.size, np.float32), indices.ravel(), indptr), shape=(n_users, n_items))
    held_out = sp.csr_array((np.ones(9, np.float32), (range(9), range(400, 409))), shape=fold_in.shape)
    model = PopularityRecommender(store_user_hashes=False).fit(fold_in[:100])
    tracemalloc.start()
    try:
        evaluate(model, fold_in, "ndcg@10", y=held_out)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < fold_in.data.nbytes + fold_in.indices.nbytes


def test_activity_groups_need_the_users_evaluated():
    evaluation = evaluate(MODEL, TEST)
    with pytest.raises(ValueError, match="X has 80 users, the evaluation has 34"):
        evaluation.by_activity(X)
    fold_in, _ = fold_in_split(TEST)
    for other in (fold_in[::-1], TEST[::-1], TEST[:, ::-1], X[: TEST.shape[0]]):
        with pytest.raises(ValueError, match="other interactions than the users of the evaluation"):
            evaluation.by_activity(other)
    with pytest.raises(ValueError, match="No user of the evaluation has a score"):
        Evaluation({"ndcg@10": np.full(2, np.nan)}).by_activity(np.ones((2, 3)))
    with pytest.raises(ValueError, match="n_groups == 0"):
        evaluation.by_activity(TEST, n_groups=0)


# -- a difference is of the same users, hidden items and metrics

FOLD_IN, HELD_OUT = fold_in_split(TEST)
ALL = fold_in_split(TEST, random_state=7)


def first_hit(held_out, items, per_user):
    return recall_at_k(held_out, items, k=1, per_user=True)


def ten(held_out, items, per_user):
    return ndcg_at_k(held_out, items, k=10, per_user=True)


def moved(matrix):
    """The same number of entries of each user, one column further."""
    return sp.csr_array(np.roll(matrix.toarray(), 1, axis=1))


BASE = evaluate(MODEL, FOLD_IN, METRICS, y=HELD_OUT)
OTHERS = {
    "another seed": (lambda: evaluate(OTHER, TEST, METRICS, random_state=1), "fold-in"),
    "another fold-in": (
        lambda: evaluate(OTHER, FOLD_IN[:, ::-1], METRICS, y=HELD_OUT - HELD_OUT.multiply(FOLD_IN[:, ::-1])),
        "fold-in",
    ),
    "other users": (lambda: evaluate(OTHER, X[46:], METRICS), "fold-in"),
    "seen items ranked": (lambda: evaluate(OTHER, FOLD_IN, METRICS, y=HELD_OUT, exclude_seen=False), "exclude_seen"),
    "a function of the same name": (
        lambda: evaluate(OTHER, FOLD_IN, {"ndcg@10": first_hit, "recall@5": ten}, y=HELD_OUT),
        "metric ndcg@10",
    ),
}


@pytest.mark.filterwarnings("ignore:[0-9]+ held-out items of")
@pytest.mark.parametrize("case", OTHERS)
def test_a_difference_of_other_hidden_items_raises_and_says_in_what(case):
    make, what = OTHERS[case]
    other = make()
    for one, two in ((BASE, other), (other, BASE)):
        with pytest.raises(
            ValueError, match=rf"The two evaluations (differ in their {what}|do not score ndcg@10 for the same)"
        ):
            one - two


@pytest.mark.filterwarnings("ignore:.* of the .* users who are scored have no interaction in X")
def test_a_difference_of_other_held_out_items_raises():
    fold_in = sp.csr_array((30, 30))
    y = X[50:]
    one, two = (evaluate(MODEL, fold_in, "ndcg@10", y=held_out) for held_out in (y, moved(y)))
    with pytest.raises(
        ValueError, match="differ in their held-out items: a difference needs the same users, the same hid"
    ):
        one - two
    # what counts is what is relevant
    y = y * 1.0
    y.data[::2] = 5
    one, two = (evaluate(MODEL, fold_in, "ndcg@10", y=y, min_value=least) for least in (2, 3))
    assert (one - two).mean == {"ndcg@10": 0}
    with pytest.raises(ValueError, match="differ in their held-out items"):
        one - evaluate(MODEL, fold_in, "ndcg@10", y=y)


@pytest.mark.parametrize(
    "container", [sp.csr_matrix, sp.csc_array, lambda matrix: matrix.toarray(), lambda matrix: matrix * 3]
)
def test_containers_and_values_make_no_other_evaluation(container):
    other = evaluate(OTHER, container(FOLD_IN), METRICS, y=container(HELD_OUT))
    assert (BASE - other).mean == {name: pytest.approx(BASE.mean[name] - other.mean[name]) for name in METRICS}
    assert (evaluate(MODEL, container(TEST), METRICS) - other).n_users == 30


def test_a_difference_of_fewer_metrics_is_taken():
    assert list((evaluate(OTHER, TEST, "ndcg@10") - evaluate(MODEL, TEST, METRICS)).mean) == ["ndcg@10"]
    functions = {"mine": partial(recall_at_k, k=5), "first": first_hit}
    assert (evaluate(MODEL, TEST, functions) - evaluate(MODEL, TEST, functions)).mean == {"mine": 0, "first": 0}
    with pytest.raises(ValueError, match="differ in their metric mine"):
        evaluate(MODEL, TEST, functions) - evaluate(
            MODEL, TEST, {"mine": partial(recall_at_k, k=6), "first": first_hit}
        )


def test_evaluations_by_hand_subtract_as_before_and_from_others():
    scores = BASE.per_user
    assert (Evaluation(scores) - Evaluation(scores)).mean == dict.fromkeys(METRICS, 0)
    assert (Evaluation(scores) - BASE).mean == (BASE - Evaluation(scores)).mean == dict.fromkeys(METRICS, 0)


def test_a_difference_pickles_and_can_be_subtracted_again():
    difference = pickle.loads(pickle.dumps(BASE - evaluate(OTHER, TEST, METRICS)))
    assert (difference - (BASE - BASE)).mean == difference.mean
    with pytest.raises(ValueError, match="differ in their fold-in"):
        difference - evaluate(OTHER, TEST, METRICS, random_state=1)


def test_groups_of_the_same_users_subtract_and_others_raise():
    mine, others = (evaluation.by_activity(FOLD_IN, 3) for evaluation in (BASE, evaluate(OTHER, TEST, METRICS)))
    differences = [one.evaluation - two.evaluation for one, two in zip(mine, others, strict=True)]
    assert sum(difference.n_users for difference in differences) == 30
    with pytest.raises(ValueError, match="differ in their users"):
        mine[0].evaluation - Evaluation(mine[0].evaluation.per_user, others[1].evaluation.evaluated)


FITTED = sp.csr_array(X[:50])
BINARY_PIPELINE = make_pipeline(Binarizer(), PopularityRecommender())
SEARCH = GridSearchCV(PopularityRecommender(), {"store_user_hashes": [True]}, scoring=ndcg_scorer, cv=UserKFold(2))


@pytest.mark.parametrize(
    "model", [PopularityRecommender(), BINARY_PIPELINE, SEARCH], ids=["alone", "piped", "searched"]
)
def test_users_that_the_model_was_fitted_on_are_warned_of(model):
    fitted = clone(model).fit(FITTED)
    with pytest.warns(UserWarning, match="PopularityRecommender was fitted on most users of X, 50 of 50"):
        evaluate(fitted, X[:50])
    with pytest.warns(UserWarning, match="most users of X, 30 of 59"):
        evaluate(fitted, X[20:79])
    evaluate(fitted, X[21:])  # half of them: no warning


def test_whole_users_are_compared_and_not_their_fold_in():
    fold_in, held_out = fold_in_split(FITTED)
    with pytest.warns(UserWarning, match="was fitted on most users"):
        evaluate(MODEL, fold_in, y=held_out)
    evaluate(PopularityRecommender().fit(fold_in), fold_in, y=held_out)  # what is hidden was not in the fit


def test_where_no_hashes_are_stored_nobody_is_warned_of():
    model = PopularityRecommender(store_user_hashes=False).fit(FITTED)
    assert not hasattr(model, "was_fitted_on")
    assert vars(model)["_user_hashes"] is None
    evaluate(model, FITTED)


DAE = MultDAERecommender(2, max_iter=1, warm_start=True)
LINEAR = LinearRecommender(l2_regularization=1.0, keep_gram=True)


@pytest.mark.parametrize(
    ("model", "more"),
    [(DAE, "partial_fit"), (DAE, "fit"), (LINEAR, "partial_fit")],
    ids=["partial_fit", "warm start", "linear partial_fit"],
)
def test_a_model_that_goes_on_knows_the_users_of_before_too(model, more):
    model = clone(model).fit(FITTED[:20])
    getattr(model, more)(FITTED[20:40])
    assert model.was_fitted_on(X).tolist() == [True] * 40 + [False] * 40
    assert not clone(model).fit(FITTED[20:40]).was_fitted_on(FITTED[:20]).any()


@pytest.mark.parametrize(
    ("model", "more"), [(DAE, "partial_fit"), (DAE, "fit"), (LINEAR, "partial_fit")], ids=["dae", "warm", "linear"]
)
@pytest.mark.parametrize("stored", [(True, False), (False, True)], ids=["first", "later"])
def test_users_of_a_model_are_known_where_all_of_them_were_stored(model, more, stored):
    model = clone(model).set_params(store_user_hashes=stored[0]).fit(FITTED[:20])
    getattr(model.set_params(store_user_hashes=stored[1]), more)(FITTED[20:40])
    assert not hasattr(model, "was_fitted_on")


def test_a_method_of_that_name_of_another_library_is_not_asked():
    model = SimpleNamespace(decision_function=lambda X: np.ones(X.shape), was_fitted_on=None)
    ours = PopularityRecommender().fit(np.ones((2, FITTED.shape[1])))
    assert evaluate(model, FITTED).n_users == evaluate(ours, FITTED).n_users


def test_users_with_the_same_items_are_one():  # a warning would be an error
    evaluate(PopularityRecommender().fit(np.ones((5, 10))), np.ones((8, 10)))


def test_each_metric_counts_its_own_users_whichever_comes_first():
    def half(held_out, items, per_user):
        return np.where(np.arange(len(items)) % 2, np.nan, 1.0)

    def none(held_out, items, per_user):
        return np.full(len(items), np.nan)

    metrics = {"ndcg": ndcg_at_k, "half": half, "none": none}
    n_users = {"ndcg": 34, "half": 17, "none": 0}
    for names in itertools.permutations(metrics):
        evaluation = evaluate(MODEL, X[46:], {name: metrics[name] for name in names})
        assert evaluation.to_frame()["n_users"].to_dict() == n_users
        assert np.isnan(evaluation.mean["none"])
        assert (evaluation.n_users, evaluation.n_left_out) == (34, 0)


def test_a_metric_that_cannot_be_called_is_told_how_it_is(X):
    model = PopularityRecommender().fit(X[:400])
    for metric in (lambda held_out, items: 0.5, lambda items, *, per_user: 0.5):
        with pytest.raises(TypeError, match=r"called as metric\(held_out, items, per_user=True\), which"):
            evaluate(model, X[400:], metric)


def test_a_metric_does_not_change_the_items_of_the_others(X):
    def in_place(held_out, items, per_user):
        items.sort(axis=1)
        return np.zeros(len(items))

    model = PopularityRecommender().fit(X[:400])
    together = evaluate(model, X[400:], {"in place": in_place, "ndcg": ndcg_at_k}).mean["ndcg"]
    assert together == evaluate(model, X[400:], {"ndcg": ndcg_at_k}).mean["ndcg"]


def test_only_an_evaluation_is_subtracted(X):
    with pytest.raises(TypeError, match="unsupported operand"):
        evaluate(PopularityRecommender().fit(X[:400]), X[400:]) - 0


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, pd.DataFrame, "one column", np.float64])
def test_min_value_is_one_number_in_every_container(container):
    def of_users(X):
        return pd.DataFrame(X).astype({0: float}) if container == "one column" else container(X)

    def n_users(values, **parameters):
        pair = (of_users(part.toarray() * values) for part in fold_in_split(X[20:]))
        return evaluate(model, next(pair), "recall@5", y=next(pair), **parameters).n_users

    X = make_interactions(n_users=160, n_items=20, random_state=0)
    model, stored = PopularityRecommender().fit(X[:20]), np.float32(3.7)
    n_hidden = np.count_nonzero(fold_in_split(X[20:])[1].toarray(), axis=0)
    is_most = np.arange(20) == n_hidden.argmax()
    assert n_users(np.where(is_most, np.float32(3.8), stored), min_value=3.7) == n_hidden.max() > 0
    with pytest.raises(ValueError, match=r"above min_value=3\.7"):
        n_users(stored, min_value=3.7)
    assert n_users(2.0**24 + 4, min_value=2**24 + 3) == n_users(1.0)


METRICS_OF_MANY_KINDS = [
    lambda k: lambda held_out, items, per_user: recall_at_k(held_out, items, k=k, per_user=per_user),
    lambda k: partial(recall_at_k, k=k),
    lambda k: Recall(k),
    lambda k: Recall(k).__call__,
    lambda k: eval(f"lambda held_out, items, per_user: recall_at_k(held_out, items, k={k}, per_user=per_user)"),
]


class Recall:
    def __init__(self, k):
        self.k = k

    def __call__(self, held_out, items, per_user):
        return recall_at_k(held_out, items, k=self.k, per_user=per_user)


@pytest.mark.parametrize("metric_at", METRICS_OF_MANY_KINDS, ids=["closure", "partial", "object", "method", "lambda"])
def test_a_difference_of_metrics_that_do_not_compute_the_same_is_refused(metric_at):
    X = make_interactions(n_users=80, n_items=40, random_state=0)
    model = PopularityRecommender().fit(X[:20])
    at_5, again, at_20 = (evaluate(model, X[20:], {"recall": metric_at(k)}) for k in (5, 5, 20))
    assert (at_5 - again).mean == {"recall": 0}
    with pytest.raises(ValueError, match="differ in their metric recall"):
        at_5 - at_20


def test_users_of_whom_nothing_is_known_are_warned_of_where_they_are_most():
    X = make_interactions(n_users=80, n_items=40, random_state=0)
    model, (fold_in, held_out) = PopularityRecommender().fit(X[:40]), fold_in_split(X[40:])
    empty = sp.csr_array(fold_in * (np.arange(40) >= 21)[:, None])
    with pytest.warns(
        UserWarning, match=r"^21 of the \d+ users who are scored have no interaction in X: all of them get"
    ):
        evaluate(model, empty, y=held_out)
    known = np.flatnonzero(np.asarray(empty.sum(axis=1)).ravel())
    evaluate(model, empty[known], y=held_out[known])
    evaluate(model, sp.csr_array(fold_in * (np.arange(40) >= 10)[:, None]), y=held_out)


def test_a_metric_may_know_anything_and_change():
    import numpy  # a module is no plain value

    cyclic = [1]
    cyclic.append(cyclic)
    calls = []

    def metric(held_out, items, per_user):
        calls.append(len(cyclic))
        return numpy.ones(len(items))

    class Counting:
        def __init__(self):
            self.calls, self.parts, self.log = [], (x for x in ()), logging.getLogger()

        def __call__(self, held_out, items, per_user):
            self.calls.append(self)
            return np.ones(len(items))

    X = make_interactions(n_users=80, n_items=40, random_state=0)
    model = PopularityRecommender().fit(X[:20])
    for own in (metric, Counting().__call__, partial(metric)):
        one, two = (evaluate(model, X[20:], {"own": own}) for _ in range(2))
        assert (one - two).mean == {"own": 0}
        assert len(str(one.evaluated)) < 2000


def test_a_masked_score_is_none():
    evaluation = Evaluation({"a": np.ma.masked_array([1.0, 100.0], [False, True])})
    assert evaluation.mean == {"a": 1.0}
    assert evaluation.n_left_out == 1
