"""Displays: what is drawn is what was computed."""

import ast
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL_DAE, SMALL_VAE
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer

import skvae
from skvae import ActivityDisplay, LatentSpaceDisplay, PopularityDisplay, TrainingCurveDisplay

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
    return clone(SMALL_DAE).fit(X[:400])


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
    }


NAMES = ["loss", "activity", "users", "items", "popularity"]


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


def test_no_module_imports_matplotlib_when_it_is_imported():
    for path in Path(skvae.__file__).parent.rglob("*.py"):
        for statement in ast.parse(path.read_text()).body:
            if isinstance(statement, (ast.Import, ast.ImportFrom)):
                assert not re.match("(import|from) matplotlib", ast.unparse(statement)), path


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_is_not_fitted_is_said_to_be(X, name):
    with pytest.raises(NotFittedError):
        make_displays(clone(SMALL_VAE), X[400:])[name](None)
    assert not plt.get_fignums()


# -- training curves


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
    with pytest.raises(ValueError, match="does not have a score an epoch"):
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
    ends = np.array(collection.get_segments())[:, :, 1]
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
    with pytest.raises(ValueError, match="evaluated on different users"):
        ActivityDisplay.from_evaluations({"a": evaluation, "b": fewer}, fold_in, metric="ndcg@10")
    with pytest.raises(TypeError, match="evaluations must be a dict of model name to Evaluation"):
        ActivityDisplay.from_evaluations(evaluation, fold_in)
    with pytest.raises(TypeError, match="metric must be the name of one metric"):
        ActivityDisplay.from_estimator(vae, X[400:], metric=["ndcg@10"])
    with pytest.raises(ValueError, match="X has 500 users, the evaluation has 100"):
        ActivityDisplay.from_evaluations({"vae": evaluation}, X, metric="ndcg@10")


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


def test_lists_and_frames_count_as_matrices_do(popularity, X):
    pd = pytest.importorskip("pandas")
    rows = X[400:410].toarray()
    sparse = PopularityDisplay.from_estimator(popularity, X[400:410])
    for form in (rows.tolist(), pd.DataFrame(rows)):
        display = PopularityDisplay.from_estimator(popularity, form)
        np.testing.assert_array_equal(display.recommendations, sparse.recommendations)
        np.testing.assert_array_equal(display.interactions, sparse.interactions)


def test_wrong_popularities_are_explained(popularity, X):
    with pytest.raises(ValueError, match=r"item_counts has shape \(3,\), X has 200 items"):
        PopularityDisplay.from_estimator(popularity, X, item_counts=[1, 2, 3])
    with pytest.raises(ValueError, match="item_counts must not be negative"):
        PopularityDisplay.from_estimator(popularity, X, item_counts=np.full(200, -1))
    with pytest.raises(ValueError, match="k == 0"):
        PopularityDisplay.from_estimator(popularity, X, k=0)
