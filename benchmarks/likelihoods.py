"""The paper's three likelihoods side by side, on real data.

``python benchmarks/likelihoods.py [NAME ...] [--seeds N] [--max-iter N] [--results DIR]``. Data and splits as in
accuracy.py. The estimators are trained as in the paper, but for the batch size, which is that of the defaults, and
beta, which reaches its cap at half of the updates. The last column is the paired difference from multinomial on the
same users. DIR gets NAME.json; what NAME.json and NAME.npz (NDCG@100 of each test user) hold is not run again.
"""

import argparse
import itertools
import math
import time
from pathlib import Path

import harness
import torch
from accuracy import mean_and_error, pooled
from real_data import NAMES, load
from sklearn.base import clone

import skvae

ESTIMATORS = {"MultDAE": skvae.MultDAERecommender, "MultVAE": skvae.MultVAERecommender}
PAPER = {"learning_rate": 1e-3, "averaging_epochs": 0, "initialization": "xavier", "target": "all"}
TRAINING = PAPER | {"n_iter_no_change": 10}
LIKELIHOODS = ("multinomial", "logistic", "gaussian")
METRICS = ("ndcg@100", "recall@20")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=NAMES[:3], metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    parser.add_argument("--max-iter", type=int, default=100, metavar="N", help="epochs at the most, default 100")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "likelihoods", metavar="DIR")
    args = parser.parse_args()
    for name in args.names:
        measure(name, args)
    print(tables(args.results))


def measure(name, args):
    """Run what the record of a data set lacks, a file written after each model."""
    record = harness.Record(args.results / name)
    record.about["machine"]["threads"] = torch.get_num_threads()
    X = load(name)
    for seed in range(args.seeds):
        split = skvae.strong_generalization_split(X, random_state=seed)
        for label, likelihood in itertools.product(ESTIMATORS, LIKELIHOODS):
            key = f"{label} {likelihood}, split {seed}"
            if key in record:
                continue
            start = time.perf_counter()
            model = fit(label, likelihood, split, seed, args.max_iter)
            about = {"epochs": model.best_iter_, "seconds": time.perf_counter() - start}
            per_user = skvae.evaluate(model, split.test, METRICS).per_user
            result = {metric: mean_and_error(values) for metric, values in per_user.items()}
            record.add(key, result | about, per_user["ndcg@100"])
            print(name, key, result, flush=True)


def fit(label, likelihood, split, seed, max_iter):
    model = ESTIMATORS[label](likelihood=likelihood, max_iter=max_iter, random_state=seed, **TRAINING)
    if label == "MultVAE":
        batch_size = clone(model).partial_fit(split.train).batch_size_
        planned_updates = max_iter * math.ceil(split.train.shape[0] / batch_size)
        model.set_params(total_anneal_steps=round(2.5 * planned_updates))  # at .2 after half of them
    return model.fit(split.train, X_val=split.validation)


def tables(results):
    header = ["data", "model", "likelihood", "NDCG@100", "Recall@20", "above multinomial"]
    rows = []
    for path in sorted(results.glob("*.json")):
        record = harness.Record(path)
        seeds = [key.rpartition(" ")[2] for key in record.runs if key.startswith("MultDAE multinomial, ")]
        for label, likelihood in itertools.product(ESTIMATORS, LIKELIHOODS):
            keys, plain = ([f"{label} {name}, split {seed}" for seed in seeds] for name in (likelihood, "multinomial"))
            row = [path.stem, label, likelihood]
            row += [pooled([record.runs[key][metric] for key in keys]) for metric in METRICS]
            differences = [record.per_user[a] - record.per_user[b] for a, b in zip(keys, plain, strict=True)]
            above = "" if likelihood == "multinomial" else pooled([mean_and_error(d) for d in differences])
            rows.append([*row, above])
    return harness.markdown_table(header, rows)


if __name__ == "__main__":
    main()
