"""The best items of every user of a matrix on disk, as a folder of Parquet files.

    export OMP_NUM_THREADS=1
    python examples/recommend_to_parquet.py model.skvae interactions/ answers/ --jobs 8

with a file of skvae.save, of a model or of ``(encoder, model)``, and a folder of
skvae.save_interactions. The processes share one copy of both. A run that was cut short
goes on. Needs the extra ``tables``.

A file has -k items for each of some users in four columns: user, rank (from 1), item and
score. Without an encoder, users and items are rows and columns of the matrix. With one
they are ids, in columns named as in its tables. Only you know whose rows these are:
--users ids.npy is a file of numpy.save, of encoder.user_ids_ where fit_transform made
the whole matrix, else of encoder.user_ids_of(table) of each part, in their order. Texts
are saved as ids.astype(str). What the matrix does not
have may be recommended, ratings below the threshold of the encoder included: what
--exclude names, a matrix of the same users on disk, is left out as well. A file says
which model and matrix it is of: files of others are removed.
"""

import argparse
import os
from pathlib import Path

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import skvae


def main(arguments=None):
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("model", "interactions", "recommendations"):
        parser.add_argument(name, type=Path)
    for name, default in {"-k": 10, "--users-per-file": 100_000, "--jobs": 1}.items():
        parser.add_argument(name, type=int, default=default)
    parser.add_argument("--users", type=Path, metavar="FILE", help="ids of the rows")
    parser.add_argument("--exclude", type=Path, metavar="FOLDER", help="what not to give")
    args = parser.parse_args(arguments)
    if min(args.k, args.users_per_file) < 1 or args.jobs == 0:
        parser.error("-k and --users-per-file are 1 or more, and --jobs is not 0")
    try:
        X, excluded, _, user_ids, _, model = opened(args)
        if user_ids is not None and len(user_ids.unique()) < len(user_ids):
            raise SystemExit(f"{args.users} has an id twice: a user has one row.")
        recommended(args, model, X, excluded, slice(1))  # what does not fit is found here
        args.recommendations.mkdir(exist_ok=True)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    sources = [args.model, args.interactions / "meta.json"]
    sources += [args.exclude / "meta.json"] if args.exclude else []
    sources += [args.users] if args.users else []
    written = [path.stat().st_mtime_ns for path in sources]
    about = f"{vars(args) | {'recommendations': None, 'jobs': None}} {written}"
    for path in args.recommendations.glob(f"{'[0-9]' * 12}.parquet"):
        if about_of(path) != about.encode():
            path.unlink()
    firsts = range(0, X.shape[0], args.users_per_file)
    parts = [slice(first, first + args.users_per_file) for first in firsts]
    n_files = len(parts)
    parts = [users for users in parts if not path_of(args, users).exists()]
    if 0 < len(parts) < n_files:
        print(f"{n_files - len(parts)} of {n_files} files are there already: going on.")
    n_jobs = min(joblib.effective_n_jobs(args.jobs), len(parts))
    if n_jobs:
        shares = [parts[job::n_jobs] for job in range(n_jobs)]
        joblib.Parallel(n_jobs)(joblib.delayed(write)(args, about, s) for s in shares)
    print(f"{args.recommendations}: {n_files} files, {X.shape[0]} users.")


def path_of(args, users):
    return args.recommendations / f"{users.start:012d}.parquet"


def about_of(path):
    """What a file says it is of; None of one that is damaged."""
    try:
        return (pq.read_schema(path).metadata or {}).get(b"about")
    except pa.ArrowException:
        return None


def write(args, about, parts):
    X, excluded, names, user_ids, item_ids, model = opened(args)
    for users in parts:
        path = path_of(args, users)
        items, scores = recommended(args, model, X, excluded, users)
        places = rows, ranks = np.nonzero(items >= 0)  # -1 where fewer than k are left
        columns = {"user": rows + users.start, "rank": ranks + 1}
        columns |= {"item": items[places], "score": scores[places]}
        for name, ids in {"user": user_ids, "item": item_ids}.items():
            if ids is not None:
                columns[name] = ids.take(columns[name])
        columns = {names.get(name, name): column for name, column in columns.items()}
        table = pa.table(columns, metadata={"about": about})
        with open(path.with_suffix(".part"), "wb") as file:
            pq.write_table(table, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(path.with_suffix(".part"), path)


def recommended(args, model, X, excluded, users):
    exclude = None if excluded is None else excluded[users]
    return skvae.recommend(model, X[users], args.k, exclude=exclude)


def opened(args):
    """The matrix, the excluded one, names and ids of rows and columns, and the model."""
    X = skvae.open_interactions(args.interactions)
    loaded = skvae.load(args.model, mmap_mode="r")
    excluded = skvae.open_interactions(args.exclude) if args.exclude else None
    if excluded is not None and excluded.shape != X.shape:
        raise SystemExit(f"{args.exclude} has the shape {excluded.shape}, not {X.shape}.")
    names, user_ids, item_ids = {}, None, None
    if not hasattr(loaded, "decision_function"):
        parts = loaded if isinstance(loaded, (tuple, list)) else [loaded]
        kinds = [type(part).__name__ for part in parts]
        if len(kinds) != 2 or kinds[0] != "InteractionEncoder":
            raise SystemExit(
                f"{args.model} holds {', '.join(kinds)}: save a model, or "
                "(encoder, model), in this order."
            )
        encoder, loaded = parts
        names = {"user": encoder.user, "item": encoder.item}
        item_ids = encoder.item_ids_
        if args.users is None:
            raise SystemExit(
                "Whose rows are these? Pass --users ids.npy: of encoder.user_ids_, where "
                "fit_transform made the whole matrix, else of those of its parts."
            )
    if args.users:
        try:
            user_ids = np.load(args.users)
        except (ValueError, OSError, EOFError) as error:
            raise SystemExit(
                f"{args.users} is no array of ids; save texts as ids.astype(str): {error}"
            ) from error
        shape = getattr(user_ids, "shape", "several arrays")
        if shape != X.shape[:1]:
            raise SystemExit(
                f"The matrix has {X.shape[0]} users, {args.users} ids of shape {shape}."
            )
    ids = in_arrow(user_ids, "User"), in_arrow(item_ids, "Item")
    return X, excluded, names, *ids, loaded


def in_arrow(ids, whose):
    """Of the type that all files have, which is that of all ids."""
    try:
        return None if ids is None else pa.array(ids)
    except (pa.ArrowException, OverflowError) as error:
        raise SystemExit(f"{whose} ids have no type in Parquet: {error}") from error


if __name__ == "__main__":
    main()
