"""The examples for clusters and searches on their engines, where those are installed (`make test-distributed`)."""

import re
import shutil
import subprocess
import sys

import joblib
import numpy as np
import pytest
from conftest import ROOT
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_score

from skvae import MultDAERecommender, MultVAERecommender, UserKFold, ndcg_scorer, open_interactions, save_interactions
from skvae.datasets import make_interactions

# what the engines say of themselves is theirs
pytestmark = pytest.mark.filterwarnings("default")


def printed(name, *args):
    """What an example prints, run as its docstring says."""
    script = ROOT / "examples" / "distributed" / f"{name}.py"
    done = subprocess.run([sys.executable, script, *args], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def score_of_one_process(epochs=5):
    X = make_interactions(n_users=2000, n_items=500, density=0.03, random_state=0)
    return MultVAERecommender(64, max_iter=epochs, random_state=0).fit(X).best_validation_score_


def test_two_workers_of_ray_train_the_model_of_one_process():
    pytest.importorskip("ray")
    score = re.search(r"NDCG@100 (0\.\d{3}) after 5 epochs", printed("ray_train"))[1]
    assert float(score) == pytest.approx(score_of_one_process(), abs=6e-4)


@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs a JDK")
def test_two_processes_of_spark_train_the_model_of_one():
    pytest.importorskip("pyspark")
    score = re.search(r"NDCG@100 (0\.\d{3})$", printed("spark"), re.MULTILINE)[1]
    assert float(score) == pytest.approx(score_of_one_process(), abs=6e-4)


def test_a_search_of_the_example_on_dask_is_that_of_joblib():
    pytest.importorskip("distributed")
    assert printed("dask_search").startswith("2 workers\n")  # and compares the scores itself


@pytest.fixture(params=["dask", "ray"])
def backend(request):
    """Name of a backend of joblib with two workers."""
    if request.param == "dask":
        distributed = pytest.importorskip("distributed")
        cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
        with cluster, distributed.Client(cluster):
            yield "dask"
    else:
        ray = pytest.importorskip("ray")
        register_ray = pytest.importorskip("ray.util.joblib").register_ray
        ray.init(num_cpus=2, include_dashboard=False)
        register_ray()
        yield "ray"
        ray.shutdown()


@pytest.mark.parametrize("kind", [GridSearchCV, HalvingGridSearchCV])
def test_searches_give_the_numbers_of_joblibs_own_processes(backend, kind, tmp_path):
    save_interactions(make_interactions(n_users=600, n_items=200, density=0.05, random_state=0), tmp_path / "X")
    X = open_interactions(tmp_path / "X")
    model = MultDAERecommender(8, max_iter=4, early_stopping=False, random_state=0)
    halving = {"min_resources": 150, "random_state": 0} if kind is HalvingGridSearchCV else {}
    search = kind(model, {"dropout": [0.3, 0.5, 0.7]}, cv=UserKFold(3), scoring=ndcg_scorer, n_jobs=2, **halving)
    expected = search.fit(X).cv_results_, search.best_params_
    with joblib.parallel_config(backend=backend):
        search.fit(X)
    assert search.best_params_ == expected[1]
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], expected[0]["mean_test_score"], rtol=1e-6, atol=1e-9
    )


def test_optuna_maximises_the_mean_score():
    optuna = pytest.importorskip("optuna")
    X = make_interactions(n_users=300, n_items=100, density=0.1, random_state=0)
    model = MultDAERecommender(4, max_iter=2, random_state=0)

    def objective(trial):
        own = model.set_params(dropout=trial.suggest_float("dropout", 0.1, 0.8))
        return cross_val_score(own, X, scoring=ndcg_scorer, cv=UserKFold(2)).mean()

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(0))
    study.optimize(objective, n_trials=3)
    assert study.best_value == max(trial.value for trial in study.trials)
