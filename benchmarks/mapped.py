"""Memory of a process that trains, recommends and evaluates on a matrix that is mapped from disk.

``OMP_NUM_THREADS=1 python benchmarks/mapped.py [--scale 0.05] [--folder DIR]``, on Linux. It writes 400 000 users with
about 200 of 20 000 items each to DIR and as many test users as a tenth of that, maps them, and prints for each call the
seconds and the peak of its private memory (RssAnon): what it held above what the process held before, maps of files
not counted. --scale makes users fewer.
"""

import argparse
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from runners.common import memory

import skvae

USERS_PER_PART = 5_000
SECONDS_BETWEEN_SAMPLES = 0.005


def users(n_users, n_items, n_draws, seed):
    """Parts of so many users, with items drawn by popularity 1 / (10 + rank), each item once."""
    rng = np.random.default_rng(seed)
    for first in range(0, n_users, USERS_PER_PART):
        shape = min(USERS_PER_PART, n_users - first), n_draws
        ranks = 10 * ((n_items + 10) / 10) ** rng.random(shape, np.float32) - 10
        items = np.sort(ranks.astype(np.int32).clip(0, n_items - 1), axis=1)
        new = np.diff(items, axis=1, prepend=-1) != 0
        indptr = np.append(0, new.sum(axis=1).cumsum())
        yield sp.csr_array((np.ones(indptr[-1], np.float32), items[new], indptr), shape=(shape[0], n_items))


class PrivateMemory:
    """Peak of a block, in bytes above what was held when it began, and its seconds."""

    def __enter__(self):
        self.before = self.peak = memory("RssAnon")
        self.start, self._ended = time.perf_counter(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._ended.set()
        self._thread.join()
        self.seconds = time.perf_counter() - self.start
        self.bytes = self.peak - self.before

    def _watch(self):
        while not self._ended.wait(SECONDS_BETWEEN_SAMPLES):
            self.peak = max(self.peak, memory("RssAnon"))


def measured(name, call):
    with PrivateMemory() as private:
        result = call()
    print(f"{name:<12}{private.bytes / 1e6:8.0f} MB {private.seconds:8.1f} s", flush=True)
    return result, private.bytes


def run(args, folder):
    n_users = round(400_000 * args.scale)
    sizes = {"train": n_users, "test": n_users // 10}
    for seed, (name, n) in enumerate(sizes.items()):
        if not (folder / name).exists():
            parts = users(n, args.items, args.draws, seed)
            measured(f"save {name}", lambda parts=parts, name=name: skvae.save_interactions(parts, folder / name))
    X, X_test = (skvae.open_interactions(folder / name) for name in sizes)
    n_bytes = X.data.nbytes + X.indices.nbytes
    print(f"{X.shape[0]} users x {X.shape[1]} items, {X.nnz} interactions, {n_bytes / 1e6:.0f} MB of data and indices")
    model = skvae.MultDAERecommender(64, max_iter=args.epochs, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a first, small fit loads what is loaded on first use
        skvae.evaluate(skvae.MultDAERecommender(4, max_iter=1).fit(X[:1000, :500]), X[:1000, :500])
    figures = {"interactions": n_bytes}
    model, figures["fit"] = measured("fit", lambda: model.fit(X))
    print(f"            {model.n_iter_} epochs, NDCG@100 {model.validation_scores_}")
    _, figures["recommend"] = measured("recommend", lambda: model.recommend(X, k=10))
    evaluation, figures["evaluate"] = measured("evaluate", lambda: skvae.evaluate(model, X_test))
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
