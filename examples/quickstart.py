"""From interactions to a tuned, tested and saved recommender.

``python examples/quickstart.py`` runs on MovieLens small, ``--data FILE`` on your own
interactions: a CSV, CSV.gz or Parquet file with the columns user and item, and optionally
rating. A CSV file is UTF-8, names its columns in the first line, and has commas,
semicolons, tabs or bars between them.
"""

import argparse
import csv
import gzip
import os
import time
import zlib
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from matplotlib.figure import Figure
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import skvae
from skvae.datasets import load_movielens_small
from skvae.model_selection import MIN_INTERACTIONS, count_interactions

LIKED_MOVIES = ["Toy Story (1995)", "Aladdin (1992)", "Lion King, The (1994)"]
MIN_USERS = 50  # a tenth of them are test users, and a standard error needs five
COLUMNS = ("user", "item", "rating")  # the first two are needed
LONGEST_HEADER = 100_000  # characters: csv reads no value much longer
DELIMITERS = ",;\t|"
METRICS = ("ndcg@100", "recall@20", "recall@50")

# Smaller networks and a higher learning rate than the paper's, for a few hundred users
# instead of its 100 000. early_stopping=False: all epochs run, those of a search without
# validation users.
SHARED = {
    "n_components": 100,
    "learning_rate": 3e-3,
    "batch_size": 50,
    "early_stopping": False,
    "random_state": 0,
}
VAE_GRID = {"anneal_cap": [0.2, 0.5, 1.0], "dropout": [0.5, 0.7]}
DAE_GRID = {"dropout": [0.3, 0.5, 0.7], "l2_regularization": [2e-5, 2e-4]}
MODELS = {
    "Mult-VAE": (skvae.MultVAERecommender(hidden_layer_sizes=(200,), **SHARED), VAE_GRID),
    "Mult-DAE": (skvae.MultDAERecommender(**SHARED), DAE_GRID),
}


def main(argv=None):
    start = time.perf_counter()
    parser = make_parser()
    args = parser.parse_args(argv)
    if min(args.max_iter, args.jobs) < 1:
        parser.error(
            "--max-iter and --jobs must be at least 1, got "
            f"{args.max_iter} and {args.jobs}."
        )
    is_movielens = args.data is None
    if is_movielens and args.min_rating is not None:
        parser.error(
            "--min-rating goes with --data: MovieLens counts ratings of at least 4."
        )
    if args.min_rating is not None and not np.isfinite(args.min_rating):
        parser.error(f"--min-rating must be a number, got {args.min_rating}.")
    try:
        ratings, item_names = (
            read_movielens()
            if is_movielens
            else (read_table(args.data), lambda ids: [*map(str, ids)])
        )
        X, item_ids = user_item_matrix(
            ratings, 4 if is_movielens else args.min_rating, args.data
        )
        train, validation, test, kept = split_users(X, is_movielens, args.data)
        args.output.mkdir(parents=True, exist_ok=True)
    except (DataError, OSError) as error:
        parser.error(str(error))
    names = item_names(item_ids[kept])
    print(
        f"{train.shape[0]} training, {validation.shape[0]} validation, "
        f"{test.shape[0]} test users, {len(names)} items"
    )

    popularity = skvae.PopularityRecommender().fit(train)
    models = {name: tune_and_fit(name, train, validation, args) for name in MODELS}
    print_results(popularity, models, test)

    name, best = max(models.items(), key=lambda pair: pair[1].best_validation_score_)
    most_popular = np.argsort(-popularity.item_counts_, kind="stable")
    liked = (
        [names.index(movie) for movie in LIKED_MOVIES]
        if is_movielens
        else most_popular[:3]
    )
    print_recommendations(name, best, liked, names)
    save_and_load(best, args.output / "model.skvae", test)
    plot_validation(models, popularity.score(validation), args.output / "quickstart.png")
    print(f"demo took {time.perf_counter() - start:.0f} s")


def make_parser():
    parser = argparse.ArgumentParser(
        description="Tune, test and save recommenders on MovieLens or on your own data."
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="CSV, CSV.gz or Parquet: user, item[, rating]",
    )
    parser.add_argument(
        "--min-rating",
        type=float,
        metavar="R",
        help="with --data: count ratings of at least R",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("demo-output"),
        metavar="DIR",
        help="default: demo-output",
    )
    parser.add_argument(
        "--max-iter", type=int, default=30, metavar="N", help="epochs per fit, default 30"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=2,
        metavar="N",
        help="processes of a search, default 2",
    )
    return parser


