"""scikit-learn's callbacks (1.9 or newer): progress, scores by epoch, a stop from outside."""

import re

import numpy as np
import pytest
from conftest import RECOMMENDERS, ROOT, SMALL_BLEND, same_weights
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skvae import EASERecommender, LinearRecommender, RankingScorer, UserKFold, linear_search, load, ndcg_scorer, save
from skvae.datasets import make_interactions

callback = pytest.importorskip("sklearn.callback")


class StopAfter:
    """Stops the fit at the end of an epoch, and counts what it was told."""

    def __init__(self, n_epochs):
        self.n_epochs, self.begun, self.ended, self.torn_down = n_epochs, 0, 0, 0

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        self.torn_down += 1

    def on_fit_task_begin(self, estimator, context):
        self.begun += context.task_name == "epoch"

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if context.task_name != "epoch":
            return False
        self.ended += 1
        self.seen = [*getattr(self, "seen", []), fitted_estimator]
        self.estimator = fitted_estimator
        return self.ended == self.n_epochs


def test_a_callback_stops_the_fit_and_sees_a_fitted_estimator(estimator, X):
    stop = StopAfter(3)
    model = estimator.set_params(early_stopping=False).set_callbacks(stop).fit(X)
    assert model.n_iter_ == stop.begun == stop.ended == 3
    assert stop.torn_down == 1
    assert np.array_equal(stop.estimator.recommend(X)[0], model.recommend(X)[0])
    assert not any("callback" in name for name in vars(model) if name != "_skl_callbacks")


def test_a_callback_sees_the_model_of_its_epoch_and_may_save_it(estimator, X, tmp_path):
    for _ in range(2):  # nothing is left of an earlier fit
        stop = StopAfter(3)
        model = estimator.set_params(early_stopping=True).set_callbacks(stop).fit(X)
        assert [seen.n_iter_ for seen in stop.seen] == [1, 2, 3]
        for n_epochs, seen in enumerate(stop.seen, start=1):
            assert seen.loss_curve_ == model.loss_curve_[:n_epochs]
            assert seen.validation_scores_ == model.validation_scores_[:n_epochs]
            assert seen.best_iter_ == n_epochs
            assert seen.best_validation_score_ == model.validation_scores_[n_epochs - 1]
            save(seen, tmp_path / "seen")
            assert same_weights(load(tmp_path / "seen"), seen)
            assert seen.n_updates_ == n_epochs * stop.seen[0].n_updates_


def test_a_callback_hears_of_the_refit_as_one_task_and_may_end_it(estimator, X):
    """The weights are then those of before the refit."""

    class StopAfterRefitEpochs(StopAfter):
        heard = ()

        def on_fit_task_end(self, estimator, context, *, fitted_estimator):
            self.heard = [*self.heard, context.task_name]
            return self.heard.count("refit epoch") == self.n_epochs

    estimator.set_params(early_stopping=True, averaging_epochs=0, batch_size=32)
    first = clone(estimator).set_params(refit=False).fit(X)
    n_refit = first.best_iter_
    assert n_refit > 1
    for n_epochs, refitted in ((1, False), (n_refit, True)):
        stop = StopAfterRefitEpochs(n_epochs)
        model = clone(estimator).set_callbacks(stop).fit(X)
        assert stop.heard == ["epoch"] * 5 + ["refit epoch"] * n_epochs + ["refit", "fit"]
        assert model.refitted_ == refitted
        assert same_weights(model, first) == (not refitted)


def test_a_training_that_a_callback_ended_is_not_refitted(estimator, X):
    model = estimator.set_params(early_stopping=True).set_callbacks(StopAfter(2)).fit(X)
    assert model.n_iter_ == 2
    assert not model.refitted_


def test_callbacks_are_torn_down_where_fit_fails(estimator, X):
    stop = StopAfter(3)
    with pytest.raises(ValueError, match="training diverged"):
        estimator.set_params(learning_rate=1e30, likelihood="gaussian", max_iter=50).set_callbacks(stop).fit(X)
    assert stop.torn_down == 1


