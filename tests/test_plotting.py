"""Displays: what is drawn is what was computed."""

import io
import itertools
import sys
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import sklearn
from conftest import SMALL_DAE, SMALL_VAE
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer

import skvae
from skvae import ActivityDisplay, ComparisonDisplay, LatentSpaceDisplay, PopularityDisplay, TrainingCurveDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def no_other_figure():
    plt.close("all")  # those of doctests that ran before in this process
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def vae(X):
    return clone(SMALL_VAE).fit(X[:400], X_val=X[400:])


@pytest.fixture(scope="module")
def dae(X):
    return clone(SMALL_DAE).set_params(early_stopping=False).fit(X[:400])


@pytest.fixture(scope="module")
def popularity(X):
    return skvae.PopularityRecommender().fit(X[:400])


def make_displays(model, X):
    """Name -> function of ax that makes a display of one Axes."""
    return {
        "loss": lambda ax: TrainingCurveDisplay.from_estimator(model, curves=["loss"], ax=ax),
        "activity": lambda ax: ActivityDisplay.from_estimator(model, X, ax=ax),
        "users": lambda ax: LatentSpaceDisplay.from_estimator(model, X, ax=ax),
        "items": lambda ax: LatentSpaceDisplay.from_item_vectors(model, ax=ax),
        "popularity": lambda ax: PopularityDisplay.from_estimator(model, X, ax=ax),
        "comparison": lambda ax: ComparisonDisplay.from_comparison(skvae.compare({"a": model}, X), ax=ax),
    }


NAMES = ["loss", "activity", "users", "items", "popularity", "comparison"]


def drawn_axes(display):
    return display.ax_ if hasattr(display, "ax_") else display.axes_[0]


@pytest.mark.parametrize("name", NAMES)
def test_an_axes_passed_in_is_drawn_into_and_no_figure_is_made(vae, X, name):
    figure, ax = plt.subplots()
    display = make_displays(vae, X[400:])[name](ax)
    assert drawn_axes(display) is ax
    assert display.figure_ is figure
    assert ax.has_data()
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize("name", NAMES)
def test_without_an_axes_one_figure_is_made_and_plot_makes_another(vae, X, name):
    display = make_displays(vae, X[400:])[name](None)
    first = display.figure_
    plt.close("all")
    assert display.plot() is display
    assert display.figure_ is not first
    assert plt.get_fignums() == [display.figure_.number]
    assert drawn_axes(display).get_xlabel()
    assert drawn_axes(display).get_ylabel()


@pytest.mark.parametrize("name", NAMES)
def test_without_matplotlib_the_error_says_what_to_install(vae, X, name, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"Display.from_\w+ requires matplotlib. You can install matplotlib with"):
        make_displays(vae, X[400:])[name](None)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_is_not_fitted_is_said_to_be(X, name):
    with pytest.raises(NotFittedError):
        make_displays(clone(SMALL_VAE), X[400:])[name](None)
    assert not plt.get_fignums()


# -- names of models and categories, whatever they are

ODD_NAMES = [
    "_a",
    "__a",
    "_nolegend_",
    "_child0",
    "$5",
    "$5 $_$",
    r"$\frac$",
    "a\nb",
    "#%&^~{",
    " ",
    "",
    3,
    2.5,
    ("a", 1),
]


def legend_of(display):
    """The texts of the legend, after a drawing in which matplotlib reads them."""
    display.figure_.savefig(io.BytesIO())
    return [text.get_text() for text in drawn_axes(display).get_legend().get_texts()]


def make_named(model, X):
    """Name -> function of a model's name and an ax that makes a display with a legend."""
    return {
        "loss": lambda name, ax: TrainingCurveDisplay.from_estimator(model, curves=["loss"], name=name, ax=ax),
        "activity": lambda name, ax: ActivityDisplay.from_estimator(model, X, name=name, ax=ax),
        "popularity": lambda name, ax: PopularityDisplay.from_estimator(model, X, name=name, ax=ax),
    }


named_displays = pytest.mark.parametrize("kind", ["loss", "activity", "popularity"])


@named_displays
@pytest.mark.parametrize("name", ODD_NAMES, ids=repr)
def test_a_model_stands_in_the_legend_whatever_its_name(dae, X, kind, name):
    *_, text = legend_of(make_named(dae, X[400:])[kind](name, None))
    without_a_name = {"loss": "model", "activity": "", "popularity": "recommendations"}[kind]
    assert text.removesuffix(f", coverage {text[-5:]}") == (without_a_name if name == "" else str(name))


@named_displays
@pytest.mark.parametrize("names", [("_a", "b"), ("a", "_b"), ("_a", "$b$"), ("_a", "_a")])
def test_every_model_in_the_same_axes_is_in_the_legend(dae, X, kind, names):
    make, ax = make_named(dae, X[400:])[kind], plt.subplots()[1]
    ax.plot([1, 2], [0.1, 0.2], label=r"mine, $\beta$")
    ax.plot([1, 2], [0.1, 0.3])
    for name in names:
        display = make(name, ax)
    texts = [text.partition(", coverage")[0] for text in legend_of(display) if text != "interactions"]
    assert sorted(texts) == sorted([r"mine, $\beta$", *names])
    parsed = {text.get_text(): text.get_parse_math() for text in ax.get_legend().get_texts()}
    assert [text for text, is_parsed in parsed.items() if is_parsed and "$" in text] == [r"mine, $\beta$"]


@named_displays
def test_a_class_whose_name_begins_with_an_underscore_is_in_the_legend(vae, X, kind):
    class _Hidden(type(vae)):
        pass

    model = _Hidden(**SMALL_VAE.get_params()).set_params(max_iter=1).fit(X[:400])
    *_, text = legend_of(make_named(model, X[400:])[kind](None, None))
    assert text.startswith("_Hidden")


