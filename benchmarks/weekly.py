"""New users, new items and more of the old: what a fitted model gains by passes, a warm start and a refit.

``python benchmarks/weekly.py [NAME ...] [--splits N] [--results DIR]``. A model is fitted on what was there before, and
refreshed with all there is. "movielens-small, by time" calls the last 7 % of the liked ratings new. Of the other data,
read as real_data.py says, a tenth of the users, a fiftieth of the items and 7 % of what is left are new, drawn at
random. A fifth of the users are for the test alone, a tenth of the others for validation; the random numbers of a split
are its number. Differences are user by user, from the model as it was, widened to the new items. DIR gets weekly.json
and weekly.md.
"""

import argparse
import copy
import json
import time
from pathlib import Path

import harness
import numpy as np
import pandas as pd
import scipy.sparse as sp
from accuracy import mean_and_error
from real_data import load

import skvae
from skvae.matrix import count_users

BY_TIME = "movielens-small, by time"
MODELS = {"MultDAE": skvae.MultDAERecommender, "MultVAE": skvae.MultVAERecommender}
NAMES = (BY_TIME, "lastfm-2k", "movietweetings-100k")
METRIC = "ndcg@100"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=list(NAMES), metavar="NAME")
    parser.add_argument("--splits", type=int, default=2, metavar="N")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "weekly", metavar="DIR")
    args = parser.parse_args()
    record = {"machine": harness.machine(), "versions": {"skvae": skvae.__version__}, "runs": []}
    for name in args.names:
        for model in MODELS:
            record["runs"] += measure(name, model, args.splits)
            harness.write(json.dumps(record, indent=1), args.results / "weekly.json")
    harness.show(table(record), args.results / "weekly.md")


def measure(name, model, n_splits):
    """A run of each way to refresh, over all splits."""
    gains: dict = {}
    for split in range(n_splits):
        before, after, validation, test = data_of(name, split)
        fitted = MODELS[model](random_state=0).fit(before, X_val=validation[:, : before.shape[1]])
        wider = copy.deepcopy(fitted)
        if after.shape[1] > before.shape[1]:
            wider.add_items(after.shape[1] - before.shape[1])
        stale = skvae.evaluate(wider, test, METRIC)
        for way, refresh in WAYS.items():
            start = time.perf_counter()
            refreshed = refresh(copy.deepcopy(wider), after, validation)
            seconds = time.perf_counter() - start
            gain = (skvae.evaluate(refreshed, test, METRIC) - stale).per_user[METRIC]
            gains.setdefault(way, []).append((seconds, gain))
            print(name, model, split, way, np.nanmean(gain), seconds, flush=True)
    return [run_of(name, model, way, results) for way, results in gains.items()]


def run_of(name, model, way, results):
    return {
        "data": name,
        "model": model,
        "way": way,
        "gain": mean_and_error(np.concatenate([gain for _, gain in results])),
        "seconds": float(np.mean([seconds for seconds, _ in results])),
    }


def data_of(name, split):
    """Matrices before and after of the same users, new items last; those of validation and test users after."""
    rng = np.random.default_rng(split)
    X, is_old = by_time() if name == BY_TIME else at_random(load(name), rng)
    role = rng.choice(3, X.shape[0], p=[0.72, 0.08, 0.2])
    trained = np.flatnonzero(role == 0)
    before = with_entries(X[trained] * is_old[trained])
    n_before, n_after = (count_users(part) for part in (before, X[trained]))
    known, new = np.flatnonzero(n_before), np.flatnonzero((n_before == 0) & (n_after > 0))
    items = np.concatenate([known, new])
    parts = [before[:, known], *(X[np.flatnonzero(role == of)][:, items] for of in range(3))]
    before, after, validation, test = map(with_entries, parts)
    return before, after, validation, test


def with_entries(X):
    X = sp.csr_array(X)
    X.eliminate_zeros()
    return X[np.flatnonzero(np.diff(X.indptr))]


def by_time():
    """Liked ratings, and which of them are old, csr_array of bool."""
    ratings = skvae.datasets.load_movielens_small().ratings
    ratings = ratings[ratings["rating"] >= 4]
    places = tuple(pd.factorize(ratings[column])[0] for column in ("user", "item"))
    is_old = ratings["timestamp"] < ratings["timestamp"].quantile(0.93)
    X = sp.csr_array((np.ones(len(ratings), np.float32), places))
    return X, sp.csr_array((is_old.to_numpy(np.float32), places), shape=X.shape)


def at_random(X, rng):
    X = sp.csr_array(X).astype(np.float32)
    is_new_user, is_new_item = rng.random(X.shape[0]) < 0.1, rng.random(X.shape[1]) < 0.02
    is_new = np.repeat(is_new_user, np.diff(X.indptr)) | is_new_item[X.indices] | (rng.random(X.nnz) < 0.07)
    return X, sp.csr_array(((~is_new).astype(np.float32), X.indices, X.indptr), shape=X.shape)


def passes(n_passes):
    def refresh(model, X, X_val):
        for _ in range(n_passes):
            model.partial_fit(X)
        return model

    return refresh


def warm_start(model, X, X_val):
    return model.set_params(warm_start=True).fit(X, X_val=X_val)


def refit_of_best_epochs(model, X, X_val):
    return model.set_params(max_iter=model.best_iter_, early_stopping=False).fit(X)


def refit(model, X, X_val):
    return model.fit(X, X_val=X_val)


WAYS = {
    "one pass": passes(1),
    "3 passes": passes(3),
    "10 passes": passes(10),
    "warm start, validated": warm_start,
    "refit, as many epochs as were best": refit_of_best_epochs,
    "refit, validated": refit,
}


def table(record):
    header = ["data", "model", "refreshed by", f"gain in {METRIC}", "seconds"]
    rows = [
        [run["data"], run["model"], run["way"], "{:+.4f} +- {:.4f}".format(*run["gain"]), f"{run['seconds']:.1f}"]
        for run in record["runs"]
    ]
    described = harness.describe(record["machine"], [record])
    return f"# Each week\n\n{described}\n{harness.markdown_table(header, rows)}"


if __name__ == "__main__":
    main()
