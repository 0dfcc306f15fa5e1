"""What each step from Mult-VAE to RecVAE is worth, alone and on top of the steps before; prints a Markdown table.

``python benchmarks/ablation.py [NAME ...] [--max-iter N] [--precision P] [--seeds N] [--models A,B]``. Data and
protocol are those of accuracy.py: strong generalization, the best epoch kept on the validation users, NDCG@100 on the
test users, and the paired difference from the plain Mult-VAE; +- is the standard error over users.
"""

import argparse
import datetime
import os
import platform
import time

import numpy as np
from real_data import load

import skvae

METRIC = "ndcg@100"
STEPS = {
    "swish": {"activation": "swish"},
    "layer normalization": {"normalization": "layer"},
    "linear decoder": {"decoder_hidden_layer_sizes": ()},
    "KL weight per user": {"kl_weighting": "per_user", "anneal_cap": 0.005, "total_anneal_steps": 0},
    "composite prior": {"prior": "composite"},
}


def models():
    """Name -> (class, parameters): plain, each step alone, one step after the other, RecVAE and parts of it."""
    table, sofar = {"Mult-VAE": {}}, {}
    table |= {f"+ {name} alone": parameters for name, parameters in STEPS.items()}
    for name, parameters in STEPS.items():
        sofar = sofar | parameters
        table[f"... + {name}"] = sofar
    return {name: (skvae.MultVAERecommender, parameters) for name, parameters in table.items()} | {
        "RecVAE trained together": (skvae.RecVAERecommender, {"n_encoder_passes": 0, "learning_rate": 1e-3}),
        "RecVAE not averaged": (skvae.RecVAERecommender, {"averaging_epochs": 0}),
        "RecVAE": (skvae.RecVAERecommender, {}),
    }


def main():
    table = models()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=("msweb", "anime"), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    parser.add_argument("--max-iter", type=int, default=100, metavar="N")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--models", type=lambda text: text.split(","), default=list(table), metavar="A,B")
    args = parser.parse_args()
    print(f"{datetime.date.today()}, {os.cpu_count()} x {platform.machine()}, {args.seeds} seed(s)\n")
    print(f"| data | model | best epoch | CPU seconds an epoch | {METRIC} | above Mult-VAE |")
    print("|---|---|---|---|---|---|")
    for name in args.names:
        splits = [skvae.strong_generalization_split(load(name), random_state=seed) for seed in range(args.seeds)]
        floor = None
        for model in args.models:
            kind, parameters = table[model]
            parameters = parameters | {"max_iter": args.max_iter, "precision": args.precision}
            runs = [measure(kind(random_state=seed, **parameters), split) for seed, split in enumerate(splits)]
            evaluations = [evaluation for evaluation, _, _ in runs]
            floor = floor or evaluations
            epoch, seconds = np.mean([run[1:] for run in runs], axis=0)
            difference = average([ours - theirs for ours, theirs in zip(evaluations, floor, strict=True)])
            cells = [name, model, f"{epoch:.0f}", f"{seconds:.2f}", average(evaluations), difference]
            print(f"| {' | '.join(cells)} |", flush=True)


def measure(model, split):
    """Evaluation on the test users, best epoch, and CPU seconds an epoch, validation included."""
    begin = time.process_time()
    model.fit(split.train, X_val=split.validation)
    seconds = (time.process_time() - begin) / model.n_iter_
    return skvae.evaluate(model, split.test, METRIC), model.best_iter_, seconds


def average(evaluations):
    """Mean over the splits, and its standard error from those over the users of each."""
    means, errors = (np.array([getattr(e, part)[METRIC] for e in evaluations]) for part in ("mean", "standard_error"))
    return f"{means.mean():.4f} +- {np.sqrt((errors**2).mean() / len(errors)):.4f}"


if __name__ == "__main__":
    main()