@named_displays
def test_a_label_of_matplotlibs_own_hides_as_matplotlib_does(dae, X, kind):
    key = "errorbar_kwargs" if kind == "activity" else "line_kwargs"
    display = make_named(dae, X[400:])[kind]("model", None)
    ax = plt.subplots()[1]
    display.plot(ax, **{key: {"label": "_nolegend_"}})
    texts = [text.get_text() for text in ax.get_legend().get_texts()] if ax.get_legend() else []
    assert texts == (["interactions"] if kind == "popularity" else [])
    display.plot(plt.subplots()[1], **{key: {"label": "shown"}})
    assert legend_of(display)[-1] == "shown"


def test_names_of_evaluations_stand_in_the_legend_as_they_are(dae, X):
    evaluation, (fold_in, _) = skvae.evaluate(dae, X[400:]), skvae.fold_in_split(X[400:])
    display = ActivityDisplay.from_evaluations(dict.fromkeys([*ODD_NAMES, None], evaluation), fold_in)
    assert legend_of(display) == [*map(str, ODD_NAMES), "None"]


# -- settings of scikit-learn


@pytest.mark.parametrize("container", ["pandas", "polars"])
@pytest.mark.parametrize("name", NAMES)
def test_a_display_is_the_same_whatever_transform_output_is(vae, X, name, container):
    expected = make_displays(vae, X[400:])[name](None)
    with sklearn.config_context(transform_output=container):
        display = make_displays(vae, X[400:])[name](None)
    assert vars(display).keys() == vars(expected).keys()
    for attribute in ("components", "explained_variance_ratio", "recommendations", "interactions"):
        if hasattr(display, attribute):
            assert type(getattr(display, attribute)) is np.ndarray
            np.testing.assert_array_equal(getattr(display, attribute), getattr(expected, attribute))
    drawn, before = drawn_axes(display), drawn_axes(expected)
    np.testing.assert_array_equal(drawn.dataLim.get_points(), before.dataLim.get_points())
    assert drawn.get_xlabel() == before.get_xlabel()


@pytest.mark.parametrize("container", [pd.DataFrame, pl.DataFrame, sp.csr_array])
def test_codes_in_a_table_or_a_sparse_matrix_are_drawn_as_those_in_an_array(dae, X, container):
    codes = dae.transform(X)

    class Coder(type(dae)):
        def transform(self, X):
            return container(codes)

    coder = Coder()
    coder.__setstate__(dae.__getstate__())
    display = LatentSpaceDisplay.from_estimator(coder, X)
    np.testing.assert_array_equal(display.components, LatentSpaceDisplay.from_estimator(dae, X).components)


# -- training curves


def test_a_single_epoch_is_seen_as_a_point(X):
    display = TrainingCurveDisplay.from_estimator(clone(SMALL_DAE).set_params(max_iter=1).fit(X))
    assert display.lines_[0].get_marker() == "o"


def test_weights_from_before_the_first_epoch_are_marked_at_no_epoch(vae):
    display = TrainingCurveDisplay(curves={"loss": vae.loss_curve_}, best_iter=0).plot()
    assert [line.get_xdata()[0] for line in display.best_lines_] == [0]
    assert len(display.axes_[0].lines) == 2


def test_training_curves_are_those_of_the_model(vae):
    display = TrainingCurveDisplay.from_estimator(vae)
    drawn = dict(zip((axes.get_ylabel() for axes in display.axes_), display.lines_, strict=True))
    expected = {
        "loss per user (nats)": vae.loss_curve_,
        "validation NDCG@100": vae.validation_scores_,
        "beta": vae.beta_curve_,
    }
    assert list(drawn) == list(expected)
    for label, values in expected.items():
        np.testing.assert_array_equal(drawn[label].get_xdata(), np.arange(1, vae.n_iter_ + 1))
        np.testing.assert_array_equal(drawn[label].get_ydata(), values)
    assert display.axes_[-1].get_xlabel() == "epoch"


def test_the_best_epoch_is_marked_in_each_axes(vae):
    display = TrainingCurveDisplay.from_estimator(vae, name="Mult-VAE")
    assert [line.get_xdata()[0] for line in display.best_lines_] == [vae.best_iter_] * 3
    dot = display.axes_[1].lines[-1]
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (vae.best_iter_, vae.best_validation_score_)
    (text,) = display.axes_[0].get_legend().get_texts()
    assert text.get_text() == f"Mult-VAE, best epoch {vae.best_iter_}"


def test_only_the_curves_that_a_model_has_are_drawn(dae):
    display = TrainingCurveDisplay.from_estimator(dae)
    assert [axes.get_ylabel() for axes in display.axes_] == ["loss per user (nats)"]
    assert display.best_lines_ == []


def test_a_second_model_joins_the_axes_of_the_first(vae, X):
    other = clone(SMALL_DAE).fit(X[:400], X_val=X[400:])
    curves = ["loss", "validation"]
    display = TrainingCurveDisplay.from_estimator(vae, curves=curves, name="Mult-VAE")
    second = TrainingCurveDisplay.from_estimator(other, curves=curves, name="Mult-DAE", ax=display.axes_)
    assert second.figure_ is display.figure_
    assert [text.get_text()[:8] for text in display.axes_[0].get_legend().get_texts()] == ["Mult-VAE", "Mult-DAE"]


@pytest.mark.parametrize(
    ("curves", "sentence"),
    [
        (["validation"], r'no curve "validation", validation_scores_ .* fit with X_val or early_stopping=True'),
        (["beta"], r'no curve "beta", beta_curve_ is 0 in every epoch'),
        (["score"], "curves must be of loss, validation, beta, got 'score'"),
        ("loss", "curves must be a list of loss, validation, beta, got 'loss'"),
        ([], "curves must be a list"),
    ],
)
def test_a_curve_that_is_not_there_is_named(dae, curves, sentence):
    with pytest.raises(ValueError, match=sentence):
        TrainingCurveDisplay.from_estimator(dae, curves=curves)