class DataError(Exception):
    """What is wrong with the user's file, in one sentence."""


def read_movielens():
    """Ratings, and a function from movie ids to titles."""
    movielens = load_movielens_small()
    return movielens.ratings, lambda ids: movielens.movies.loc[ids, "title"].tolist()


def read_table(path):
    """The columns user and item of a file, and rating where it has one."""
    readers = dict.fromkeys((".csv", ".csv.gz"), read_csv) | {".parquet": read_parquet}
    ending = next(
        (ending for ending in readers if path.name.lower().endswith(ending)), None
    )
    if not path.is_file():
        raise DataError(f"{path} not found: --data needs the path of a file.")
    if ending is None:
        raise DataError(f"{path} has an unknown extension: use {', '.join(readers)}.")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty: it needs the columns user and item.")
    return readers[ending](path)


def read_parquet(path):
    try:
        table = pd.read_parquet(path)
    except Exception as error:  # of a damaged file: whatever the reader meets first
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(
            f"{path} cannot be read: {reason}. Is it a whole Parquet file?"
        ) from error
    places = column_places([*map(str, table.columns)], path)
    return table.iloc[:, [*places.values()]].set_axis([*places], axis="columns")


def read_csv(path):
    """Values stay the text that they are: 007 is not 7, and NA may be an item."""
    open_file = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        # bytes that are no UTF-8 are kept as surrogates, so that the line they are in can
        # be named
        with open_file(
            path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=""
        ) as file:
            return pd.DataFrame(read_lines(file, path))
    except (OSError, EOFError, zlib.error) as error:
        remedy = (
            "Is it a whole gzip file? Fetch or compress it again."
            if open_file is gzip.open
            else "Can you open it?"
        )
        raise DataError(f"{path} cannot be read: {error}. {remedy}") from error


def read_lines(file, path):
    """Column name -> values, of the lines of a CSV file."""
    lines = enumerate(file, 1)
    header_line, header = next(
        ((number, line) for number, line in lines if line.strip()), (1, "")
    )
    check_utf8(header, header_line, path)
    if not header:
        raise DataError(f"{path} is empty: it needs the columns user and item.")
    # one that finds both columns, or else the most columns, for the error
    delimiter = max(
        DELIMITERS, key=lambda delimiter: count_columns(column_names(header, delimiter))
    )
    names = column_names(header, delimiter)
    places = column_places(names, path)
    columns = {name: [] for name in places}
    rows = csv.reader(
        file, delimiter=delimiter, strict=True, skipinitialspace=f"{delimiter} " in header
    )
    number = header_line + 1  # where a row begins: quoted, it can have several lines
    try:
        for row in rows:
            if any(map(str.strip, row)):  # not a blank line, nor one of delimiters alone
                # more values are fine where they are empty, as at the end of lines that
                # end with a comma
                if len(row) < len(names) or any(map(str.strip, row[len(names) :])):
                    raise DataError(
                        f"{path} cannot be used: line {number} has {len(row)} values, "
                        f"and the first line names {len(names)} columns. Mend the line; "
                        f"a value with {delimiter!r} in it stands in quotes."
                    )
                for name, place in places.items():
                    check_utf8(row[place], number, path)
                    columns[name].append(row[place] if row[place].strip() else None)
            number = header_line + rows.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path} cannot be read: line {number}: {error}. Is a quote not closed there?"
        ) from error
    return columns


def column_names(header, delimiter):
    header = header[:LONGEST_HEADER]
    names = [
        name.strip()
        for name in next(csv.reader([header], delimiter=delimiter, skipinitialspace=True))
    ]
    while names and not names[-1]:  # a line that ends with the delimiter
        names.pop()
    return names


def count_columns(names):
    """How many of user and item are there, and how many columns."""
    return len(set(COLUMNS[:2]) & {name.lower() for name in names}), len(names)


