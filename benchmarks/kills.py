"""Fits that are killed, some of them while they write their checkpoint, and go on: is the model the same to the bit?

``python benchmarks/kills.py [--models MODEL ...] [--kills N] [--users N] [--results DIR]``. Each model is fitted once
without a kill, then with a checkpoint: it is killed (SIGKILL) and fitted again until it comes to its end, and so on
until N kills were made. Three of five kills come after a random time, two of five within the writing: when half of the
bytes are there, before the file gets its name, or after. A checkpoint is due 20 times a second, so that there is much
to kill. Every fit is a process of its own. DIR gets kills.json and kills.md; the script fails where a model differs.
"""

import argparse
import json
import os
import signal
import tempfile
import time
import traceback
from pathlib import Path

import harness
import numpy as np
import torch
from sklearn.base import clone

import skvae
from skvae.core import checkpoint, checkpoint_file

VAE = skvae.MultVAERecommender(16, hidden_layer_sizes=(32,), max_iter=15, random_state=0)
RECVAE = skvae.RecVAERecommender(8, hidden_layer_sizes=(16, 16), max_iter=6, random_state=0)
DAE = skvae.MultDAERecommender(16, max_iter=10, early_stopping=False, random_state=0)
MODELS = {
    "Mult-VAE": VAE,
    "RecVAE": RECVAE,
    "blend": skvae.BlendRecommender([("ease", skvae.EASERecommender()), ("dae", DAE), ("vae", VAE)]),
}
SECONDS = 0.05  # between two checkpoints
WITHIN = ("half written", "before the rename", "after the rename")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), metavar="MODEL")
    parser.add_argument("--kills", type=int, default=50, metavar="N", help="of each model")
    parser.add_argument("--users", type=int, default=600, metavar="N")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "kills", metavar="DIR")
    args = parser.parse_args()
    X = harness.make_matrix(args.users, 300, per_user=20)
    record = harness.Record(args.results / "kills")
    for name in args.models:
        record.add(name, measure(MODELS[name], X, args.kills))
        print(name, record.runs[name], flush=True)
    harness.write(table(record), args.results / "kills.md")
    if not all(run["differing"] == 0 for run in record.runs.values()):
        raise SystemExit("A model is not the same.")


def table(record):
    header = ["model", "kills", "of them within the writing", "fits that came to their end", "of them differing", "min"]
    rows = [
        [name, run["kills"], run["within the writing"], run["fits"], run["differing"], round(run["seconds"] / 60, 1)]
        for name, run in record.runs.items()
    ]
    return f"# Killed fits\n\n{record.about['machine']['date']}.\n\n{harness.markdown_table(header, rows)}"


def measure(model, X, n_kills):
    """Kill fits of a model, and count the models that differ from that of a fit that nobody killed."""
    # what is forked has no other thread, and cannot use a GPU that its parent has used
    torch.set_num_threads(1)
    model = clone(model).set_params(**dict.fromkeys(_names_of_devices(model), "cpu"))
    skvae.MultDAERecommender(1, max_iter=1, device="cpu").fit(np.eye(4))  # what is imported late, once for all of them
    rng, start = np.random.default_rng(0), time.perf_counter()
    run = {"kills": 0, "within the writing": 0, "fits": 0, "differing": 0}
    with tempfile.TemporaryDirectory() as folder:
        path, answer = Path(folder) / "fit.npz", Path(folder) / "answer.json"
        fit_in_process(model, X, answer)
        expected = json.loads(answer.read_text())["model"]
        model = clone(model).set_params(checkpoint=str(path))
        fit_in_process(model, X, answer)
        seconds, n_writes = (json.loads(answer.read_text())[name] for name in ("seconds", "writes"))
        answer.unlink()
        killed = False
        while run["kills"] < n_kills or killed:
            within = run["kills"] % 5 in (1, 3)
            if run["kills"] >= n_kills:
                killed = fit_in_process(model, X, answer)
            elif within:
                place = WITHIN[rng.integers(len(WITHIN))], int(rng.integers(1, max(2, n_writes // 3)))
                killed = fit_in_process(model, X, answer, place)
            else:
                killed = fit_in_process(model, X, answer, seconds=rng.uniform(0, seconds / 2))
            run["kills"] += killed
            run["within the writing"] += killed and within
            if not killed:
                run["fits"] += 1
                run["differing"] += json.loads(answer.read_text())["model"] != expected
                answer.unlink()
        leftover = os.listdir(folder)
    if leftover:
        raise SystemExit(f"Left behind: {leftover}")
    return run | {"seconds": time.perf_counter() - start}


def _names_of_devices(model):
    return [name for name in model.get_params() if name.rpartition("__")[2] == "device"]


def fit_in_process(model, X, answer, place=None, seconds=None):
    """Fit in a process that is killed at a place of its writing, or after so many seconds; whether it was."""
    process = os.fork()
    if not process:
        try:
            fit(model, X, answer, place)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    if not os.WIFSIGNALED(status) and not answer.exists():
        raise SystemExit("A fit failed.")
    return os.WIFSIGNALED(status)


def fit(model, X, answer, place):
    checkpoint.SECONDS, checkpoint.SHARE_OF_TIME = SECONDS, np.inf
    writes = Writes(*(place or (None, 0)))
    checkpoint_file.np = writes
    os.replace, writes.replace = writes.renamed, os.replace
    start = time.perf_counter()
    model.fit(X)
    seconds = time.perf_counter() - start
    harness.write(json.dumps({"model": digest(model), "seconds": seconds, "writes": writes.n}), answer)


class Writes:
    """NumPy for the writing of checkpoints, in which the process ends at a place of write number ``last``."""

    def __init__(self, place, last):
        self.place, self.last, self.n = place, last, 0

    def __getattr__(self, name):
        return getattr(np, name)

    def savez(self, file, **arrays):
        self.n += 1
        np.savez(file, **arrays)
        if self._is("half written"):
            file.truncate(file.tell() // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    def renamed(self, source, target):
        if self._is("before the rename"):
            os.kill(os.getpid(), signal.SIGKILL)
        self.replace(source, target)
        if self._is("after the rename"):
            os.kill(os.getpid(), signal.SIGKILL)

    def _is(self, place):
        return self.n == self.last and self.place == place


def digest(model):
    """Of all that a model has learned."""
    members = [digest(member) for member in getattr(model, "estimators_", [])]
    learned = ("weights_", "loss_curve_", "validation_scores_", "best_validation_score_", "n_updates_")
    return checkpoint_file.checksum([members, [getattr(model, name, None) for name in learned]])


if __name__ == "__main__":
    main()