def test_validation_scores_of_some_epochs_alone_are_not_drawn(X):
    model = clone(SMALL_VAE).set_params(max_iter=2).fit(X[:400], X_val=X[400:]).partial_fit(X[:400])
    display = TrainingCurveDisplay.from_estimator(model)
    assert [axes.get_ylabel() for axes in display.axes_] == ["loss per user (nats)", "beta"]
    with pytest.raises(ValueError, match="does not have one score per epoch"):
        TrainingCurveDisplay.from_estimator(model, curves=["validation"])


def test_as_many_axes_as_curves_are_needed(vae):
    with pytest.raises(ValueError, match=r"ax holds 1 Axes for 3 curves: pass plt.subplots\(3\)\[1\], or fewer"):
        TrainingCurveDisplay.from_estimator(vae, ax=plt.subplots()[1])


def test_a_model_without_epochs_has_no_training_curve(popularity):
    with pytest.raises(TypeError, match="PopularityRecommender has no training curve"):
        TrainingCurveDisplay.from_estimator(popularity)


# -- activity


def bars(container):
    """Centres, heights and half lengths of the bars of an ErrorbarContainer."""
    line, _, (collection,) = container
    # a group of one user has no error bar
    ends = np.array([segment[:, 1] if len(segment) else [0, 0] for segment in collection.get_segments()])
    return line.get_xdata(), line.get_ydata(), (ends[:, 1] - ends[:, 0]) / 2


def test_activity_bars_are_means_and_standard_errors_of_the_groups(vae, popularity, X):
    fold_in, held_out = skvae.fold_in_split(X[400:])
    models = {"vae": vae, "popularity": popularity}
    evaluations = {name: skvae.evaluate(model, fold_in, ["ndcg@10"], y=held_out) for name, model in models.items()}
    display = ActivityDisplay.from_evaluations(evaluations, fold_in, metric="ndcg@10", n_groups=3)
    for container, evaluation in zip(display.errorbars_, evaluations.values(), strict=True):
        groups = evaluation.by_activity(fold_in, 3)
        _, means, errors = bars(container)
        np.testing.assert_array_equal(means, [group.evaluation.mean["ndcg@10"] for group in groups])
        np.testing.assert_allclose(errors, [group.evaluation.standard_error["ndcg@10"] for group in groups])
    labels = [tick.get_text() for tick in display.ax_.get_xticklabels()]
    assert labels == [f"{group.fewest} to {group.most}" for group in groups]
    assert display.ax_.get_ylabel() == "NDCG@10, mean and standard error"
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == list(models)


@pytest.mark.parametrize("baseline", [None, "_popularity$"])
@pytest.mark.parametrize("differences", [True, False])
def test_models_stand_by_their_differences_with_intervals(vae, popularity, X, baseline, differences):
    models = {"_popularity$": popularity, "vae": vae, "twice": popularity}
    comparison = skvae.compare(models, X[400:], ("ndcg@10", "recall@5"), baseline=baseline)
    display = ComparisonDisplay.from_comparison(
        comparison, metric="recall@5", differences=differences, confidence_level=0.9
    )
    drawn = {name: skvae.evaluate(model, X[400:], "recall@5") for name, model in models.items()}
    if differences:
        drawn = {name: evaluation - drawn[comparison.reference] for name, evaluation in drawn.items()}
    names = [tick.get_text() for tick in display.ax_.get_yticklabels()]
    assert names == [*comparison.evaluations]
    points, _, (segments,) = display.errorbar_
    np.testing.assert_allclose(points.get_xdata(), [drawn[name]["recall@5"] for name in names])
    for name, place, segment in zip(names, display.ax_.get_yticks(), segments.get_segments(), strict=True):
        ends = drawn[name].confidence_interval(0.9)["recall@5"]
        np.testing.assert_allclose(segment, [[end, place] for end in ends], atol=1e-12)
    assert display.ax_.get_ylim() == (2.5, -0.5)  # the best stands on top
    assert (display.zero_line_ is not None) == differences
    label = "Recall@5, 90 % confidence interval"
    if differences:
        label += f" of the difference to {comparison.reference}"
    assert display.ax_.get_xlabel() == label
    display.figure_.canvas.draw()  # a name is no formula


def test_the_picture_of_a_comparison_grows_with_its_models(popularity, X):
    heights = []
    for n_models in (2, 30):
        comparison = skvae.compare({f"model {n}": popularity for n in range(n_models)}, X[400:])
        display = ComparisonDisplay.from_comparison(comparison)
        display.figure_.canvas.draw()
        boxes = [tick.get_window_extent() for tick in display.ax_.get_yticklabels()]
        assert all(below.y1 < above.y0 for above, below in itertools.pairwise(boxes))
        heights.append(display.figure_.get_figheight())
    assert heights[0] < 3 < heights[1]


def test_a_comparison_of_one_user_has_points_alone(vae, popularity, X):
    display = ComparisonDisplay.from_comparison(skvae.compare({"vae": vae, "popular": popularity}, X[400:401]))
    _, _, (segments,) = display.errorbar_
    assert all(begin[0] == end[0] for begin, end in segments.get_segments())


def test_what_is_no_comparison_or_none_of_its_metrics_is_explained(vae, X):
    with pytest.raises(TypeError, match=r"must be what skvae\.compare gives, got Evaluation"):
        ComparisonDisplay.from_comparison(skvae.evaluate(vae, X[400:]))
    comparison = skvae.compare({"vae": vae}, X[400:])
    with pytest.raises(ValueError, match=r"metric must be one of 'ndcg@100', 'recall@20', 'recall@50', got 'ndcg'"):
        ComparisonDisplay.from_comparison(comparison, metric="ndcg")
    with pytest.raises(ValueError, match=r"confidence_level == 95"):
        ComparisonDisplay.from_comparison(comparison, confidence_level=95)


