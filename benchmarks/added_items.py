"""How soon items that were added are recommended: after so many passes of partial_fit, and after a refit.

``python benchmarks/added_items.py [NAME ...] [--results DIR]``. Data are read as real_data.py says. The model is fitted
without four items: the 6th, 26th, 61st and 121st by popularity. They are added, and partial_fit gets the same users
with all items. A third of the users are for the test: from each that has one of the four it is hidden, and counts as
found where it is among the first 20 recommended. DIR gets added_items.json and added_items.md.
"""

import argparse
import copy
import json
from pathlib import Path

import harness
import numpy as np
import scipy.sparse as sp
from real_data import load
from sklearn.base import clone

import skvae

MODELS = {
    "movietweetings-100k": skvae.MultDAERecommender(random_state=0),
    "msweb": skvae.MultDAERecommender(16, random_state=0),
    "lastfm-2k": skvae.MultVAERecommender(random_state=0),
}
PLACES = (5, 25, 60, 120)
PASSES = (1, 3, 10)
N_USERS = 3000


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=list(MODELS), metavar="NAME", help=f"of {', '.join(MODELS)}")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "added_items", metavar="DIR")
    args = parser.parse_args()
    record = {"machine": harness.machine(), "versions": {"skvae": skvae.__version__}, "runs": []}
    for name in args.names:
        record["runs"] += measure(name)
        harness.write(json.dumps(record, indent=1), args.results / "added_items.json")
    text = table(record)
    harness.write(text, args.results / "added_items.md")
    print(text)


def measure(name):
    """A run of the refit, and one of each number of passes."""
    train, test, n_known = users_of(name)
    about = {"data": name, "model": str(MODELS[name]), "users": np.diff(train.tocsc().indptr)[n_known:].tolist()}
    refit = clone(MODELS[name]).fit(train)
    runs = [about | {"passes": None, "found": found(refit, test, n_known)}]
    model = clone(MODELS[name]).fit(train[:, :n_known]).add_items(len(PLACES))
    for n_passes in range(1, max(PASSES) + 1):
        model.partial_fit(train)
        if n_passes in PASSES:
            runs.append(about | {"passes": n_passes, "found": found(copy.deepcopy(model), test, n_known)})
    for run in runs:
        print(run, flush=True)
    return runs


def users_of(name):
    """Users to train on and to test on, with the added items last, and how many items there were before."""
    X = load(name)
    X = X[:, np.bincount(X.indices, minlength=X.shape[1]) >= 5]
    X = X[np.diff(X.indptr) >= 3][:N_USERS]
    popular = np.argsort(-np.bincount(X.indices, minlength=X.shape[1]), kind="stable")
    added = popular[list(PLACES)]
    X = sp.csr_array(X[:, [*np.setdiff1d(np.arange(X.shape[1]), added), *added]])
    users = np.random.default_rng(0).permutation(X.shape[0])
    n_trained = 2 * len(users) // 3
    return X[users[:n_trained]], X[users[n_trained:]], X.shape[1] - len(added)


def found(model, test, n_known):
    """Of each added item, the share of the users who have it and find it when it is hidden."""
    shares = []
    for item in range(n_known, test.shape[1]):
        users = test[test[:, [item]].toarray()[:, 0] > 0].tolil()
        users[:, item] = 0
        items, _ = model.recommend(sp.csr_array(users), k=20)
        shares.append(float((items == item).any(axis=1).mean()))
    return shares


def table(record):
    rows = []
    for run in record["runs"]:
        when = "a refit" if run["passes"] is None else f"{run['passes']} passes" if run["passes"] > 1 else "one pass"
        users = ", ".join(map(str, run["users"]))
        rows.append(
            [run["data"], run["model"].partition("(")[0], users, when, ", ".join(f"{s:.2f}" for s in run["found"])]
        )
    header = ["data", "model", "users of the items", "after", "found among 20"]
    described = harness.describe(record["machine"], [record])
    return f"# Added items\n\n{described}\n{harness.markdown_table(header, rows)}"


if __name__ == "__main__":
    main()
