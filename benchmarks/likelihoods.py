"""The paper's three likelihoods side by side, on real data; prints a Markdown table.

``python benchmarks/likelihoods.py [NAME ...] [--seeds N]``. Data and splits as in accuracy.py. The estimators are
trained as in the paper, but for the batch size, which is that of the defaults, and beta, which reaches its cap at half
of the updates. The last column is the paired difference from multinomial on the same users.
"""

import argparse
import datetime
import os
import platform

import numpy as np
from real_data import NAMES, load

import skvae

ESTIMATORS = {"MultDAE": skvae.MultDAERecommender, "MultVAE": skvae.MultVAERecommender}
TRAINING = {"learning_rate": 1e-3, "averaging_epochs": 0, "initialization": "xavier", "n_iter_no_change": 10}
LIKELIHOODS = ("multinomial", "logistic", "gaussian")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=NAMES[:3], metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    parser.add_argument("--max-iter", type=int, default=100, metavar="N", help="epochs at the most, default 100")
    args = parser.parse_args()
    print(f"{datetime.date.today()}, {os.cpu_count()} x {platform.machine()}, {args.seeds} seed(s)\n")
    print("| data | model | likelihood | ndcg@100 | recall@20 | ndcg@100 above multinomial |")
    print("|---|---|---|---|---|---|")
    for name in args.names:
        X = load(name)
        for label, estimator in ESTIMATORS.items():
            results = {likelihood: [] for likelihood in LIKELIHOODS}
            for seed in range(args.seeds):
                split = skvae.strong_generalization_split(X, random_state=seed)
                for likelihood, evaluations in results.items():
                    model = estimator(likelihood=likelihood, max_iter=args.max_iter, random_state=seed, **TRAINING)
                    if label == "MultVAE":
                        model.set_params(total_anneal_steps=2.5)  # at .2 after half of the updates
                    model.fit(split.train, X_val=split.validation)
                    evaluations.append(skvae.evaluate(model, split.test, ["ndcg@100", "recall@20"]))
            for likelihood, evaluations in results.items():
                pairs = zip(evaluations, results["multinomial"], strict=True)
                difference = average([ours - theirs for ours, theirs in pairs], "ndcg@100")
                cells = " | ".join(average(evaluations, metric) for metric in ("ndcg@100", "recall@20"))
                print(f"| {name} | {label} | {likelihood} | {cells} | {difference} |", flush=True)


def average(evaluations, metric):
    means, errors = ([getattr(e, part)[metric] for e in evaluations] for part in ("mean", "standard_error"))
    return f"{np.mean(means):.4f} +- {np.mean(errors):.4f}"


if __name__ == "__main__":
    main()