def test_bars_of_several_models_stand_side_by_side_over_their_group(vae, X):
    evaluation, (fold_in, _) = skvae.evaluate(vae, X[400:]), skvae.fold_in_split(X[400:])
    display = ActivityDisplay.from_evaluations(dict.fromkeys("abcd", evaluation), fold_in)
    places = np.array([bars(container)[0] for container in display.errorbars_])
    assert (np.diff(places, axis=0) > 0).all()
    np.testing.assert_array_equal(np.rint(places.mean(axis=0)), np.arange(places.shape[1]))
    np.testing.assert_array_equal(np.rint(places), np.rint(places.mean(axis=0))[None].repeat(4, 0))


def test_activity_of_an_estimator_is_that_of_its_evaluation(vae, X):
    fold_in, _ = skvae.fold_in_split(X[400:])
    model = make_pipeline(Binarizer(), vae)
    display = ActivityDisplay.from_estimator(model, X[400:], metric="recall@20", name="Mult-VAE")
    groups = skvae.evaluate(vae, X[400:], "recall@20").by_activity(fold_in)
    assert list(display.groups) == ["Mult-VAE"]
    np.testing.assert_array_equal(
        bars(display.errorbars_[0])[1], [group.evaluation.mean["recall@20"] for group in groups]
    )


def assert_all_inside(ax):
    """Every point and every end of an error bar lies inside the axes."""
    (left, right), (lower, upper) = ax.get_xbound(), ax.get_ybound()
    for container in ax.containers:
        xs, means, errors = bars(container)
        assert ((left <= xs) & (xs <= right)).all()
        assert (lower <= means - errors).all()
        assert (means + errors <= upper).all()


def evaluation_of(*groups):
    """An evaluation and its fold-in: a group of 1, 2, ... interactions of each list of scores."""
    scores = np.concatenate([np.asarray(group, float) for group in groups])
    sizes = np.repeat(np.arange(1, len(groups) + 1), [len(group) for group in groups])
    return skvae.Evaluation({"ndcg@100": scores}), (np.arange(len(groups)) < sizes[:, None]).astype(float)


BELOW, ABOVE, ACROSS = [-0.4, -0.2, -0.3], [0.3, 0.2, 0.1], [0.2, -0.1, 0.05]


@pytest.mark.parametrize(
    "groups",
    [[BELOW, BELOW], [BELOW, ABOVE], [ABOVE, ACROSS], [ACROSS, ACROSS], [BELOW, [-0.2]], [[-1e-9] * 3, [-2e-9] * 3]],
    ids=str,
)
def test_differences_below_zero_are_inside_the_axes_with_a_line_at_zero(groups):
    difference, fold_in = evaluation_of(*groups)
    display = ActivityDisplay.from_evaluations({"a - b": difference}, fold_in, n_groups=len(groups))
    assert len(display.groups["a - b"]) == len(groups)
    display.figure_.savefig(io.BytesIO())
    assert_all_inside(display.ax_)
    assert display.zero_line_.get_ydata() == [0, 0]
    lower, upper = display.ax_.get_ylim()
    assert lower < 0 < upper


