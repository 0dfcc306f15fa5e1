"""The Gram matrix of many interactions and its inverse, which a linear model is: skvae's, SciPy's, irspack's.

``python benchmarks/linear_models.py [--users N] [--items N] [--rounds N] [--results DIR] [--environments DIR]``, alone
on the machine: by default 200 000 users x 20 000 items with 50 interactions per user, for which it needs 16 GB.
Contestants take turns, each in a process of its own with the same threads, in float32. DIR gets linear_models.json and
linear_models.md.

- skvae: EASERecommender.fit, and of it the Gram matrix and the inverse alone, of users where they are few.
- skvae, by items: the same without the dual form, always by a matrix of items.
- skvae, LinearRecommender: its untouched fit, with eight to ten inverses.
- SciPy and LAPACK: X'X by SciPy's sparse product (which is scikit-learn's safe_sparse_dot as well), made dense; spotrf
  and spotri.
- SciPy and NumPy: the same product, numpy.linalg.inv.
- irspack: DenseSLIMRecommender.learn.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import harness
import numpy as np
import scipy.sparse as sp
from runners.common import memory, reset_peak
from scipy.linalg.lapack import spotrf, spotri

import skvae
from skvae.core import item_regression

L2 = 500.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=200_000, metavar="N")
    parser.add_argument("--items", type=int, default=20_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=1, metavar="N")
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS), metavar="NAME")
    parser.add_argument("--one", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "linear_models", metavar="DIR")
    parser.add_argument("--environments", type=Path, default=harness.ENVIRONMENTS, metavar="DIR")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measured(CONTESTANTS[args.one], args.folder)))
        return
    X = harness.make_matrix(args.users, args.items, 50)
    record = {"machine": harness.machine(), "data": [*X.shape, X.nnz], "runs": []}
    few = X[:50]
    with harness.saved(train=X, fold_in=few, held_out=few) as folder:
        del X
        for _ in range(args.rounds):
            for name in args.contestants:
                record["runs"].append({"contestant": name, **run(name, folder, args)})
                print(record["runs"][-1], flush=True)
                harness.write(json.dumps(record, indent=1), args.results / "linear_models.json")
    harness.show(described(record), args.results / "linear_models.md")


def run(name, folder, args):
    """One contestant in a process of its own."""
    if name == "irspack":
        request = {"parameters": {"model": "DenseSLIM", "reg": L2}, "limit": float("inf"), "patience": 1}
        curve = harness.run(name, harness.environment(name, args.environments), "curve", folder, **request)
        return {"seconds": {"all": curve["seconds"][-1]}, "versions": curve["versions"]}
    command = [sys.executable, __file__, "--one", name, "--folder", folder]
    environment = {**os.environ, **harness.THREAD_LIMITS, "PYTHONPATH": str(harness.ROOT)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured(contestant, folder):
    """Seconds of its parts, and the peak of memory beyond the data."""
    X = sp.csr_array(sp.load_npz(folder / "train.npz"))
    contestant(X[:200, :300])  # what happens on first use
    before = memory("VmRSS")
    reset_peak()
    seconds = contestant(X)
    versions = {name: version(name) for name in ("skvae", "numpy", "scipy", "torch")}
    return {"seconds": seconds, "peak_bytes": memory("VmHWM") - before, "versions": versions}


def fitted_by_skvae(X, model=None):
    """All of fit, and the parts of it that are measured on the way."""
    seconds, model = {}, model or skvae.EASERecommender(l2_regularization=L2)
    with (
        timing(item_regression.Gram, "dense", seconds, "Gram matrix"),
        timing(item_regression, "invert", seconds, "inverse"),
    ):
        start = time.perf_counter()
        model.fit(X)
        return {"all": time.perf_counter() - start, **seconds}


def fitted_by_items(X):
    with replaced(item_regression, "is_dual", lambda *_: False):
        return fitted_by_skvae(X)


def linear_fitted(X):
    return {"all": fitted_by_skvae(X, skvae.LinearRecommender())["all"]}


@contextmanager
def timing(owner, name, seconds, part):
    """Count what calls of a function take."""
    function = getattr(owner, name)

    def timed(*args, **kwargs):
        start = time.perf_counter()
        result = function(*args, **kwargs)
        seconds[part] = seconds.get(part, 0.0) + time.perf_counter() - start
        return result

    with replaced(owner, name, timed):
        yield


@contextmanager
def replaced(owner, name, value):
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def by_parts(invert):
    """A contestant that makes the Gram matrix by SciPy's sparse product."""

    def contestant(X):
        start = time.perf_counter()
        gram = (X.T @ X).toarray()
        after_gram = time.perf_counter()
        gram[np.diag_indices_from(gram)] += L2
        inverse = invert(gram)
        after_inverse = time.perf_counter()
        weights = inverse / -np.diagonal(inverse)
        np.fill_diagonal(weights, 0)
        end = time.perf_counter()
        return {"all": end - start, "Gram matrix": after_gram - start, "inverse": after_inverse - after_gram}

    return contestant


def inverse_by_lapack(gram):
    factor, failed = spotrf(gram.T, lower=1, clean=0, overwrite_a=1)
    inverse, failed_too = spotri(factor, lower=1, overwrite_c=1)
    assert not failed
    assert not failed_too
    return np.tril(inverse) + np.tril(inverse, -1).T


CONTESTANTS = {
    "skvae": fitted_by_skvae,
    "skvae, by items": fitted_by_items,
    "skvae, LinearRecommender": linear_fitted,
    "SciPy and LAPACK": by_parts(inverse_by_lapack),
    "SciPy and NumPy": by_parts(np.linalg.inv),
    "irspack": None,  # in an environment of its own
}


def described(record):
    n_users, n_items, n_interactions = record["data"]
    runs = {}
    for result in record["runs"]:
        runs.setdefault(result["contestant"], []).append(result)
    ours = best(runs["skvae"], "all") if "skvae" in runs else None
    rows = []
    for name, results in runs.items():
        parts = [best(results, part) for part in ("all", "Gram matrix", "inverse")]
        peak = min((result["peak_bytes"] for result in results if "peak_bytes" in result), default=None)
        cells = [f"{seconds:.1f}" if seconds else "" for seconds in parts]
        cells += [f"{peak / 1e9:.1f}" if peak else "", f"{parts[0] / ours:.2f}" if ours else ""]
        rows.append([name, *cells])
    header = ["", "seconds", "Gram matrix", "inverse", "memory, GB", "of skvae's seconds"]
    about = f"{n_users:,} users x {n_items:,} items, {n_interactions:,} interactions, rounds: {len(results)}."
    machine = harness.describe(record["machine"], record["runs"])
    return "\n".join(["# Large linear models\n", machine, about + "\n", harness.markdown_table(header, rows)])


def best(results, part):
    return min((result["seconds"][part] for result in results if part in result["seconds"]), default=None)


if __name__ == "__main__":
    main()
