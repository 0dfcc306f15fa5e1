"""What validation is worth where users are few: NDCG@100 of users never seen, with it and without.

``OMP_NUM_THREADS=1 python benchmarks/few_users.py [NAME ...] [--splits N] [--users N ...] [--results DIR]``. Of the
training users of accuracy.py some are drawn, and the test users are ranked. With it `MultDAERecommender` holds out a
tenth of the users, however few these are, and keeps its best epoch, or is refitted on all users by as many epochs; and
`LinearRecommender` chooses its numbers, of fewer than 2000 users in five folds. Without it the one runs all epochs, and
the other takes the numbers that "auto" begins with. DIR gets few_users.json and few_users.md.
"""

import argparse
from pathlib import Path

import harness
import numpy as np
from real_data import NAMES, load
from sklearn.base import clone

import skvae
from skvae.core.gram import users_weighted
from skvae.linear_search import UNVALIDATED

METRIC = "ndcg@100"
GAINS = {"MultDAE": ("held out", "refitted"), "Linear": ("chosen",)}  # what is not validated, and what is


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
            for n_users in args.users:
                key = f"{name}, {n_users} users, split {seed}"
                if key not in record.runs:
                    run = measure(split, users[:n_users], seed)
                    record.add(key, run)
                    print(key, run, flush=True)
    text = f"# Few users\n\n{tables(args.results)}"
    print(text)
    harness.write(text, args.results / "few_users.md")


def measure(split, users, seed):
    """What the defaults are above the same without validation, by model."""
    X = split.train[np.sort(users)]
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
    of = {name: skvae.evaluate(model.fit(X), split.test) for name, model in models.items()}
    gains = {name: of[name] - of[base] for base, names in GAINS.items() for name in names}
    return {base: of[base].mean[METRIC] for base in GAINS} | {
        name: [gain.mean[METRIC], gain.standard_error[METRIC]] for name, gain in gains.items()
    }


def tables(results):
    """Means over the splits, a row per set and number of users."""
    runs = harness.Record(results / "few_users").runs
    rows = []
    for case in dict.fromkeys(key.rpartition(", split ")[0] for key in runs):
        name, n_users = case.removesuffix(" users").split(", ")
        own = [run for key, run in runs.items() if key.startswith(f"{case}, ")]
        cells = []
        for base, names in GAINS.items():
            cells.append(f"{np.mean([run[base] for run in own]):.4f}")
            for variant in names:
                gains, errors = np.array([run[variant] for run in own]).T
                cells.append(f"{gains.mean():.4f} +- {np.sqrt((errors**2).mean() / len(own)):.4f}")
        rows.append([name, n_users, *cells])
    header = ["data", "users", *(name for base, names in GAINS.items() for name in (base, *names))]
    return harness.markdown_table(header, rows)


if __name__ == "__main__":
    main()