# of one user with a score among zeros mean and standard error are the same but for rounding
@pytest.mark.parametrize("groups", [[ABOVE, ABOVE], [[0.7] + 9 * [0], [0.1] + 6 * [0]]], ids=str)
def test_the_axis_begins_at_zero_where_nothing_is_below(groups):
    evaluation, fold_in = evaluation_of(*groups)
    display = ActivityDisplay.from_evaluations({"a": evaluation}, fold_in)
    display.figure_.savefig(io.BytesIO())
    assert display.zero_line_ is None
    assert display.ax_.get_ylim()[0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("order", [(BELOW, ABOVE), (ABOVE, BELOW), ([0.1, 0.1], [0.9, 0.8]), ([0.9, 0.8], [0.1, 0.1])])
def test_a_second_display_in_the_same_axes_cuts_nothing_off(order):
    ax = plt.subplots()[1]
    for scores in order:
        evaluation, fold_in = evaluation_of(scores, scores)
        ActivityDisplay.from_evaluations({str(scores): evaluation}, fold_in, ax=ax)
    ax.figure.savefig(io.BytesIO())
    assert len(ax.containers) == 2
    assert_all_inside(ax)


@pytest.mark.parametrize(("limits", "scores"), [((0, 1), ABOVE), ((0, 1), BELOW), ((0, 0.1), ABOVE), ((1, 0), BELOW)])
def test_limits_that_were_set_are_kept_but_for_what_they_would_cut_off(limits, scores):
    ax = plt.subplots()[1]
    ax.set_ylim(limits)
    evaluation, fold_in = evaluation_of(scores, scores)
    ActivityDisplay.from_evaluations({"a": evaluation}, fold_in, ax=ax)
    ax.figure.savefig(io.BytesIO())
    assert_all_inside(ax)
    assert ax.yaxis_inverted() == (limits == (1, 0))
    assert scores is not ABOVE or limits != (0, 1) or ax.get_ylim() == (0, 1)


@pytest.mark.parametrize("n_models", [1, 2, 6, 15])
def test_every_model_stands_over_its_group(n_models):
    evaluation, fold_in = evaluation_of(ABOVE, ABOVE, ABOVE)
    models = {f"_{model}": evaluation for model in range(n_models)}
    display = ActivityDisplay.from_evaluations(models, fold_in, n_groups=3)
    assert_all_inside(display.ax_)
    for container in display.errorbars_:
        np.testing.assert_array_equal(np.rint(bars(container)[0]), [0, 1, 2])
    assert legend_of(display) == list(models)


def test_a_metric_of_ones_own_is_named_as_it_is(vae, X):
    metrics = {"$5_$": skvae.metrics.ndcg_at_k}
    evaluation, (fold_in, _) = skvae.evaluate(vae, X[400:], metrics), skvae.fold_in_split(X[400:])
    display = ActivityDisplay.from_evaluations({"vae": evaluation}, fold_in, metric="$5_$")
    display.figure_.savefig(io.BytesIO())
    assert display.ax_.get_ylabel().startswith("$5_$, mean")


def test_a_label_is_one_number_where_a_group_has_users_of_one_activity():
    evaluation = skvae.Evaluation({"hit_rate@10": np.array([1.0, 0.0, 1.0])})
    display = ActivityDisplay.from_evaluations({"m": evaluation}, np.ones((3, 6)), metric="hit_rate@10")
    assert [tick.get_text() for tick in display.ax_.get_xticklabels()] == ["6"]
    assert display.ax_.get_ylabel().startswith("Hit rate@10")


def test_wrong_evaluations_are_explained(vae, X):
    fold_in, _ = skvae.fold_in_split(X[400:])
    evaluation = skvae.evaluate(vae, X[400:], "ndcg@10")
    fewer = skvae.Evaluation({"ndcg@10": np.where(np.arange(100) < 50, np.nan, evaluation.per_user["ndcg@10"])})
    with pytest.raises(ValueError, match="metric='ndcg@100' was not evaluated for vae: it has ndcg@10"):
        ActivityDisplay.from_evaluations({"vae": evaluation}, fold_in)
    with pytest.raises(ValueError, match="do not score ndcg@10 for the same users"):
        ActivityDisplay.from_evaluations({"a": evaluation, "b": fewer}, fold_in, metric="ndcg@10")
    flipped, more = skvae.evaluate(vae, X[400:][::-1], "ndcg@10"), skvae.evaluate(vae, X[400:], ["recall@5", "ndcg@10"])
    with pytest.raises(ValueError, match="differ in their fold-in"):
        ActivityDisplay.from_evaluations({"a": evaluation, "b": flipped}, fold_in, metric="ndcg@10")
    ActivityDisplay.from_evaluations({"a": evaluation, "b": more}, fold_in, metric="ndcg@10")
    with pytest.raises(TypeError, match="evaluations must be a dict of model name to Evaluation"):
        ActivityDisplay.from_evaluations(evaluation, fold_in)
    with pytest.raises(TypeError, match="metric must be the name of one metric"):
        ActivityDisplay.from_estimator(vae, X[400:], metric=["ndcg@10"])
    with pytest.raises(ValueError, match="X has 500 users, the evaluation has 100"):
        ActivityDisplay.from_evaluations({"vae": evaluation}, X, metric="ndcg@10")


def test_held_out_items_in_another_order_than_the_model_s_are_refused(X):
    table = pd.DataFrame(X.toarray(), columns=[f"i{item}" for item in range(200)])
    model = skvae.EASERecommender().fit(table[:400])
    fold_in, held_out = skvae.fold_in_split(X[400:])
    other = pd.DataFrame(held_out.toarray(), columns=table.columns[::-1])
    with pytest.raises(ValueError, match="y has the column 'i199' where EASERecommender was fitted with 'i0'"):
        ActivityDisplay.from_estimator(model, fold_in, other)


# -- latent space


def test_points_are_the_principal_components_of_the_codes(vae, X):
    display = LatentSpaceDisplay.from_estimator(vae, X)
    pca = PCA(2, svd_solver="full")
    np.testing.assert_allclose(display.scatters_[""].get_offsets(), pca.fit_transform(vae.transform(X)), atol=1e-5)
    first, second = pca.explained_variance_ratio_
    assert display.ax_.get_xlabel() == f"first principal component ({first:.0%} of the variance)"
    assert display.ax_.get_ylabel() == f"second principal component ({second:.0%} of the variance)"


def test_items_are_coloured_by_category(vae):
    items, genres = np.arange(5, 150), np.array([f"genre {item % 3}" for item in range(5, 150)])
    display = LatentSpaceDisplay.from_item_vectors(vae, items=items, labels=genres)
    components = PCA(2, svd_solver="full").fit_transform(vae.weights_["decoder.item_weight"][items])
    for genre in ("genre 0", "genre 1", "genre 2"):
        np.testing.assert_allclose(display.scatters_[genre].get_offsets(), components[genres == genre], atol=1e-5)
    assert len({tuple(scatter.get_facecolor()[0]) for scatter in display.scatters_.values()}) == 3
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == sorted(set(genres))


def test_rare_categories_are_other(vae):
    labels = np.array(["other"] * 3 + [f"{item % 12:02d}" for item in range(140)] + ["11"] * 57)
    display = LatentSpaceDisplay.from_item_vectors(vae, labels=labels)
    assert list(display.scatters_) == [*(f"{label:02d}" for label in range(9)), "11", "other"]
    assert sum(len(scatter.get_offsets()) for scatter in display.scatters_.values()) == 200
    assert tuple(display.scatters_["other"].get_facecolor()[0][:3]) == (0.8, 0.8, 0.8)


def test_numbers_are_a_colour_scale(vae, X):
    activity = X.sum(axis=1)
    display = LatentSpaceDisplay.from_estimator(make_pipeline(Binarizer(), vae), X, labels=activity)
    np.testing.assert_array_equal(display.scatters_[""].get_array(), activity)
    assert display.colorbar_.mappable is display.scatters_[""]


# labels a, none, b and none in a container and a spelling of missing
LABELS, NAN = ["a", None, "b", None], float("nan")
SPELLINGS = {
    "list, None": LABELS,
    "tuple, NaN": ("a", NAN, "b", NAN),
    "list, mixed": ["a", pd.NA, "b", pd.NaT],
    "object array": np.array(["a", np.float64("nan"), "b", None], object),
    "masked array": np.ma.masked_array(["a", "x", "b", "x"], mask=[0, 1, 0, 1]),
    "list, masked": ["a", np.ma.masked, "b", None],
    "generator": (label for label in LABELS),
    "pandas object": pd.Series(LABELS, dtype=object),
    "pandas string": pd.Series(LABELS, dtype="string"),
    "pandas array": pd.array(LABELS, dtype="string"),
    "pandas category": pd.Series(LABELS, dtype="category"),
    "pandas index": pd.Index(LABELS),
    "polars string": pl.Series(LABELS),
    "polars category": pl.Series(LABELS, dtype=pl.Categorical),
    "polars enum": pl.Series(LABELS, dtype=pl.Enum(["b", "a"])),
    "pyarrow array": pa.array(LABELS),
    "pyarrow chunked": pa.chunked_array([LABELS[:1], LABELS[1:]]),
    "pyarrow dictionary": pa.array(LABELS).dictionary_encode(),
    "bytes": [b"a", None, b"b", None],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_missing_label_is_named_missing_in_every_spelling(vae, spelling):
    display = LatentSpaceDisplay.from_item_vectors(vae, items=[3, 4, 5, 6], labels=SPELLINGS[spelling])
    assert legend_of(display) == ["a", "b", "missing"]
    assert [len(points.get_offsets()) for points in display.scatters_.values()] == [1, 1, 2]
    expected = LatentSpaceDisplay.from_item_vectors(vae, items=[3, 4, 5, 6]).components
    np.testing.assert_allclose(display.scatters_["missing"].get_offsets(), expected[[1, 3]])


# labels 1, none, 10 and none
INTEGERS = {
    "list": [1, None, 10, None],
    "masked": np.ma.masked_array([1, 7, 10, 7], mask=[0, 1, 0, 1]),
    "pandas": pd.Series([1, None, 10, None], dtype="Int64"),
    "polars": pl.Series([1, None, 10, None]),
    "pyarrow": pa.array([1, None, 10, None]),
}


@pytest.mark.parametrize("container", INTEGERS)
def test_integers_stay_categories_where_some_are_missing(vae, container):
    display = LatentSpaceDisplay.from_item_vectors(vae, items=[3, 4, 5, 6], labels=INTEGERS[container])
    assert legend_of(display) == ["1", "10", "missing"]
    assert display.colorbar_ is None


def test_missing_dates_are_named_missing_too(vae):
    dates = np.array(["2020-01-01", "NaT", "2020-02-01", "NaT"], "datetime64[D]")
    display = LatentSpaceDisplay.from_item_vectors(vae, items=[3, 4, 5, 6], labels=dates)
    assert legend_of(display) == ["2020-01-01", "2020-02-01", "missing"]


@pytest.mark.parametrize("labels", [["nan", "None"], ["<NA>", "NaT"]])
def test_a_category_is_not_missing_because_of_its_name(vae, labels):
    display = LatentSpaceDisplay.from_item_vectors(vae, items=[3, 4, 5], labels=[*labels, None])
    assert legend_of(display) == [*sorted(labels), "missing"]


def test_categories_stand_in_the_legend_as_they_are(vae):
    names = [str(name) for name in ODD_NAMES if name != ""][:10]
    display = LatentSpaceDisplay.from_item_vectors(vae, labels=names * 20)
    assert legend_of(display) == sorted(set(names))
    assert list(display.scatters_) == sorted(set(names))


def test_no_label_at_all_is_only_missing(vae):
    for labels in ([None] * 200, np.full(200, np.nan)):
        display = LatentSpaceDisplay.from_item_vectors(vae, labels=labels)
        assert legend_of(display) == ["missing"]
        assert display.colorbar_ is None


def test_what_is_labelled_missing_or_other_is_grey_with_the_rest(vae):
    display = LatentSpaceDisplay.from_item_vectors(vae, items=np.arange(5), labels=["missing", None, "a", "other", "b"])
    assert legend_of(display) == ["a", "b", "other", "missing"]
    assert len(display.scatters_["missing"].get_offsets()) == 2
    greys = [tuple(display.scatters_[name].get_facecolor()[0][:3]) for name in ("other", "missing")]
    assert all(len(set(grey)) == 1 for grey in greys)
    assert len(set(greys)) == 2


# labels 1.5, none, 2.5 and none
NUMBERS_WITH_GAPS = {
    "list": [1.5, None, 2.5, None],
    "array": np.array([1.5, np.nan, 2.5, np.nan]),
    "float16": np.array([1.5, np.nan, 2.5, np.nan], np.float16),
    "masked": np.ma.masked_array([1.5, 7, 2.5, 7], mask=[0, 1, 0, 1]),
    "pandas": pd.Series([1.5, None, 2.5, None], dtype="Float64"),
    "polars": pl.Series([1.5, None, 2.5, None]),
}


@pytest.mark.parametrize("container", NUMBERS_WITH_GAPS)
def test_points_without_a_number_are_drawn_as_missing(vae, container):
    display = LatentSpaceDisplay.from_item_vectors(vae, items=[3, 4, 5, 6], labels=NUMBERS_WITH_GAPS[container])
    assert legend_of(display) == ["missing"]
    np.testing.assert_array_equal(display.scatters_[""].get_array(), [1.5, 2.5])
    np.testing.assert_allclose(display.scatters_[""].get_offsets(), display.components[[0, 2]])
    np.testing.assert_allclose(display.scatters_["missing"].get_offsets(), display.components[[1, 3]])
    assert display.colorbar_.mappable is display.scatters_[""]


def test_the_legend_is_inside_the_figure(vae):
    labels = ["a long name of a category", None] * 100
    for ax in (None, plt.subplots()[1], plt.subplots(layout="constrained")[1]):
        display = LatentSpaceDisplay.from_item_vectors(vae, labels=labels, ax=ax)
        display.figure_.canvas.draw()
        box = display.ax_.get_legend().get_window_extent()
        assert 0 <= box.x0 < box.x1 <= display.figure_.bbox.x1


def test_long_names_leave_room_for_what_is_drawn(vae, popularity, X):
    name = "Pipeline(MaxAbsScaler(), LinearRecommender(l2_regularization={}, dropout=0.33))".format
    users = X[400:]
    evaluations = {name(number): skvae.evaluate(popularity, users) for number in range(7)}
    displays = [
        ComparisonDisplay.from_comparison(skvae.compare({name(1): popularity, "popular": vae}, users)),
        ActivityDisplay.from_evaluations(evaluations, users),
        LatentSpaceDisplay.from_item_vectors(vae, labels=[name(item % 7) for item in range(200)]),
        PopularityDisplay.from_estimator(popularity, X, name=name(0)),
        TrainingCurveDisplay.from_estimator(vae, name=name(0)),
    ]
    for display in displays:
        display.figure_.canvas.draw()  # matplotlib warns where it finds no layout
        assert display.figure_.axes[0].get_window_extent().width > 200


def test_points_that_are_all_the_same_are_drawn_without_a_warning(dae, X):
    display = LatentSpaceDisplay.from_estimator(dae, X[[3, 3, 3, 3]])
    np.testing.assert_allclose(display.components, 0, atol=1e-6)
    assert np.isfinite(display.explained_variance_ratio).all()
    assert "nan" not in display.ax_.get_xlabel()


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([1.5, float("inf"), None], "labels holds inf at position 1: a colour scale needs finite numbers"),
        ("abc", "labels must be one-dimensional, one label for each of the 3 items, got str"),
        ({"a": 1, "b": 2, "c": 3}, "labels must be one-dimensional, .* got dict"),
        ({1, 2, 3}, "labels must be one-dimensional, .* got set"),
        (3, "labels must be one-dimensional, .* got int"),
        (np.ones((3, 1)), r"labels must be one-dimensional, .* got ndarray of shape \(3, 1\)"),
        ([[1], [2], [3]], r"labels must hold strings or numbers, one for each point, got the label \[1\]"),
        (["a", "b"], r"labels has shape \(2,\) for 3 items: pass one label for each"),
    ],
    ids=str,
)
def test_labels_that_are_none_are_explained(vae, labels, sentence):
    with pytest.raises(ValueError, match=sentence):
        LatentSpaceDisplay.from_item_vectors(vae, items=[3, 4, 5], labels=labels)


