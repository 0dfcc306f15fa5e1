"""What recommending in bfloat16 costs in accuracy: one fitted model, asked in float32 and in bfloat16.

``python benchmarks/precision.py [NAME ...] [--results DIR]``. Data are read as real_data.py says. Models are fitted in
float32, with their defaults, and evaluated on users whom they have not seen. DIR gets precision.json and precision.md.
"""

import argparse
import json
from pathlib import Path

import harness
import numpy as np
from accuracy import mean_and_error
from real_data import NAMES, load
from sklearn.base import clone

import skvae

MODELS = {
    "Mult-VAE": skvae.MultVAERecommender(precision="float32", random_state=0),
    "Mult-DAE": skvae.MultDAERecommender(precision="float32", random_state=0),
}
HEADER = ["data", "model", "NDCG@100, float32", "bfloat16 - float32", "the same ten first items"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "precision", metavar="DIR")
    args = parser.parse_args()
    record = {"machine": harness.machine(), "versions": {"skvae": skvae.__version__}, "runs": []}
    for name in args.names:
        split = skvae.strong_generalization_split(load(name), random_state=0)
        for model in MODELS:
            record["runs"].append({"data": name, "model": model} | measure(clone(MODELS[model]), split))
            print(record["runs"][-1], flush=True)
            harness.write(json.dumps(record, indent=1), args.results / "precision.json")
    harness.show(table(record), args.results / "precision.md")


def measure(model, split):
    """NDCG@100 in float32, the paired difference of bfloat16 to it, and how many of ten items are the same."""
    model.fit(split.train)
    fold_in, held_out = skvae.fold_in_split(split.test, random_state=0)
    scores, lists = {}, {}
    for precision in ("float32", "bfloat16"):
        model.set_params(precision=precision)
        scores[precision] = skvae.evaluate(model, fold_in, y=held_out).per_user["ndcg@100"]
        lists[precision], _ = model.recommend(fold_in, k=10)
    difference, error = mean_and_error(scores["bfloat16"] - scores["float32"])
    same = np.mean([len(np.intersect1d(*pair)) for pair in zip(*lists.values(), strict=True)]) / 10
    return {
        "ndcg@100": float(np.nanmean(scores["float32"])),
        "difference": difference,
        "standard_error": error,
        "same": float(same),
    }


def table(record):
    rows = [
        [
            run["data"],
            run["model"],
            f"{run['ndcg@100']:.4f}",
            f"{run['difference']:+.5f} +- {run['standard_error']:.5f}",
            f"{run['same']:.3f}",
        ]
        for run in record["runs"]
    ]
    return f"# Recommending in bfloat16\n\n{harness.markdown_table(HEADER, rows)}"


if __name__ == "__main__":
    main()
