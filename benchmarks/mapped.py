"""Memory of a process that trains, recommends and evaluates on a matrix that is mapped from disk.

``OMP_NUM_THREADS=1 python benchmarks/mapped.py [--scale 0.05] [--folder DIR]``, on Linux. It writes 400 000 users with
some 200 of 20 000 items each, and a tenth as many test users, to DIR, maps both, and prints for each call the seconds
and the peak of private memory (RssAnon, without maps of files) above what the process held before the first of them.
--scale makes the users fewer.
"""

import argparse
import itertools
import tempfile
import threading
import time
import warnings
from pathlib import Path

from large_catalogues import power_law_parts
from runners.common import memory

import skvae

USERS_PER_PART = 1000
SECONDS_BETWEEN_SAMPLES = 0.005


class PrivateMemory:
    """Peaks of what calls hold above what was held when it was made, and their seconds."""

    def __init__(self):
        self.before = memory("RssAnon")

    def of(self, name, call):
        """What a call returns, and its peak in bytes."""
        self.peak, self._ended, start = 0, threading.Event(), time.perf_counter()
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        result = call()
        self._ended.set()
        thread.join()
        print(f"{name:<12}{self.peak / 1e6:8.0f} MB {time.perf_counter() - start:8.1f} s", flush=True)
        return result, self.peak

    def _watch(self):
        while not self._ended.wait(SECONDS_BETWEEN_SAMPLES):
            self.peak = max(self.peak, memory("RssAnon") - self.before)


def run(args, folder):
    """Peak of each call in bytes, and what the interactions take."""
    if not (folder / "test").exists():
        parts = power_law_parts(round(440_000 * args.scale), args.items, args.draws, 0, USERS_PER_PART)
        n_parts = round(400_000 * args.scale / USERS_PER_PART)
        PrivateMemory().of("save", lambda: skvae.save_interactions(itertools.islice(parts, n_parts), folder / "train"))
        skvae.save_interactions(parts, folder / "test")
    X, X_test = (skvae.open_interactions(folder / name) for name in ("train", "test"))
    n_bytes = X.data.nbytes + X.indices.nbytes
    print(f"{X.shape[0]} users x {X.shape[1]} items, {X.nnz} interactions, {n_bytes / 1e6:.0f} MB of data and indices")
    model = skvae.MultDAERecommender(64, max_iter=args.epochs, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a first, small fit loads what is loaded on first use
        skvae.evaluate(skvae.MultDAERecommender(4, max_iter=1).fit(X[:1000, :500]), X[:1000, :500])
    figures, private = {"interactions": n_bytes}, PrivateMemory()
    model, figures["fit"] = private.of("fit", lambda: model.fit(X))
    print(f"            {model.n_iter_} epochs, NDCG@100 {model.validation_scores_}")
    _, figures["recommend"] = private.of("recommend", lambda: model.recommend(X, k=10))
    evaluation, figures["evaluate"] = private.of("evaluate", lambda: skvae.evaluate(model, X_test))
    print(evaluation)
    return figures


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--draws", type=int, default=235, help="of a user, with those that come twice")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="kept; without it a temporary one")
    args = parser.parse_args(arguments)
    if args.folder is not None:
        args.folder.mkdir(exist_ok=True)
        return run(args, args.folder)
    with tempfile.TemporaryDirectory() as folder:
        return run(args, Path(folder))


if __name__ == "__main__":
    main()