def test_vectors_that_are_not_finite_are_explained(dae, X):
    model = clone(SMALL_DAE).set_params(max_iter=1).fit(X)
    model.weights_["decoder.item_weight"] = np.full((200, 8), np.nan, np.float32)
    with pytest.raises(ValueError, match="The vectors of the items hold NaN or infinity: the training diverged"):
        LatentSpaceDisplay.from_item_vectors(model)


def test_wrong_labels_and_models_are_explained(vae, popularity, X):
    with pytest.raises(ValueError, match=r"labels has shape \(3,\) for 500 users"):
        LatentSpaceDisplay.from_estimator(vae, X, labels=[1, 2, 3])
    with pytest.raises(ValueError, match="items holds item 200; X has items 0 to 199"):
        LatentSpaceDisplay.from_item_vectors(vae, items=[0, 200])
    with pytest.raises(ValueError, match="one-dimensional array of item indices, got dtype bool"):
        LatentSpaceDisplay.from_item_vectors(vae, items=np.ones(200, bool))
    with pytest.raises(TypeError, match="PopularityRecommender has no codes of users: pass a fitted MultVAE"):
        LatentSpaceDisplay.from_estimator(popularity, X)
    ease = skvae.EASERecommender().fit(X)
    with pytest.raises(TypeError, match="EASERecommender has no item vectors"):
        LatentSpaceDisplay.from_item_vectors(ease)
    with pytest.raises(ValueError, match=r"shape \(1, 8\): two dimensions need two users and two components"):
        LatentSpaceDisplay.from_estimator(vae, X[:1])


