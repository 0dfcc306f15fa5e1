"""What the runners share: the clock, the metric and the command line. NumPy and SciPy alone, as every peer has them.

``python run_NAME.py TASK FOLDER REQUEST`` prints a line of JSON. TASK is speed or curve, FOLDER holds train.npz and
for curve also fold_in.npz, held_out.npz and, if test users are to be scored, test_fold_in.npz. REQUEST is JSON: the
model's parameters and the task's settings.
"""

import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

K = 100
N_THREADS = int(os.environ.get("OMP_NUM_THREADS", 1))


class Clock:
    """Seconds of training at the end of each epoch; the visit that follows an epoch is not counted.

    ``visit`` gets the seconds so far and a function from interactions to scores, and returns True to stop training.
    """

    def __init__(self, visit):
        self.visit, self.seconds = visit, []

    def start(self):
        self._before, self._since = 0.0, time.perf_counter()

    def epoch_ended(self, score=None):
        self._before += time.perf_counter() - self._since
        self.seconds.append(self._before)
        stop = self.visit(self.seconds, score)
        self._since = time.perf_counter()
        return stop


class EpochEnd:
    """A scikit-learn callback that calls a function at the end of each epoch."""

    def __init__(self, function):
        self.function = function

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        return context.task_name == "epoch" and self.function()


def main(fit, recommend=None, *, curve=None, weight_bytes=None, n_recommended=None):
    """Run the task of the command line.

    Parameters
    ----------
    fit : callable
        (X, parameters, clock) -> model; starts the clock when its data are ready and tells it the end of each epoch.
    recommend : callable or None
        (model, X, users, k): the k best unseen items of some row numbers of X.
    curve : callable or None
        In the place of `curve` below.
    weight_bytes : callable or None
        (model) -> bytes of all parameters.
    n_recommended : int or None
        Users to recommend to, where a recommender is too slow for all.
    """
    task, folder, request = sys.argv[1:]
    request = json.loads(request)
    if task == "speed":
        result = speed(fit, recommend, weight_bytes, n_recommended, Path(folder), **request)
    else:
        result = (curve or measure_curve)(fit, Path(folder), **request)
    print_result(result)


def print_result(result):
    packages = ("skvae", "torch", "jax", "irspack", "cornac", "recbole", "implicit", "numpy")
    installed = {d.metadata["Name"].lower() for d in importlib.metadata.distributions()}
    versions = {name: importlib.metadata.version(name) for name in packages if name in installed}
    # on a line of its own, after a progress bar of a library too
    print("\n" + json.dumps({**result, "versions": versions}), flush=True)


def speed(fit, recommend, weight_bytes, n_recommended, folder, *, parameters, n_epochs, n_calls):
    """Seconds and peak memory of training, the first epoch left out; with n_calls also the speed of recommending."""
    X = load(folder, "train")
    # imports that happen on first use are neither time nor memory of training
    fit(X[:50, :500], parameters, Clock(lambda seconds, score: True))
    before = memory("VmRSS")
    reset_peak()
    clock = Clock(lambda seconds, score: len(seconds) > n_epochs)
    model = fit(X, parameters, clock)
    result = {"epoch_seconds": np.diff(clock.seconds).tolist(), "peak_bytes": memory("VmHWM") - before}
    if weight_bytes is not None:
        result["weight_bytes"] = weight_bytes(model)
    if recommend is not None and n_calls:
        result |= recommend_speed(recommend, model, X, n_recommended or X.shape[0], n_calls)
    return result


def recommend_speed(recommend, model, X, n_users, n_calls):
    recommend(model, X, np.arange(50), K)
    start = time.perf_counter()
    recommend(model, X, np.arange(n_users), K)
    seconds = time.perf_counter() - start
    calls = []
    for user in range(n_calls):
        start = time.perf_counter()
        recommend(model, X, np.array([user]), K)
        calls.append(time.perf_counter() - start)
    return {"recommended_per_second": n_users / seconds, "call_seconds": float(np.median(calls))}


def measure_curve(fit, folder, *, parameters, limit, patience):
    """NDCG@100 of the validation users after each epoch, until it has not risen for ``patience`` epochs.

    With test users, FOLDER gets test_scores.npy, their scores after the best epoch.
    """
    fold_in, held_out = load(folder, "fold_in"), load(folder, "held_out")
    test = load(folder, "test_fold_in") if (folder / "test_fold_in.npz").exists() else None
    scores = []

    def visit(seconds, score):
        scores.append(ndcg_at_k(score(fold_in), fold_in, held_out))
        if test is not None and scores[-1] > max(scores[:-1], default=-1):
            np.save(folder / "test_scores.npy", np.asarray(score(test), np.float32))
        return seconds[-1] > limit or len(scores) - np.argmax(scores) > patience

    clock = Clock(visit)
    fit(load(folder, "train"), parameters, clock)
    return {"seconds": clock.seconds, "scores": scores}


def ndcg_at_k(scores, fold_in, held_out, k=K):
    """Mean NDCG@k of the users with a held-out item; items of fold_in are not ranked."""
    scores = np.array(scores, np.float64)
    scores[fold_in.nonzero()] = -np.inf
    k = min(k, scores.shape[1])
    items = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    relevant = held_out.toarray() > 0
    n_relevant = relevant.sum(1)
    discounts = 1 / np.log2(np.arange(2, k + 2))
    gains = np.take_along_axis(relevant, items, axis=1) @ discounts
    scored = n_relevant > 0
    return float(np.mean(gains[scored] / np.cumsum(discounts)[np.minimum(n_relevant[scored], k) - 1]))


def load(folder, name):
    return sp.csr_matrix(sp.load_npz(folder / f"{name}.npz"), dtype=np.float32)


def memory(field):
    """Bytes of a field of /proc/self/status: VmRSS now, VmHWM at the most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def reset_peak():
    Path("/proc/self/clear_refs").write_text("5")
