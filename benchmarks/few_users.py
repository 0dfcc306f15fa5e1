"""What the defaults are worth where users are few, or have few items: NDCG@100 of users never seen.

``OMP_NUM_THREADS=1 python benchmarks/few_users.py [NAME ...] [--splits N] [--users N ...] [--results DIR]``. Of the
training users of accuracy.py some are drawn, and the test users are ranked. With it `MultDAERecommender` holds out a
tenth of the users, however few these are, and keeps its best epoch, or is refitted on all users by as many epochs; and
`LinearRecommender` chooses its numbers, of fewer than 2000 users in five folds. Without it the one runs all epochs, and
the other takes the numbers that "auto" begins with. Of 600 to 3000 users, what a linear model chooses by a tenth of the
users is also compared with what it chooses by a fifth of them, and in folds. And of so many users, and of the test
users, two to four items are drawn, of which a half is hidden, for the linear model with a centering of 0 and with one
that is chosen. DIR gets few_users.json and few_users.md.
"""

import argparse
from pathlib import Path
from unittest import mock

import harness
import numpy as np
import scipy.sparse as sp
from accuracy import pooled
from real_data import NAMES, load
from sklearn.base import clone

import skvae
from skvae import validation_users
from skvae.core.gram import users_weighted
from skvae.linear_search import UNVALIDATED

METRIC = "ndcg@100"
N_USERS_OF_FOLDS = (600, 1000, 1900, 3000)
# what is measured -> columns of its table: what is compared with, and what is compared with it
COLUMNS = {
    "users": {"MultDAE": ("held out", "refitted"), "Linear": ("chosen",)},
    "users of a linear model": {"by a tenth": ("by a fifth", "in folds")},
    "users of few items": {"Popularity": (), "uncentered": ("chosen",)},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--splits", type=int, default=3, metavar="N")
    parser.add_argument("--users", type=int, nargs="*", default=[100, 200, 400, 1000], metavar="N")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "few_users", metavar="DIR")
    args = parser.parse_args()
    record = harness.Record(args.results / "few_users")
    for name in args.names:
        X = load(name)
        for seed in range(args.splits):
            split = skvae.strong_generalization_split(X, random_state=seed)
            users = np.random.default_rng(seed).permutation(split.train.shape[0])
            of_folds = [n_users for n_users in N_USERS_OF_FOLDS if n_users < 1.2 * len(users)]
            of_each = (args.users, validated), (of_folds, in_folds), (args.users, of_few_items)
            for what, (numbers, compared) in zip(COLUMNS, of_each, strict=True):
                for n_users in numbers:
                    key = f"{name}, {n_users} {what}, split {seed}"
                    if key not in record.runs:
                        results = compared(split.train[np.sort(users[:n_users])], split.test, seed)
                        record.add(key, run_of(results, COLUMNS[what]))
                        print(key, record.runs[key], flush=True)
    harness.show(f"# Few users\n\n{tables(args.results)}", args.results / "few_users.md")


def validated(X, test, seed):
    """The defaults, and the same without validation."""
    unit = float(np.mean(users_weighted(X, UNVALIDATED.user_exponent).data ** 2))
    fixed = UNVALIDATED._asdict() | {"l2_regularization": UNVALIDATED.l2_regularization * unit}
    dae = skvae.MultDAERecommender(random_state=seed, early_stopping=True)
    models = {
        "MultDAE": clone(dae).set_params(early_stopping=False),
        "held out": clone(dae).set_params(refit=False),
        "refitted": dae,
        "Linear": skvae.LinearRecommender(**fixed),
        "chosen": skvae.LinearRecommender(),
    }
    return {name: skvae.evaluate(model.fit(X), test) for name, model in models.items()}


def in_folds(X, test, seed):
    """The linear model that is chosen by a tenth or a fifth of the users, and that of five folds of them."""
    results = {}
    for name, fraction, enough in (("by a tenth", 0.1, 0), ("by a fifth", 0.2, 0), ("in folds", 0.2, np.inf)):
        with mock.patch.multiple(validation_users, VALIDATION_FRACTION=fraction, ENOUGH_OF_A_SHARE=enough):
            results[name] = skvae.evaluate(skvae.LinearRecommender().fit(X), test)
    return results


def of_few_items(X, test, seed):
    """Popularity, and the linear model without a centering and with the one that is chosen, for users of few items."""
    X, test = few_of_each(X, seed), few_of_each(test, seed)
    models = {
        "Popularity": skvae.PopularityRecommender(),
        "uncentered": skvae.LinearRecommender(centering=0),
        "chosen": skvae.LinearRecommender(),
    }
    hiding = {"held_out_fraction": 0.5, "min_interactions": 2}
    return {name: skvae.evaluate(model.fit(X), test, **hiding) for name, model in models.items()}


def few_of_each(X, seed):
    """Two to four items of each user, drawn at random."""
    rng = np.random.default_rng(seed)
    users = [rng.permutation(items)[: rng.integers(2, 5)] for items in np.split(X.indices, X.indptr[1:-1])]
    rows = np.repeat(np.arange(len(users)), [len(items) for items in users])
    return sp.csr_array((np.ones(len(rows), np.float32), (rows, np.concatenate(users))), shape=X.shape)


def run_of(results, columns):
    """The mean of what is compared with; gain and its standard error of the others."""
    run = {}
    for base, others in columns.items():
        run[base] = results[base].mean[METRIC]
        for other in others:
            gain = results[other] - results[base]
            run[other] = [gain.mean[METRIC], gain.standard_error[METRIC]]
    return run


def tables(results):
    """Means over the splits, a row per set and number of users."""
    runs = harness.Record(results / "few_users").runs
    return "\n".join(table(runs, what, columns) for what, columns in COLUMNS.items())


def table(runs, what, columns):
    cases = dict.fromkeys(key.rpartition(", split ")[0] for key in runs if f" {what}, split " in key)
    rows = []
    for case in cases:
        own = [run for key, run in runs.items() if key.startswith(f"{case}, split ")]
        name, numbers = case.split(", ")
        cells = [name, numbers.partition(" ")[0]]
        for base, others in columns.items():
            cells.append(f"{np.mean([run[base] for run in own]):.4f}")
            for other in others:
                cells.append(pooled([run[other] for run in own]))
        rows.append(cells)
    header = ["data", "users", *(column for base, others in columns.items() for column in (base, *others))]
    return harness.markdown_table(header, rows)


if __name__ == "__main__":
    main()
