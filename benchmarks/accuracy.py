"""NDCG@100 of skvae's recommenders and of other libraries' on real data, over several splits of the users.

``python benchmarks/accuracy.py [NAME ...] [--seeds N] [--models MODEL ...] [--limit SECONDS] [--results DIR]
[--environments DIR]``. Data are read from the folder SKVAE_DATA, by default ../shared/data, and MovieLens small from
examples/data. Strong generalization: 80 / 10 / 10 per cent of the users who have at least 5 interactions, items of
training users only, a split a seed; a fifth of the items of validation and test users is hidden. Everything is chosen
on the validation users: the epoch, the parameter of EASE^R, the weights of a blend, for the peers also the better of
their own defaults and the settings below, on the first split; LinearRecommender alone chooses on a fifth of the
training users, as its defaults do. The same code ranks and scores for everyone.

DIR gets NAME.json and accuracy.md; what NAME.json and NAME.npz (NDCG@100 of each test user) hold is not run again.
"""

import argparse
import functools
import time
from pathlib import Path

import harness
import numpy as np
from real_data import NAMES, load
from sklearn.model_selection import ParameterGrid

import skvae
from skvae.linear import NUMBERS
from skvae.metrics import ndcg_at_k, recall_at_k

BLENDS = {"Blend": ("Linear", "MultDAE", "MultVAE")}
OURS = ("popularity", "EASE", "Linear", "MultDAE", "MultVAE", *BLENDS)
COMPARED = ("EASE", "Linear", "Blend")  # with these everyone is compared user by user
EASE_L2 = (1.0, 5.0, 20.0, 50.0, 200.0, 500.0)
# peer -> runner and the settings of which the best on the validation users of the first split is taken
PAPER = {"irspack": {"dim_z": 200, "enc_hidden_dims": 600}, "cornac": {"k": 200, "autoencoder_structure": [600]}}
ALS = {"factors": [8, 32, 128, 256], "regularization": [1, 10, 30, 100], "alpha": [1, 5, 20]}
IALS = {"n_components": [32, 128], "alpha0": [0.03, 0.1, 0.3, 1.0], "reg": [0.001, 0.003, 0.01, 0.03]}
PEERS = {
    "implicit ALS": ("implicit", ALS),
    "implicit BM25": ("implicit", {"model": ["BM25"], "K": [20, 100, 500], "K1": [0.3, 1.2, 5.0], "B": [0.2, 0.75]}),
    "implicit cosine": ("implicit", {"model": ["cosine"], "K": [20, 100, 500]}),
    "irspack EDLAE": ("irspack", {"model": ["EDLAE"], "reg": [1, 20, 100, 400], "dropout_p": [0.1, 0.3, 0.5, 0.8]}),
    "irspack iALS": ("irspack", {"model": ["IALS"]} | IALS),
    "irspack MultVAE": ("irspack", [{}, PAPER["irspack"] | {"minibatch_size": 100}]),
    "Cornac VAECF": ("cornac", [{}, PAPER["cornac"] | {"batch_size": 100}]),
    "RecBole MultiVAE": (
        "recbole",
        [{"model": "MultiVAE"}, {"model": "MultiVAE", "latent_dimension": 400, "train_batch_size": 100}],
    ),
}
METRICS = {
    "ndcg@100": functools.partial(ndcg_at_k, k=100),
    "recall@20": functools.partial(recall_at_k, k=20),
    "recall@50": functools.partial(recall_at_k, k=50),
}
SHOWN = ("ndcg@100", "recall@20")  # in tables; the records have the others, seconds and epochs as well
PATIENCE = 20


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="splits, default 1")
    parser.add_argument("--models", nargs="*", default=OURS, metavar="MODEL", help=f"of {', '.join([*OURS, *PEERS])}")
    parser.add_argument("--limit", type=float, default=120, metavar="SECONDS", help="of the training of a peer")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "accuracy", metavar="DIR")
    parser.add_argument("--environments", type=Path, default=harness.ENVIRONMENTS, metavar="DIR")
    args = parser.parse_args()
    for name in args.names:
        measure(name, args)
    harness.show(f"# Accuracy\n\n{tables(args.results)}", args.results / "accuracy.md")


def measure(name, args):
    """Run what the record of a data set lacks, a file written after each model."""
    record = harness.Record(args.results / name)
    X = load(name)
    for seed in range(args.seeds):
        split = skvae.strong_generalization_split(X, random_state=seed)
        models = Models(split, seed)
        for model in args.models:
            key = f"{model}, split {seed}"
            if key in record:
                continue
            if model in PEERS:
                result, scores = run_peer(model, split, record, args)
            else:
                fitted, result = models[model]
                scores = skvae.evaluate(fitted, split.test, METRICS).per_user
            result |= {metric: mean_and_error(values) for metric, values in scores.items()}
            record.add(key, result | {"shape": split.train.shape}, scores["ndcg@100"])
            print(name, key, result, flush=True)


