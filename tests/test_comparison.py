"""Comparisons against the evaluations that they are made of."""

import itertools
import re

import numpy as np
import pytest

import skvae
from skvae import EASERecommender, PopularityRecommender, compare, evaluate
from skvae.datasets import make_interactions

X = make_interactions(200, 40, random_state=0)
TRAIN, TEST = X[:120], X[120:]
MODELS = {
    "popular": PopularityRecommender().fit(TRAIN),
    "ease": EASERecommender(l2_regularization=10).fit(TRAIN),
    "<stiff>": EASERecommender(l2_regularization=1e4).fit(TRAIN),
}
METRICS = ("recall@5", "ndcg@10")


def holm(p_values):
    """Adjusted as Holm's paper says it: step by step, from the smallest on."""
    left, adjusted, last = dict(enumerate(p_values)), {}, 0.0
    while left:
        place = min(left, key=left.__getitem__)
        last = adjusted[place] = min(1.0, max(last, len(left) * left.pop(place)))
    return [adjusted[place] for place in range(len(p_values))]


@pytest.mark.parametrize("baseline", [None, "<stiff>"])
def test_means_and_differences_are_those_of_evaluate_and_p_values_are_adjusted_for_all_that_could_be_shown(baseline):
    comparison, evaluations = (
        compare(MODELS, TEST, METRICS, baseline=baseline),
        {name: evaluate(model, TEST, METRICS) for name, model in MODELS.items()},
    )
    order = sorted(MODELS, key=lambda name: -evaluations[name].mean["recall@5"])
    assert comparison.best == order[0]
    reference, frame = baseline or order[0], comparison.to_frame()
    assert list(frame.index) == list(itertools.product(METRICS, order))
    pairs = (
        [(name, baseline) for name in order if name != baseline] if baseline else [*itertools.combinations(order, 2)]
    )
    for metric in METRICS:
        p_values = [(evaluations[one] - evaluations[other]).p_value[metric] for one, other in pairs]
        adjusted = {frozenset(pair): p for pair, p in zip(pairs, holm(p_values), strict=True)}
        for name in order:
            row, difference = frame.loc[(metric, name)], evaluations[name] - evaluations[reference]
            assert row["mean"] == evaluations[name].mean[metric]
            assert row["standard_error"] == evaluations[name].standard_error[metric]
            if name == reference:
                assert row[["difference", "difference_error", "p_value"]].isna().all()
                continue
            assert row["difference"] == pytest.approx(difference.mean[metric])
            assert row["difference_error"] == pytest.approx(difference.standard_error[metric])
            assert row["p_value"] == pytest.approx(adjusted[frozenset((name, reference))])


def test_models_that_are_the_same_differ_by_nothing_and_one_model_is_a_table_too():
    twice = compare({"a": MODELS["ease"], "b": MODELS["ease"]}, TEST, "ndcg@10").to_frame()
    assert twice.loc[("ndcg@10", "b"), ["difference", "difference_error", "p_value"]].tolist() == [0, 0, 1]
    assert compare({"a": MODELS["ease"]}, TEST, "ndcg@10").to_frame()["p_value"].isna().all()


def test_it_is_told_in_text_and_html():
    comparison = compare(MODELS, TEST, "ndcg@10")
    head, *rows, users = repr(comparison).splitlines()
    assert re.split("  +", head) == ["metric", "model", "mean", f"above {comparison.best}", "p"]
    frame = comparison.to_frame()
    for row, (_, name) in zip(rows, frame.index, strict=True):
        mean, error, difference, of_difference, _ = frame.loc[("ndcg@10", name)]
        expected = ["ndcg@10", name, f"{mean:.4f} +- {error:.4f}"]
        expected += [] if np.isnan(difference) else [f"{difference:+.4f} +- {of_difference:.4f}"]
        assert re.split("  +", row)[: len(expected)] == expected
        assert ("< 0.0001" in row) == (frame.loc[("ndcg@10", name), "p_value"] < 0.0001)
    assert users == "80 users, 0 left out; p by Holm for 3 pairs of models, each metric by itself"
    table = comparison._repr_html_()
    assert "<td>&lt;stiff&gt;</td>" in table
    assert users in table


def test_options_are_those_of_evaluate_and_metrics_may_be_an_iterator():
    fold_in, held_out = skvae.fold_in_split(TEST, random_state=3)
    given = compare(MODELS, fold_in, iter(METRICS), y=held_out)
    drawn = compare(MODELS, TEST, METRICS, random_state=3)
    assert repr(given) == repr(drawn) != repr(compare(MODELS, TEST, METRICS))


@pytest.mark.parametrize(
    ("models", "baseline", "error", "sentence"),
    [
        ([MODELS["ease"]], None, TypeError, "models must be a dict of names to fitted models, .*, got list"),
        ({}, None, TypeError, "models must be a dict of names to fitted models, .*, got an empty one"),
        (MODELS, "vae", ValueError, "baseline must be one of 'popular', 'ease', '<stiff>', got 'vae'"),
        ({"a": "ease"}, None, TypeError, r"str has no decision_function\(X\)"),
    ],
)
def test_what_cannot_be_compared_is_told(models, baseline, error, sentence):
    with pytest.raises(error, match=sentence) as raised:
        compare(models, TEST, baseline=baseline)
    if "a" in models:
        assert raised.value.__notes__ == ["This was the model 'a'."]


def test_metrics_that_score_other_users_of_each_model_or_nobody_are_refused():
    def rank_of_first_hit(held_out, items, per_user):
        hits = np.take_along_axis(held_out.toarray(), np.maximum(items, 0), axis=1)[:, :3] > 0
        return np.where(hits.any(axis=1), hits.argmax(axis=1), np.nan)

    with pytest.raises(ValueError, match="first is NaN for other users of"):
        compare(MODELS, TEST, {"ndcg@5": "ndcg@5", "first": rank_of_first_hit})
    nobody = {"nobody": lambda held_out, items, per_user: np.full(len(items), np.nan), "ndcg@5": "ndcg@5"}
    with pytest.raises(ValueError, match="Models are ordered by nobody, the first metric, which gave nobody a score"):
        compare(MODELS, TEST, nobody)
