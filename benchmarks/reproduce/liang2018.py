"""Mult-VAE and Mult-DAE on ML-20M, Netflix and MSD, split as in the authors' notebook.

``python benchmarks/reproduce/liang2018.py {ml-20m,netflix,msd} FOLDER [--model M] [--max-iter N] [--results DIR]``

Liang, Krishnan, Hoffman, Jebara, "Variational Autoencoders for Collaborative Filtering", WWW 2018, section 4. FOLDER
holds the official files, as README.md says. Users are permuted with the notebook's seed and items hidden with its
draws: for the same rows, the split is the notebook's to the last interaction. On ML-20M popularity must score what is
known of it before any model is trained. What is finished stays in DIR: a run that was cut off goes on from there.
"""

import argparse
import json
import re
import sys
import time
from collections import namedtuple
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.base import clone

sys.path.append(str(Path(__file__).resolve().parents[1]))
import harness

import skvae
from skvae.datasets import fetch_million_song_taste_profile, fetch_movielens

SEED = 98765
MIN_ROWS_TO_HIDE, HIDDEN_SHARE = 5, 0.2
METRICS = ("recall@20", "recall@50", "ndcg@100")
POPULARITY_TOLERANCE = 0.001

N_TEST_USERS = {"ml-20m": 10_000, "netflix": 40_000, "msd": 50_000}  # and as many validation users
MIN_COUNTS = {"ml-20m": (5, 0), "netflix": (5, 0), "msd": (20, 200)}  # items of a user, users of an item
EPOCHS = {"ml-20m": 200, "netflix": 100, "msd": 100}  # section 4.3
# of the rows that the filters leave
COUNTS = {"ml-20m": {"users": 136_677, "items": 20_720, "interactions": 9_990_682}}
# in the order of METRICS: table 2 of the paper; popularity as in google-research/ials
PUBLISHED = {
    "ml-20m": {
        "popularity": (0.162, 0.235, 0.191),
        "mult-dae": (0.387, 0.524, 0.419),
        "mult-vae": (0.395, 0.537, 0.426),
    },
    "netflix": {"mult-dae": (0.344, 0.438, 0.380), "mult-vae": (0.351, 0.444, 0.386)},
    "msd": {"mult-dae": (0.266, 0.363, 0.313), "mult-vae": (0.266, 0.364, 0.316)},
}
# early_stopping=False: all epochs run, the best on the validation users is kept
TRAINING = {
    "batch_size": 500,
    "learning_rate": 1e-3,
    "averaging_epochs": 0,
    "target": "all",
    "initialization": "xavier",
    "early_stopping": False,
    "random_state": 0,
    "verbose": 1,
}
MODELS = {
    "popularity": skvae.PopularityRecommender(),
    "mult-dae": skvae.MultDAERecommender(200, l2_regularization=0.01 / 500, **TRAINING),
    "mult-vae": skvae.MultVAERecommender(
        200, hidden_layer_sizes=(600,), anneal_cap=0.2, total_anneal_steps=200_000, **TRAINING
    ),
}


class DataError(ValueError):
    """What is wrong with the user's files, in one sentence."""


# CSR matrices of ones; a user has one row in fold-in and held-out
Split = namedtuple("Split", "train validation_fold_in validation_held_out test_fold_in test_held_out")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", choices=N_TEST_USERS)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="holds the official files")
    default = harness.RESULTS / "liang2018"
    parser.add_argument("--results", type=Path, default=default, metavar="DIR", help="results and matrices")
    parser.add_argument("--model", default="all", choices=["mult-vae", "mult-dae", "all"])
    parser.add_argument("--max-iter", type=int, metavar="N", help="epochs; default: the paper's 200, 100 or 100")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    args = parser.parse_args(argv)
    if args.max_iter is not None and args.max_iter < 1:
        parser.error(f"--max-iter must be at least 1, got {args.max_iter}.")
    try:
        args.results.mkdir(parents=True, exist_ok=True)
        split = load_split(args.data, args.folder, args.results)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print("{} training users, {} items, {} interactions".format(*split.train.shape, split.train.nnz), flush=True)
    chosen = [name for name in MODELS if name == "popularity" or args.model in (name, "all")]
    report = tables(args.data, {name: finished(name, split, args) for name in chosen})
    harness.show(report, args.results / f"{args.data}.md")


def read_movielens(folder):
    movielens = fetch_movielens("20m", path=folder)
    users, items = (movielens.data > 3.5).nonzero()
    return movielens.user_ids[users], movielens.item_ids[items]