@pytest.mark.parametrize("name", ["ease", "blend"])
def test_callbacks_of_other_recommenders_are_torn_down_where_fit_fails(name, X, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("too much")

    monkeypatch.setattr("skvae.linear.item_regression" if name == "ease" else "skvae.blend.fit_members", fail)
    stop = StopAfter(3)
    with pytest.raises(OSError, match="too much"):
        clone(RECOMMENDERS[name]).set_callbacks(stop).fit(X)
    assert stop.torn_down == 1


def test_the_scoring_monitor_logs_the_validation_score_of_each_epoch(estimator, X):
    # a scorer that is no scorer of scikit-learn's must give a dict there: several metrics, or one in a list
    monitor = callback.ScoringMonitor(scoring=RankingScorer(["ndcg@100"]))
    model = clone(estimator).set_params(early_stopping=False).set_callbacks(monitor).fit(X[:400], X_val=X[400:])
    assert [row["ndcg@100"] for row in monitor.get_logs().data] == pytest.approx(model.validation_scores_)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_progress_bar_goes_through_a_search(estimator, X, n_jobs, capsys):
    pytest.importorskip("rich")
    search = GridSearchCV(estimator, {"dropout": [0.0, 0.5]}, cv=UserKFold(2), scoring=ndcg_scorer, n_jobs=n_jobs)
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(X)
    assert type(estimator).__name__ in capsys.readouterr().out


def test_the_callbacks_of_the_page_on_tuning_log_scores_and_stop_a_fit(estimator, X, capsys):
    page = (ROOT / "docs/tuning.md").read_text()
    log, stop = re.findall(r"^:::\{code-block\} python\n(.*?)^:::$", page, re.DOTALL | re.MULTILINE)
    model = estimator.set_params(early_stopping=True, max_iter=30)
    names = {"model": model, "X": X, "RankingScorer": RankingScorer}
    exec(log, names)
    assert [row["ndcg@100"] for row in names["log"]] == pytest.approx(model.validation_scores_)
    exec(stop, names)
    assert model.set_callbacks(names["StopAfter"](seconds=0)).fit(X).n_iter_ == 1


class Tasks:
    """Writes down each task that begins, and where its end comes; goes on to the parts of an estimator by itself."""

    max_propagation_depth = None

    def __init__(self):
        self.told = []

    def setup(self, estimator, context):
        pass

    teardown = setup

    def on_fit_task_begin(self, estimator, context):
        self.told.append(("begin", type(estimator).__name__, context.task_name))

    def on_fit_task_end(self, estimator, context):
        self.told.append(("end", type(estimator).__name__, context.task_name))


@pytest.mark.parametrize("name", RECOMMENDERS)
def test_a_callback_of_a_pipeline_hears_of_the_fit_of_every_recommender_without_a_warning(name, X):
    tasks, recommender = Tasks(), RECOMMENDERS[name]
    make_pipeline(clone(recommender)).set_callbacks(tasks).fit(X)
    told = [(what, task) for what, estimator, task in tasks.told if estimator == type(recommender).__name__]
    assert told[0] == ("begin", "fit")
    assert told[-1] == ("end", "fit")


def test_a_callback_of_a_blend_hears_of_each_member(X):
    tasks = Tasks()
    blend = clone(SMALL_BLEND).set_callbacks(tasks).fit(X)
    fits = [estimator for what, estimator, task in tasks.told if (what, task) == ("begin", "fit")]
    assert fits == ["BlendRecommender", *["PopularityRecommender", "MultDAERecommender"] * (len(fits) // 2)]
    assert [estimator for what, estimator, task in tasks.told if (what, task) == ("end", "fit")].count(
        "MultDAERecommender"
    ) == len(fits) // 2
    assert not any("callback" in attribute for member in blend.estimators_ for attribute in vars(member))


def test_a_linear_model_tells_of_each_inverse_and_prints_a_line_for_it(X, capsys, monkeypatch):
    monkeypatch.setattr(linear_search, "MOST_FURTHER", 0)
    tasks = Tasks()
    model = (
        LinearRecommender(verbose=1)
        .set_callbacks(tasks)
        .fit(make_interactions(n_users=2100, n_items=30, random_state=0))
    )
    fit, inverse = (
        tuple((what, "LinearRecommender", task) for what in ("begin", "end")) for task in ("fit", "inverse")
    )
    assert tasks.told == [fit[0], *inverse * 8, fit[1]]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("[LinearRecommender] inverse 1/8  l2_regularization ")
    assert lines[7].startswith(f"[LinearRecommender] chosen, ndcg@100 {model.best_validation_score_:.4f}  l2_reg")
    assert lines[7].endswith(f"  item_exponent {model.item_exponent_:.3g}  centering {model.centering_:.3g}")
    assert lines[8].startswith("[LinearRecommender] inverse 8/8  ")
    model.fit(X[:20])
    assert len(tasks.told) == len(lines) * 2 + 4
    assert capsys.readouterr().out.startswith("[LinearRecommender] inverse 1/1  l2_regularization ")


def test_ease_prints_a_line_before_its_inverse(X, capsys):
    EASERecommender().fit(X)
    assert not capsys.readouterr().out
    EASERecommender(verbose=1).fit(X)
    assert capsys.readouterr().out == "[EASERecommender] inverse  500 users  200 items\n"
    with pytest.raises(ValueError, match="verbose == -1, must be >= 0"):
        EASERecommender(verbose=-1).fit(X)