class Models(dict):
    """Name -> a recommender of ours, fitted when it is first asked for, and what to say of its fit."""

    def __init__(self, split, seed):
        self.split, self.seed = split, seed

    def __missing__(self, name):
        members_seconds = sum(self[member][1]["seconds"] for member in BLENDS.get(name, ()))
        start = time.perf_counter()
        fitted, about = self.fit(name)
        self[name] = fitted, about | {"seconds": members_seconds + time.perf_counter() - start}
        return self[name]

    def fit(self, name):
        train, validation = self.split.train, self.split.validation
        if name == "popularity":
            return skvae.PopularityRecommender().fit(train), {}
        if name == "EASE":
            candidates = [skvae.EASERecommender(l2_regularization=l2).fit(train) for l2 in EASE_L2]
            best = max(candidates, key=lambda ease: skvae.evaluate(ease, validation).mean["ndcg@100"])
            return best, {"parameters": {"l2_regularization": best.l2_regularization}}
        if name == "Linear":
            linear = skvae.LinearRecommender().fit(train)
            return linear, {"parameters": {number: getattr(linear, f"{number}_") for number in NUMBERS}}
        if name in BLENDS:
            # of the members of the rows above: those of BlendRecommender(), with the same X_val, are the same
            blend = skvae.BlendRecommender([(member, self[member][0]) for member in BLENDS[name]], prefit=True)
            weights = blend.fit(validation).weights_.round(3).tolist()
            return blend, {"parameters": dict(zip(BLENDS[name], weights, strict=True))}
        estimator = {"MultDAE": skvae.MultDAERecommender, "MultVAE": skvae.MultVAERecommender}[name]
        fitted = estimator(random_state=self.seed).fit(train, X_val=validation)
        return fitted, {"epochs": fitted.best_iter_, "beta": fitted.beta_curve_[-1]}


def run_peer(model, split, record, args):
    """A peer's fit with its best settings so far, those chosen on the first split, and its scores of the test users."""
    runner, grid = PEERS[model]
    candidates = ParameterGrid(grid) if isinstance(grid, dict) else grid
    python = harness.environment(runner, args.environments)
    chosen = record.about.setdefault("chosen", {})
    fold_in, held_out = skvae.fold_in_split(split.validation)
    test_fold_in, test_held_out = skvae.fold_in_split(split.test)
    matrices = {"fold_in": fold_in, "held_out": held_out, "test_fold_in": test_fold_in}
    with harness.saved(train=split.train, **matrices) as folder:
        runs = []
        for parameters in [chosen[model]] if model in chosen else candidates:
            request = {"parameters": parameters, "limit": args.limit, "patience": PATIENCE}
            curve = harness.run(runner, python, "curve", folder, **request)
            runs.append((max(curve["scores"]), parameters, curve, np.load(folder / "test_scores.npy")))
    _, parameters, curve, scores = max(runs, key=lambda run: run[0])
    chosen[model] = parameters
    scores[test_fold_in.nonzero()] = -np.inf
    items, _ = skvae.top_k(scores, 100)
    result = {"parameters": parameters, "epochs": int(np.argmax(curve["scores"])) + 1, "seconds": curve["seconds"][-1]}
    return result, {metric: at_k(test_held_out, items, per_user=True) for metric, at_k in METRICS.items()}


def mean_and_error(values):
    values = values[~np.isnan(values)]
    return [float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))]


def tables(results):
    """A table for each record in a folder."""
    parts = []
    for path in sorted(results.glob("*.json")):
        record = harness.Record(path)
        parts.append(table(path.stem, record.about["machine"], record.runs, record.per_user))
    return "\n".join(parts)


def table(name, machine, runs, per_user):
    models = sorted({key.rpartition(", split ")[0] for key in runs}, key=[*OURS, *PEERS].index)
    header = ["model", *SHOWN, *(f"above {other}" for other in COMPARED), "splits"]
    rows = []
    for model in models:
        seeds = [key.rpartition(" ")[2] for key in runs if key.startswith(f"{model}, split ")]
        own = [runs[f"{model}, split {seed}"] for seed in seeds]
        row = [model, *(pooled([run[metric] for run in own]) for metric in SHOWN)]
        for other in COMPARED:
            pairs = [(f"{model}, split {seed}", f"{other}, split {seed}") for seed in seeds]
            common = [(a, b) for a, b in pairs if a != b and a in per_user and b in per_user]
            row.append(pooled([mean_and_error(per_user[a] - per_user[b]) for a, b in common]) if common else "")
        rows.append([*row, len(seeds)])
    shape = next(iter(runs.values()))["shape"]
    title = f"## {name}, {shape[0]} training users x {shape[1]} items"
    about = f"{machine['date']}, {machine['processor']}, {machine['cores']} cores."
    return f"{title}\n\n{about}\n\n{harness.markdown_table(header, rows)}"


def over_splits(means_and_errors):
    """Mean over the splits, and its standard error from those over the users of each."""
    means, errors = np.array(means_and_errors).T
    return means.mean(), np.sqrt((errors**2).mean() / len(errors))


def pooled(means_and_errors):
    """`over_splits` as a cell."""
    mean, error = over_splits(means_and_errors)
    return f"{mean:.4f} +- {error:.4f}"


if __name__ == "__main__":
    main()
