"""How much of a linear model's accuracy a rank can hold: EASE^R and PureSVD cut to so many factors.

``python benchmarks/ranks.py [NAME ...] [--ranks R,R] [--results DIR]``. Data and split as in accuracy.py, the first
split; the L2 of EASE^R, of 200 and 500, is chosen on the validation users. DIR gets ranks.json and ranks.md.
"""

import argparse
import json
from pathlib import Path

import harness
import numpy as np
from real_data import load
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

import skvae

METRIC = "ndcg@100"
L2 = (200.0, 500.0)


class Factors:
    """A model whose scores are a user's row times two matrices."""

    def __init__(self, left, right):
        self.left, self.right = np.float32(left), np.float32(right)

    def decision_function(self, X):
        return (X @ self.left) @ self.right


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=("movielens-small", "anime-medium", "citeulike-a"), metavar="NAME")
    parser.add_argument("--ranks", type=lambda text: list(map(int, text.split(","))), default=[25, 50, 100, 200, 400])
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "ranks", metavar="DIR")
    args = parser.parse_args()
    path = args.results / "ranks.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for name in args.names:
        results[name] = measure(name, args.ranks)
        harness.write(json.dumps(results, indent=1), path)
    harness.show(f"# What a rank can hold\n\n{table(results)}", args.results / "ranks.md")


def measure(name, ranks):
    """Mean NDCG@100 of the test users by model and rank; under "full" that of EASE^R as it is."""
    split = skvae.strong_generalization_split(load(name), random_state=0)
    candidates = [skvae.EASERecommender(l2_regularization=l2).fit(split.train) for l2 in L2]
    ease = max(candidates, key=lambda model: score(model, split.validation))
    left, values, right = randomized_svd(ease.weights_, max(ranks), n_iter=4, random_state=0)
    _, _, vectors = randomized_svd(normalize(split.train), max(ranks), n_iter=4, random_state=0)
    factors = {"EASE^R": (left * values, right), "PureSVD": (vectors.T, vectors)}
    results = {
        model: {str(rank): score(Factors(one[:, :rank], other[:rank]), split.test) for rank in ranks}
        for model, (one, other) in factors.items()
    }
    results["EASE^R"]["full"] = score(ease, split.test)
    return results | {"shape": split.train.shape}


def score(model, users):
    return skvae.evaluate(model, users, METRIC).mean[METRIC]


def table(results):
    ranks = list(dict.fromkeys(rank for run in results.values() for rank in run["EASE^R"]))
    rows = [
        [name, " x ".join(map(str, run["shape"])), model]
        + [f"{run[model][rank]:.4f}" if rank in run[model] else "" for rank in ranks]
        for name, run in results.items()
        for model in ("EASE^R", "PureSVD")
    ]
    return harness.markdown_table(["data", "train", "model", *map(str, ranks)], rows)


if __name__ == "__main__":
    main()