def column_places(names, path):
    """Where the columns user, item and rating are; upper and lower case are the same."""
    lower = [name.strip().lower() for name in names]
    for name in COLUMNS:
        if lower.count(name) > 1:
            raise DataError(
                f"{path} has {lower.count(name)} columns {name!r}: rename all but one."
            )
    for name in COLUMNS[:2]:
        if name not in lower:
            raise DataError(
                f"{path} has no column {name!r}, its columns are: "
                f"{', '.join(names)[:200]}. Name them user and item, and rating if there "
                "is one; of a CSV file in its first line."
            )
    return {name: lower.index(name) for name in COLUMNS if name in lower}


def check_utf8(text, number, path):
    if not text.isascii() and any(
        "\udc80" <= character <= "\udcff" for character in text
    ):
        shown = text.strip()[:40].encode(errors="surrogateescape")
        raise DataError(
            f"{path} cannot be read: line {number} is no UTF-8 text "
            f"({shown!r}). Save it as CSV in UTF-8."
        )


def user_item_matrix(table, min_rating=None, path=None):
    """Users x items CSR matrix of ones, and the item id of each column.

    Users with fewer than 5 items are left out.
    Ratings of at least min_rating count, as those of 4 do in the paper.
    """
    if not len(table):
        raise DataError(f"{path} has no rows: it needs one for each user and item.")
    for column in ("user", "item"):
        n_missing = table[column].isna().sum()
        if n_missing:
            raise DataError(
                f"{path} cannot be used: {n_missing} of {len(table)} events have "
                f"no value in column {column!r}. "
                "Fill or drop them."
            )
        if isinstance(table[column].iloc[0], (list, np.ndarray)):
            raise DataError(
                f"{path} cannot be used: column {column!r} holds lists. "
                "Make a row of each of their elements, as with DataFrame.explode."
            )
    if min_rating is not None:
        table = table[find_ratings(table, path) >= min_rating]
    encoder = skvae.InteractionEncoder(min_user_interactions=MIN_INTERACTIONS)
    try:
        if (
            table.groupby("user", observed=True)["item"].nunique().max()
            >= MIN_INTERACTIONS
        ):
            return encoder.fit_transform(table[["user", "item"]]), encoder.item_ids_
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} cannot be used: {error}") from error
    rated = (
        ""
        if min_rating is None
        else f" with a rating of at least {min_rating:g}: lower --min-rating"
    )
    raise DataError(
        f"{path} cannot be used: no user has {MIN_INTERACTIONS} different items{rated}."
    )


def find_ratings(table, path):
    if "rating" not in table:
        raise DataError(
            f"{path} has no column 'rating', its columns are: "
            f"{', '.join(table.columns)}. --min-rating needs it."
        )
    if pd.api.types.is_datetime64_any_dtype(table["rating"]):
        raise DataError(f"{path} cannot be used: column 'rating' holds dates.")
    ratings = pd.to_numeric(table["rating"], errors="coerce").astype(float)
    wrong = table["rating"][~np.isfinite(ratings)]
    if len(wrong):
        shown = "nothing" if pd.isna(wrong.iloc[0]) else repr(wrong.iloc[0])
        raise DataError(
            f"{path} cannot be used: column 'rating' holds {shown}, and "
            f"{len(wrong)} of {len(table)} values "
            "are no number. --min-rating needs numbers, with a point and not a comma."
        )
    return ratings


def split_users(X, is_movielens, path=None):
    """Training, validation and test users; no fit and no search sees test users."""
    if X.shape[0] < MIN_USERS:
        raise DataError(
            f"{path} cannot be used: {X.shape[0]} users have at least "
            f"{MIN_INTERACTIONS} items each: {MIN_USERS} are needed."
        )
    validation_size, test_size = (60, 80) if is_movielens else (0.1, 0.1)
    split = skvae.strong_generalization_split(
        X, validation_size=validation_size, test_size=test_size
    )
    if any(
        (count_interactions(users) >= MIN_INTERACTIONS).sum() < 2
        for users in (split.validation, split.test)
    ):
        raise DataError(
            f"{path} cannot be used: validation or test users share too few items "
            "with the training users to be "
            "scored. More users are needed, or items that several of them have."
        )
    return split


