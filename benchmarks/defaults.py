"""How near the untouched defaults come to the best of a grid, the published architecture in both.

``python benchmarks/defaults.py [NAME ...] [--models M,M] [--trials N] [--jobs N] [--device D] [--results DIR]``. Data
and split are those of accuracy.py: the model is trained on the training users, the epoch and the candidate are chosen
by NDCG@100 on the validation users, and the choice is shown on the test users too. --trials takes so many candidates
of the grid at random, as RandomizedSearchCV would. DIR gets NAME.json and defaults.md; what is on record is not run
again.
"""

import argparse
import time
from itertools import chain, zip_longest
from pathlib import Path

import harness
import joblib
from real_data import NAMES, load
from sklearn.model_selection import ParameterGrid, ParameterSampler

import skvae

METRIC = "ndcg@100"
MODELS = {"MultVAE": skvae.MultVAERecommender, "MultDAE": skvae.MultDAERecommender}
GRID = {
    "batch_size": [50, 100, 200, 500],
    "learning_rate": [5e-4, 1e-3, 2e-3, 5e-3],
    "dropout": [0.3, 0.5, 0.7],
    "l2_regularization": [0.0, 2e-5],
}
ANNEAL_CAPS = [0.02, 0.1, 0.2, 0.5]
DEFAULTS = {}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help=f"default {', '.join(NAMES)}")
    parser.add_argument("--models", type=lambda text: text.split(","), default=list(MODELS), metavar="M,M")
    parser.add_argument("--trials", type=int, metavar="N", help="candidates of each grid, default all")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="fits side by side, a thread each")
    parser.add_argument("--device", default="auto", help="a torch device")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "defaults", metavar="DIR")
    args = parser.parse_args()
    run(args)
    harness.show(f"# The defaults beside the best of a grid\n\n{tables(args.results)}", args.results / "defaults.md")


def run(args):
    """Fit what the records lack: the defaults of all first, then a candidate of each in turn."""
    records = {name: harness.Record(args.results / name) for name in args.names}
    splits = {name: skvae.strong_generalization_split(load(name), random_state=0) for name in args.names}
    rounds = zip_longest(*([(model, p) for p in (DEFAULTS, *candidates(model, args.trials))] for model in args.models))
    tasks = (
        joblib.delayed(fit)(model, parameters, splits[name], args.device, (name, f"{model} {parameters}"))
        for model, parameters in filter(None, chain.from_iterable(rounds))
        for name in args.names
        if f"{model} {parameters}" not in records[name].runs
    )
    harness.fit_all(tasks, records, args.jobs)


def candidates(model, n_trials):
    grid = GRID | ({"anneal_cap": ANNEAL_CAPS} if model == "MultVAE" else {})
    if n_trials is None or n_trials >= len(ParameterGrid(grid)):
        return list(ParameterGrid(grid))
    return list(ParameterSampler(grid, n_trials, random_state=0))


def fit(model, parameters, split, device, key):
    start = time.perf_counter()
    fitted = MODELS[model](random_state=0, device=device, **parameters)
    try:
        fitted.fit(split.train, X_val=split.validation)
    except ValueError as error:  # it diverged
        return key, {"model": model, "parameters": parameters, METRIC: [0.0, 0.0], "error": str(error)}
    seconds = time.perf_counter() - start
    result = {
        "model": model,
        "parameters": parameters,
        METRIC: [fitted.best_validation_score_, skvae.evaluate(fitted, split.test, METRIC).mean[METRIC]],
        "epochs": fitted.best_iter_,
        "seconds": seconds,
        "device": device,
    }
    return key, result


def tables(results):
    header = ["data", "model", "candidates", "defaults", "best of the grid", "defaults / best", "on test users", "best"]
    rows = []
    for path in sorted(results.glob("*.json")):
        runs = harness.Record(path).runs.values()
        for model in dict.fromkeys(run["model"] for run in runs):
            own = [run for run in runs if run["model"] == model]
            untouched = next((run for run in own if run["parameters"] == DEFAULTS), None)
            others = [run for run in own if run["parameters"] != DEFAULTS]
            if untouched is None or not others:
                continue
            best = max(others, key=lambda run: run[METRIC][0])
            row = [path.stem, model, len(others)]
            row += [f"{run[METRIC][0]:.4f}" for run in (untouched, best)]
            row += [f"{untouched[METRIC][i] / best[METRIC][i]:.3f}" for i in range(2)]
            rows.append([*row, ", ".join(f"{name}={value:g}" for name, value in best["parameters"].items())])
    return harness.markdown_table(header, rows)


if __name__ == "__main__":
    main()
