"""What the steps from Mult-VAE as published to RecVAE are worth, each alone, and a few parameters.

``python benchmarks/ablation.py [NAME ...] [--seeds N] [--models A,B] [--max-iter N] [--jobs N] [--device D]
[--results DIR]``. Data and protocol are those of accuracy.py: strong generalization, a split a seed, the best epoch
kept on the validation users, NDCG@100 on the test users, and the paired difference from the plain Mult-VAE (for a
Mult-DAE from the plain one); +- is the standard error over users and splits. The target is the whole row but for "of
what was dropped". DIR gets NAME.json and ablation.md; what is on record is not run again.
"""

import argparse
import time
from pathlib import Path

import harness
import joblib
import numpy as np
from accuracy import mean_and_error, pooled
from real_data import load

import skvae

METRIC = "ndcg@100"
PLAIN = "Mult-VAE"
PLAIN_DAE = "Mult-DAE"
PUBLISHED = {"averaging_epochs": 0, "initialization": "xavier", "learning_rate": 1e-3, "anneal_cap": 0.2}


def models():
    """Name -> (class, parameters)."""
    steps = {
        "as published": PUBLISHED,
        "from Xavier's weights": {"initialization": "xavier"},
        "with anneal cap .2": {"anneal_cap": 0.2},
        "with KL weight per user": {"kl_weighting": "per_user", "anneal_cap": 0.005, "total_anneal_steps": 0},
        "with dropout .7 and L2": {"dropout": 0.7, "l2_regularization": 2e-5},
        **{f"with batches of {n}": {"batch_size": n} for n in (200, 500)},
        "with swish": {"activation": "swish"},
        "with a linear decoder": {"decoder_hidden_layer_sizes": ()},
        "in bfloat16": {"precision": "bfloat16"},
        "of what was dropped": {"target": "dropped"},
    }
    steps_of_dae = {name: steps[name] for name in ("from Xavier's weights", "in bfloat16", "of what was dropped")}
    steps_of_dae |= {"with dropout .3": {"dropout": 0.3}}
    steps_of_dae |= {f"with {n} components": {"n_components": n} for n in (500, 1000)}
    return {
        PLAIN: (skvae.MultVAERecommender, {}),
        **{f"{PLAIN} {name}": (skvae.MultVAERecommender, step) for name, step in steps.items()},
        PLAIN_DAE: (skvae.MultDAERecommender, {}),
        **{f"{PLAIN_DAE} {name}": (skvae.MultDAERecommender, step) for name, step in steps_of_dae.items()},
        "RecVAE": (skvae.RecVAERecommender, {}),
    }


def main():
    table = models()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=("msweb", "anime"), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    parser.add_argument("--models", type=lambda text: text.split(","), default=list(table), metavar="A,B")
    parser.add_argument("--max-iter", type=int, default=200, metavar="N")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="fits side by side, a thread each")
    parser.add_argument("--device", default="auto", help="a torch device")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "ablation", metavar="DIR")
    args = parser.parse_args()
    run(args, table)
    harness.show(f"# From Mult-VAE to RecVAE\n\n{tables(args.results)}", args.results / "ablation.md")


def run(args, table):
    records = {name: harness.Record(args.results / name) for name in args.names}
    matrices = {name: load(name) for name in args.names}
    common = {"max_iter": args.max_iter, "device": args.device}
    tasks = (
        joblib.delayed(fit)(
            *table[model], common | {"random_state": seed}, matrices[name], (name, f"{model}, split {seed}")
        )
        for seed in range(args.seeds)
        for model in args.models
        for name in args.names
        if f"{model}, split {seed}" not in records[name]
    )
    harness.fit_all(tasks, records, args.jobs)


def fit(kind, parameters, common, X, key):
    """Evaluation on the test users, the best epoch, and seconds an epoch, validation included."""
    split = skvae.strong_generalization_split(X, random_state=common["random_state"])
    start = time.perf_counter()
    model = kind(**(common | parameters)).fit(split.train, X_val=split.validation)
    seconds = (time.perf_counter() - start) / model.n_iter_
    per_user = skvae.evaluate(model, split.test, METRIC).per_user[METRIC]
    result = {METRIC: mean_and_error(per_user), "epochs": model.best_iter_, "seconds": seconds}
    return key, result | {"device": common["device"]}, per_user


def tables(results):
    header = ["data", "model", "best epoch", METRIC, "above the plain", "splits"]
    rows = []
    for path in sorted(results.glob("*.json")):
        record = harness.Record(path)
        for model in dict.fromkeys(key.rpartition(", split ")[0] for key in record.runs):
            plain = PLAIN_DAE if model.startswith(PLAIN_DAE) else PLAIN
            seeds = [key.rpartition(" ")[2] for key in record.runs if key.startswith(f"{model}, split ")]
            runs, floors = ([f"{m}, split {seed}" for seed in seeds] for m in (model, plain))
            known = model != plain and all(key in record for key in (*runs, *floors))
            differences = (
                [record.per_user[a] - record.per_user[b] for a, b in zip(runs, floors, strict=True)] if known else []
            )
            own = [record.runs[key] for key in runs]
            epochs = np.mean([run["epochs"] for run in own])
            above = pooled([mean_and_error(d) for d in differences]) if differences else ""
            row = [path.stem, model, f"{epochs:.0f}", pooled([run[METRIC] for run in own]), above]
            rows.append([*row, len(seeds)])
    return harness.markdown_table(header, rows)


if __name__ == "__main__":
    main()