def tune_and_fit(name, train, validation, args):
    """Search over the training users, then fit the best candidate.

    The epoch that is best on the validation users is kept.
    """
    model, grid = (
        clone(MODELS[name][0]).set_params(max_iter=args.max_iter),
        MODELS[name][1],
    )
    folds = skvae.UserKFold(n_splits=3)
    search = GridSearchCV(
        model, grid, cv=folds, scoring=skvae.ndcg_scorer, n_jobs=args.jobs, refit=False
    )
    print(f"\n{name}: searching {grid}", flush=True)
    show_progress(search)
    # one thread per process: networks this small do not gain from more
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        search.fit(train)
    model.set_params(**search.best_params_).fit(train, X_val=validation)
    # a search keeps all columns: a few hidden items, which no training user has, cannot
    # be hit
    print(
        f"best: {search.best_params_}, cross-validated NDCG@100 {search.best_score_:.3f}"
    )
    print(
        f"kept epoch {model.best_iter_} of {model.n_iter_}, "
        f"validation NDCG@100 {model.best_validation_score_:.3f}"
    )
    return model


def show_progress(search):
    """A progress bar with scikit-learn 1.9 and rich, a line with an older one."""
    try:
        from sklearn.callback import ProgressBar

        # 0: the bar of the search alone, not one of each fit
        search.set_callbacks(ProgressBar(max_propagation_depth=0))
    except ImportError:
        search.set_params(verbose=1)


def print_results(popularity, models, test):
    floor = skvae.evaluate(popularity, test, METRICS)
    evaluations = {
        name: skvae.evaluate(model, test, METRICS) for name, model in models.items()
    }
    # the difference user by user: users who are easy for both models do not blur it
    differences = {
        f"{name} - popularity": evaluation - floor
        for name, evaluation in evaluations.items()
    }
    print(
        f"\nMean and standard error over {floor.n_users} test users, "
        "whom neither search nor fit has seen:"
    )
    print(" " * 24 + "".join(f"{metric:<18}" for metric in METRICS).rstrip())
    for name, evaluation in {"popularity": floor, **evaluations, **differences}.items():
        mean, error = evaluation.mean, evaluation.standard_error
        print(
            f"{name:<22}"
            + "".join(
                f"  {mean[metric]:.4f} +- {error[metric]:.4f}" for metric in METRICS
            )
        )
    for name, difference in differences.items():
        mean, error = difference.mean["ndcg@100"], difference.standard_error["ndcg@100"]
        print(
            f"{name}: ndcg@100 is {'' if mean > 2 * error else 'not '}"
            "more than two standard errors above 0"
        )


def print_recommendations(name, model, liked, names):
    """Ten items for a visitor who likes a few: a new row is all it takes."""
    visitor = sp.csr_array(
        (np.ones(len(liked), np.float32), (np.zeros_like(liked), liked)),
        shape=(1, len(names)),
    )
    items, _ = model.recommend(visitor, k=10)
    print(
        f"\nA new visitor likes {'; '.join(names[item] for item in liked)}. "
        f"{name} recommends:"
    )
    for rank, item in enumerate(items[0][items[0] >= 0], 1):
        print(f"{rank:3d}. {names[item]}")


def save_and_load(model, path, X):
    skvae.save(model, path)
    loaded = skvae.load(path)
    pairs = zip(model.recommend(X), loaded.recommend(X), strict=True)
    if not all(np.array_equal(before, after) for before, after in pairs):
        raise SystemExit(
            f"The model loaded from {path} recommends other items than the one saved."
        )
    print(f"\n{path}: the loaded model recommends the same items with the same scores")


def plot_validation(models, floor, path):
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for name, model in models.items():
        scores = model.validation_scores_
        (line,) = axes.plot(
            range(1, len(scores) + 1),
            scores,
            label=f"{name}, best at epoch {model.best_iter_}",
        )
        axes.plot(
            model.best_iter_,
            model.best_validation_score_,
            "o",
            color=line.get_color(),
            markersize=8,
        )
    axes.axhline(floor, color="0.4", linestyle="--", label="popularity")
    axes.set(
        xlabel="epoch",
        ylabel="NDCG@100 of the validation users",
        title="Validation score by epoch",
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    write_whole(path, lambda part: figure.savefig(part, format="png", dpi=150))
    print(f"{path}: validation NDCG@100 by epoch")


def write_whole(path, write):
    """Write beside the path and rename: whoever reads the file never sees half of it."""
    part = path.with_name(path.name + ".part")
    write(part)
    os.replace(part, path)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
