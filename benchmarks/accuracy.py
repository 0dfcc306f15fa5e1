"""NDCG@100 of the untouched defaults beside popularity, on real data; prints a Markdown table.

``python benchmarks/accuracy.py [NAME ...] [--seeds N]``. Data are read from the folder SKVAE_DATA, by default
../shared/data, and MovieLens small from examples/data. Strong generalization: 80 / 10 / 10 per cent of the users who
have at least 5 interactions, items of training users only, the best epoch kept on the validation users. Numbers are
means over the test users of all seeds, each seed with a split of its own; +- is the standard error over users of the
mean over one split, averaged over the splits.
"""

import argparse
import datetime
import os
import platform
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

import skvae
from skvae.model_selection import MIN_INTERACTIONS, count_interactions

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("SKVAE_DATA") or ROOT.parent / "shared" / "data")
NAMES = ("movielens-small", "movietweetings-100k", "msweb", "anime")
MODELS = {
    "popularity": lambda seed: skvae.PopularityRecommender(),
    "MultDAE": lambda seed: skvae.MultDAERecommender(random_state=seed),
    "MultVAE": lambda seed: skvae.MultVAERecommender(random_state=seed),
}
METRICS = ("ndcg@100", "recall@20", "recall@50")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    args = parser.parse_args()
    print(f"{datetime.date.today()}, {os.cpu_count()} x {platform.machine()}, {args.seeds} seed(s)\n")
    print("| data | training users x items | model | epochs | " + " | ".join(METRICS) + " | above popularity |")
    print("|---|---|---|---|" + "---|" * (len(METRICS) + 1))
    for name in args.names:
        evaluations, shape, epochs = evaluate_all(load(name), args.seeds)
        floor = evaluations["popularity"]
        for model, results in evaluations.items():
            difference = average([ours - theirs for ours, theirs in zip(results, floor, strict=True)], "ndcg@100")
            cells = [average(results, metric) for metric in METRICS]
            print(f"| {name} | {shape} | {model} | {epochs[model]} | {' | '.join(cells)} | {difference} |", flush=True)


def load(name):
    """Users with at least 5 interactions; ratings of 4 of 5 stars, or 7 of 10, count as one."""
    if name == "movielens-small":
        ratings = pd.read_csv(ROOT / "examples" / "data" / name / "ratings.csv.gz")
        ratings = ratings[ratings["rating"] >= 4]
        users, items = (pd.factorize(ratings[column])[0] for column in ("userId", "movieId"))
        X = sp.csr_array((np.ones(len(ratings), np.float32), (users, items)))
    else:
        X = sp.csr_array(sp.load_npz(DATA / f"{name}.npz"))
    if name == "movietweetings-100k":
        return k_core((X >= 7).astype(np.float32), MIN_INTERACTIONS)
    return X[count_interactions(X) >= MIN_INTERACTIONS]


def k_core(X, k):
    """Users and items with at least k interactions among each other."""
    while True:
        users, items = count_interactions(X) >= k, count_interactions(X.T) >= k
        if users.all() and items.all():
            return X
        X = X[users][:, items]


def evaluate_all(X, n_seeds):
    evaluations, epochs = {name: [] for name in MODELS}, {}
    for seed in range(n_seeds):
        split = skvae.strong_generalization_split(X, random_state=seed)
        for name, make in MODELS.items():
            model = make(seed)
            model.fit(split.train, **({} if name == "popularity" else {"X_val": split.validation}))
            evaluations[name].append(skvae.evaluate(model, split.test, METRICS))
            epochs.setdefault(name, []).append(getattr(model, "best_iter_", 0))
    shape = " x ".join(map(str, split.train.shape))
    return evaluations, shape, {name: round(float(np.mean(best))) for name, best in epochs.items()}


def average(evaluations, metric):
    means, errors = ([getattr(e, part)[metric] for e in evaluations] for part in ("mean", "standard_error"))
    return f"{np.mean(means):.4f} +- {np.mean(errors):.4f}"


if __name__ == "__main__":
    main()