def read_netflix(folder):
    """combined_data_1.txt to _4.txt of Kaggle, or the mv_*.txt of the original archive."""
    paths = sorted((folder / "training_set").glob("mv_*.txt"))
    paths = paths or [folder / f"combined_data_{part}.txt" for part in range(1, 5)]
    return map(np.concatenate, zip(*map(read_netflix_file, paths), strict=True))


def read_netflix_file(path):
    """Blocks of a line "movie:" and its lines "user,rating,date"."""
    options = {"names": ["user", "rating", "date"], "dtype": {"user": "category", "rating": np.float32}}
    table = read_table(path, "a movie and a colon, as in 1:", r"\d+:", usecols=[0, 1], **options)
    ids, codes = table["user"].cat.categories, table["user"].cat.codes.to_numpy()
    if not ids.str.fullmatch(r"\d+:?").all():
        raise DataError(f"{path} has a user or movie that is not a number.")
    is_movie = np.asarray(ids.str.endswith(":"), bool)[codes]
    numbers = ids.str.removesuffix(":").astype(np.int32).to_numpy()[codes]
    movies = numbers[is_movie][np.cumsum(is_movie, dtype=np.int32) - 1]
    liked = ~is_movie & (table["rating"].to_numpy() >= 4)
    return numbers[liked], movies[liked]


def read_msd(folder):
    return fetch_million_song_taste_profile(path=folder).data.nonzero()


def read_table(path, first_line, pattern, **options):
    if not path.is_file():
        raise DataError(f"{path} not found: FOLDER must hold the official files.")
    with path.open(encoding="utf-8", errors="replace") as file:
        line = file.readline().rstrip()
    if not re.fullmatch(pattern, line):
        raise DataError(f"{path} must begin with the line {first_line}; it begins with {line[:80]!r}.")
    try:
        return pd.read_csv(path, keep_default_na=False, na_values={"rating": [""]}, **options)
    except ValueError as error:
        raise DataError(f"{path} cannot be read: {str(error).strip().partition(chr(10))[0]}") from error


# User and item of each row that counts; numbers of users are in the order of their ids. Rows are in the order of users
# and items, as in the official ratings.csv; those of Netflix in that of its files.
READERS = {"ml-20m": read_movielens, "netflix": read_netflix, "msd": read_msd}


def load_split(name, folder, results):
    """From the cache in results, or made from the files; only what passes the checks is cached."""
    path, n_test = results / f"{name}.npz", N_TEST_USERS[name]
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder.")
    if path.exists():
        X = sp.load_npz(path)
        cuts = [0, *range(X.shape[0] - 4 * n_test, X.shape[0] + 1, n_test)]
        return Split(*(X[first:last] for first, last in pairwise(cuts)))
    users, items = filter_by_count(*READERS[name](folder), *MIN_COUNTS[name])
    check_counts(name, users, items)
    split = split_users(users, items, n_test)
    check_popularity(name, split)
    with harness.replacing(path) as part, part.open("wb") as file:
        sp.save_npz(file, sp.vstack(split, format="csr"), compressed=False)
    return split


def filter_by_count(users, items, min_items, min_users):
    """Items first, then users: some items may end up with fewer users than asked for."""
    kept = np.bincount(items)[items] >= min_users
    users, items = users[kept], items[kept]
    kept = np.bincount(users)[users] >= min_items
    return users[kept], items[kept]


def split_users(users, items, n_test):
    user_ids = np.flatnonzero(np.bincount(users))
    n_train = len(user_ids) - 2 * n_test
    if n_train < 1:
        raise DataError(f"{len(user_ids)} users are left: {2 * n_test} are for validation and test alone.")
    user_ids = user_ids[np.random.RandomState(SEED).permutation(len(user_ids))]
    rows = pd.Index(user_ids).get_indexer(users)
    is_train = rows < n_train
    item_ids = pd.unique(items[is_train])  # in the order of their first appearance
    columns = pd.Index(item_ids).get_indexer(items)  # -1: no training user has it
    parts = [ones(rows[is_train], columns[is_train], (n_train, len(item_ids)))]
    for first in (n_train, n_train + n_test):
        kept = (rows >= first) & (rows < first + n_test) & (columns >= 0)
        hidden, pairs = hidden_rows(users[kept]), np.stack([rows[kept] - first, columns[kept]])
        parts += [ones(*pairs[:, part], (n_test, len(item_ids))) for part in (~hidden, hidden)]
    return Split(*parts)