# -- popularity


@pytest.mark.parametrize("unit", [1e-6, 1, 7])
def test_the_curve_of_interactions_ends_at_one_in_any_unit(popularity, X, unit):
    display = PopularityDisplay.from_estimator(popularity, X, item_counts=popularity.item_counts_ * unit)
    expected = PopularityDisplay.from_estimator(popularity, X, item_counts=popularity.item_counts_)
    curve, other = (each.interactions_line_.get_ydata() for each in (display, expected))
    np.testing.assert_allclose(curve, other, rtol=1e-6)
    assert curve[-1] == pytest.approx(1)


def test_evaluations_with_and_without_seen_items_are_not_drawn_side_by_side(popularity, X):
    fold_in, held_out = skvae.fold_in_split(X[400:])
    of_each = {seen: skvae.evaluate(popularity, fold_in, y=held_out, exclude_seen=seen) for seen in (True, False)}
    with pytest.raises(ValueError, match="exclude_seen"):
        ActivityDisplay.from_evaluations(of_each, fold_in)


def test_curves_are_shares_of_the_most_popular_items(vae, X):
    users = X[400:]
    display = PopularityDisplay.from_estimator(vae, users, k=5, name="Mult-VAE")
    items, _ = vae.recommend(users, k=5)
    counts = np.asarray((users != 0).sum(axis=0)).ravel()
    by_popularity = sorted(range(200), key=lambda item: (-counts[item], item))
    for line, of_item in (
        (display.line_, np.bincount(items.ravel(), minlength=200)),
        (display.interactions_line_, counts),
    ):
        shares = [of_item[by_popularity[:rank]].sum() / of_item.sum() for rank in range(1, 201)]
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 201))
        np.testing.assert_allclose(line.get_ydata(), shares)
    assert display.coverage == len(np.unique(items)) / 200
    assert display.line_.get_label() == f"Mult-VAE, coverage {display.coverage:.1%}"


def test_popularity_itself_is_above_every_other_model_and_the_data(vae, popularity, X):
    counts = popularity.item_counts_
    floor = PopularityDisplay.from_estimator(popularity, X[400:], item_counts=counts)
    other = PopularityDisplay.from_estimator(vae, X[400:], item_counts=counts, ax=floor.ax_, plot_interactions=False)
    assert other.interactions_line_ is None
    highest = floor.line_.get_ydata()
    for lower in (other.line_, floor.interactions_line_):
        assert (highest >= lower.get_ydata() - 1e-9).all()
    assert len(floor.ax_.get_legend().get_texts()) == 3


