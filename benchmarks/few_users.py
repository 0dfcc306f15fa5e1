"""What validation is worth where users are few: NDCG@100 of users never seen, with it and without.

``OMP_NUM_THREADS=1 python benchmarks/few_users.py [NAME ...] [--splits N] [--users N ...] [--results DIR]``. Of the
training users of accuracy.py some are drawn, and the test users are ranked. With it `MultDAERecommender` holds out a
tenth of the users and keeps its best epoch, and `LinearRecommender` chooses its numbers, of fewer than 500 users in
five folds; without it the one runs all epochs, and the other takes the numbers that "auto" begins with. DIR gets
few_users.json and few_users.md.
"""

import argparse
from pathlib import Path

import harness
import numpy as np
from real_data import NAMES, load

import skvae
from skvae.core.gram import users_weighted
from skvae.linear_search import UNVALIDATED


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--splits", type=int, default=3, metavar="N")
    parser.add_argument("--users", type=int, nargs="*", default=[150, 200, 400], metavar="N")
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
    pairs = {
        "MultDAE": [skvae.MultDAERecommender(random_state=seed, early_stopping=stop) for stop in (True, False)],
        "Linear": [skvae.LinearRecommender(), skvae.LinearRecommender(**fixed)],
    }
    run = {}
    for model, estimators in pairs.items():
        with_it, without = (skvae.evaluate(each.fit(X), split.test) for each in estimators)
        gain = with_it - without
        run[model] = [without.mean["ndcg@100"], gain.mean["ndcg@100"], gain.standard_error["ndcg@100"]]
    return run


def tables(results):
    """Means over the splits, a row per set and number of users."""
    runs = harness.Record(results / "few_users").runs
    header = ["data", "users", "MultDAE", "gain", "Linear", "gain", "splits"]
    rows = []
    for case in dict.fromkeys(key.rpartition(", split ")[0] for key in runs):
        name, n_users = case.removesuffix(" users").split(", ")
        own = [run for key, run in runs.items() if key.startswith(f"{case}, ")]
        cells = []
        for model in ("MultDAE", "Linear"):
            without, gains, errors = np.array([run[model] for run in own]).T
            cells += [f"{without.mean():.4f}", f"{gains.mean():.4f} +- {np.sqrt((errors**2).mean() / len(own)):.4f}"]
        rows.append([name, n_users, *cells, len(own)])
    return harness.markdown_table(header, rows)


if __name__ == "__main__":
    main()