def hidden_rows(users):
    """Which rows to hold out, bool: of each user with at least 5 a fifth, drawn in the order of the users' ids."""
    draws = np.random.RandomState(SEED)
    order = np.argsort(users, kind="stable")
    _, starts, counts = np.unique(users[order], return_index=True, return_counts=True)
    hidden = np.zeros(len(users), bool)
    for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
        if count >= MIN_ROWS_TO_HIDE:
            chosen = draws.choice(count, size=int(HIDDEN_SHARE * count), replace=False)
            hidden[order[start + chosen]] = True
    return hidden


def ones(rows, columns, shape):
    X = sp.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    X.data[:] = 1  # a pair listed twice counts once
    return X


def check_counts(name, users, items):
    found = {"users": len(np.unique(users)), "items": len(np.unique(items)), "interactions": len(users)}
    for what, expected in COUNTS.get(name, {}).items():
        if found[what] != expected:
            raise DataError(f"The files give {found[what]} {what}, {name} has {expected}: use the official files.")


def check_popularity(name, split):
    mean = evaluate(clone(MODELS["popularity"]).fit(split.train), split).mean
    for metric, known in zip(METRICS, PUBLISHED[name].get("popularity", ()), strict=False):
        if abs(mean[metric] - known) > POPULARITY_TOLERANCE:
            raise DataError(
                f"Popularity has {metric} {mean[metric]:.4f} on this split of {name}, where {known} is known: "
                "no model is trained on a split that differs from the paper's."
            )


def finished(name, split, args):
    """The result of a model: read where an earlier run has finished it, else trained and written."""
    settings = {} if name == "popularity" else {"max_iter": args.max_iter or EPOCHS[args.data]}
    settings |= {"precision": args.precision} if settings else {}
    path = args.results / f"{'-'.join(map(str, [args.data, name, *settings.values()]))}.json"
    if not path.exists():
        model = clone(MODELS[name]).set_params(**settings)
        validation = {"X_val": (split.validation_fold_in, split.validation_held_out)} if settings else {}
        start = time.perf_counter()
        model.fit(split.train, **validation)
        seconds = time.perf_counter() - start
        evaluation = evaluate(model, split)
        result = {"fit_seconds": seconds, "best_epoch": getattr(model, "best_iter_", None)}
        result |= {"mean": evaluation.mean, "standard_error": evaluation.standard_error, "n_users": evaluation.n_users}
        result |= {"by_activity": by_activity(split.test_fold_in, evaluation)}
        result |= {"parameters": model.get_params(), "skvae": skvae.__version__}
        harness.write(json.dumps(result, indent=1), path)
    return json.loads(path.read_text())


def evaluate(model, split):
    return skvae.evaluate(model, split.test_fold_in, METRICS, y=split.test_held_out)


def by_activity(fold_in, evaluation):
    """NDCG@100 in the quintiles of the fold-in sizes; users of one size share a quintile, empty ones are left out."""
    return [
        {
            "fold_in_items": [group.fewest, group.most],
            "n_users": group.evaluation.n_users,
            "mean": group.evaluation.mean["ndcg@100"],
            "standard_error": group.evaluation.standard_error["ndcg@100"],
        }
        for group in evaluation.by_activity(fold_in)
    ]


def tables(data, results):
    lines = [f"# {data}", "", "Mean +- standard error over the test users; in brackets what is published.", ""]
    lines += ["| model | Recall@20 | Recall@50 | NDCG@100 | best epoch | minutes |", "|---|---|---|---|---|---|"]
    for name, result in results.items():
        known = [f" ({value:.3f})" for value in PUBLISHED[data].get(name, ())] or [""] * len(METRICS)
        means, errors = result["mean"], result["standard_error"]
        cells = [f"{means[m]:.4f} +- {errors[m]:.4f}{value}" for m, value in zip(METRICS, known, strict=True)]
        cells += [str(result["best_epoch"] or ""), f"{result['fit_seconds'] / 60:.1f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "NDCG@100 in quintiles of the fold-in items of a user.", ""]
    lines += ["| model | fold-in items | users | NDCG@100 |", "|---|---|---|---|"]
    for name, result in results.items():
        for group in result["by_activity"]:
            cells = "{} to {} | {n_users} | {mean:.4f} +- {standard_error:.4f}".format(*group["fold_in_items"], **group)
            lines.append(f"| {name} | {cells} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