def test_places_without_an_item_are_no_recommendations(popularity):
    display = PopularityDisplay.from_estimator(popularity, np.ones((2, 200)) - np.eye(2, 200), k=3)
    assert display.recommendations.sum() == 2


def frames(rows):
    """Container -> the same rows."""
    names = [f"item {item}" for item in range(rows.shape[1])]
    return {
        "list": rows.tolist(),
        "pandas": pd.DataFrame(rows, columns=names),
        "pandas, bool and float": pd.DataFrame(rows, columns=names).astype({"item 0": bool}),
        "polars": pl.DataFrame(rows, schema=names),
        "polars, integers": pl.DataFrame(rows.astype(np.int16), schema=names),
        "coo": sp.coo_array(rows),
    }


CONTAINERS = ["list", "pandas", "pandas, bool and float", "polars", "polars, integers", "coo"]


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_counts_as_a_matrix_does(X, container):
    rows = X[400:410].toarray()
    model = skvae.PopularityRecommender().fit(frames(X[:400].toarray())[container])
    display = PopularityDisplay.from_estimator(model, frames(rows)[container])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the model fitted with names
        expected = PopularityDisplay.from_estimator(model, X[400:410])
    np.testing.assert_array_equal(display.recommendations, expected.recommendations)
    np.testing.assert_array_equal(display.interactions, expected.interactions)


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_gives_the_codes_of_a_matrix(X, container):
    model = clone(SMALL_DAE).set_params(max_iter=1).fit(frames(X.toarray())[container])
    display = LatentSpaceDisplay.from_estimator(model, frames(X.toarray())[container])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = LatentSpaceDisplay.from_estimator(model, X)
    np.testing.assert_allclose(display.components, expected.components, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint64, np.int8, np.float16, object, bool])
def test_item_counts_of_every_dtype_give_the_same_order(popularity, X, dtype):
    counts = np.arange(200) % 100 if dtype is not bool else np.arange(200) % 2
    displays = [
        PopularityDisplay.from_estimator(popularity, X[400:], item_counts=counts.astype(of)) for of in (np.int64, dtype)
    ]
    np.testing.assert_array_equal(displays[1].interactions, displays[0].interactions)
    np.testing.assert_array_equal(displays[1].recommendations, displays[0].recommendations)
    np.testing.assert_allclose(displays[1].interactions_line_.get_ydata(), displays[0].interactions_line_.get_ydata())


def test_one_item_is_drawn_without_a_warning():
    model = skvae.PopularityRecommender().fit(np.ones((3, 1)))
    assert PopularityDisplay.from_estimator(model, np.ones((3, 1))).interactions.tolist() == [3]


def test_wrong_popularities_are_explained(popularity, X):
    with pytest.raises(ValueError, match=r"item_counts has shape \(3,\), X has 200 items"):
        PopularityDisplay.from_estimator(popularity, X, item_counts=[1, 2, 3])
    for wrong in (np.nan, np.inf):
        with pytest.raises(ValueError, match=f"and not NaN, got {wrong} for item 3"):
            PopularityDisplay.from_estimator(popularity, X, item_counts=np.where(np.arange(200) == 3, wrong, 1.0))
    with pytest.raises(ValueError, match="item_counts must hold numbers, got dtype <U4"):
        PopularityDisplay.from_estimator(popularity, X, item_counts=["many"] * 200)
    with pytest.raises(ValueError, match="No item has an interaction"):
        PopularityDisplay.from_estimator(popularity, X, item_counts=np.zeros(200))
    with pytest.raises(ValueError, match="k == 0"):
        PopularityDisplay.from_estimator(popularity, X, k=0)


def test_counts_of_items_are_real_of_these_items_and_none_masked(vae, X):
    table = pd.DataFrame(X.toarray(), columns=[f"i{item}" for item in range(200)])
    model, counts = skvae.PopularityRecommender().fit(table), table.sum()
    skvae.PopularityDisplay.from_estimator(model, table, item_counts=counts)
    with pytest.raises(ValueError, match=r"another order: pass item_counts\[X.columns\]"):
        skvae.PopularityDisplay.from_estimator(model, table, item_counts=counts[::-1])
    with pytest.raises(ValueError, match="real numbers, got dtype complex128"):
        skvae.PopularityDisplay.from_estimator(vae, X, item_counts=np.ones(200, complex))
    with pytest.raises(ValueError, match="masked"):
        skvae.PopularityDisplay.from_estimator(vae, X, item_counts=np.ma.masked_equal(np.arange(200), 3))


@pytest.mark.parametrize("count", [np.uint64(2**63), 1e308, np.nan, -1])
def test_counts_that_no_sum_holds_are_refused(count, X):
    model = skvae.PopularityRecommender().fit(X)
    with pytest.raises(ValueError, match=r"item_counts must be from 0 to 9\.0072e"):
        PopularityDisplay.from_estimator(model, X[:20], item_counts=np.full(X.shape[1], count))


def test_a_label_that_no_float_holds_and_several_axes_are_refused(X):
    model = clone(SMALL_DAE).set_params(max_iter=1).fit(X)
    with pytest.raises(ValueError, match="labels holds inf at position 0"):
        LatentSpaceDisplay.from_estimator(model, X[:4], labels=[10**400, 1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match=r"ax must be Axes of matplotlib, got Figure: of a figure pass figure.gca\(\)"):
        PopularityDisplay(recommendations=np.ones(3), interactions=np.ones(3)).plot(plt.figure())
    with pytest.raises(ValueError, match=r"ax holds 2 Axes: pass one of them, as ax\[0\]"):
        LatentSpaceDisplay.from_estimator(model, X[:4], ax=plt.subplots(2)[1])
