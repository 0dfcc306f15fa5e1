"""The best items of every user of a matrix on disk, as a folder of Parquet files.

    export OMP_NUM_THREADS=1
    python examples/recommend_to_parquet.py model.skvae interactions/ answers/ --jobs 8

with a file of skvae.save, of a model or of ``(encoder, model)``, and a folder of
skvae.save_interactions. The processes share one copy of both. A run that was cut short
goes on. Needs the extra ``tables``.

A file has -k items for each of some users in four columns: user, rank (from 1), item and
score. Users and items are the ids of the encoder, whose fit_transform made the matrix;
without an encoder, rows and columns of the matrix. A file says which model and matrix it
is of: files of others are removed.
"""

import argparse
import functools
import os
from pathlib import Path

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import skvae


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("model", "interactions", "recommendations"):
        parser.add_argument(name, type=Path)
    for name, default in {"-k": 10, "--users-per-file": 100_000, "--jobs": 1}.items():
        parser.add_argument(name, type=int, default=default)
    args = parser.parse_args(arguments)
    args.recommendations.mkdir(exist_ok=True)
    n_users = opened(args.interactions, args.model)[0].shape[0]
    sources = args.model, args.interactions / "meta.json"
    written = [path.stat().st_mtime_ns for path in sources]
    about = f"{args.model} {args.interactions} {written} {args.k} {args.users_per_file}"
    for path in args.recommendations.glob(f"{'[0-9]' * 12}.parquet"):
        if (pq.read_schema(path).metadata or {}).get(b"about") != about.encode():
            path.unlink()
    firsts = range(0, n_users, args.users_per_file)
    parts = [slice(first, first + args.users_per_file) for first in firsts]
    parallel = joblib.Parallel(args.jobs)
    parallel(joblib.delayed(write)(args, about, users) for users in parts)


def write(args, about, users):
    path = args.recommendations / f"{users.start:012d}.parquet"
    if not path.exists():
        X, encoder, model = opened(args.interactions, args.model)
        items, scores = skvae.recommend(model, X[users], args.k)
        places = rows, ranks = np.nonzero(items >= 0)  # -1 where fewer than k are left
        columns = {"user": rows + users.start, "rank": ranks + 1}
        columns |= {"item": items[places], "score": scores[places]}
        if encoder is not None:
            users = encoder.inverse_users(columns["user"])
            columns["user"] = as_column(users, encoder.user_ids_)
            items = encoder.inverse_items(columns["item"])
            columns["item"] = as_column(items, encoder.item_ids_)
        table = pa.table(columns, metadata={"about": about})
        pq.write_table(table, path.with_suffix(".part"))
        os.replace(path.with_suffix(".part"), path)


def as_column(ids, known):
    """Of the type that all files have, also where there are no ids."""
    return pa.array(ids, type=pa.array(known[:1]).type)


@functools.cache
def opened(interactions, model):
    X, loaded = skvae.open_interactions(interactions), skvae.load(model, mmap_mode="r")
    if hasattr(loaded, "decision_function"):
        return X, None, loaded
    parts = loaded if isinstance(loaded, (tuple, list)) else [loaded]
    kinds = [type(part).__name__ for part in parts]
    if len(kinds) != 2 or kinds[0] != "InteractionEncoder":
        raise SystemExit(
            f"{model} holds {', '.join(kinds)}: save a model, or (encoder, model), in "
            "this order."
        )
    encoder, model = parts
    if X.shape[0] != len(encoder.user_ids_):
        raise SystemExit(
            f"The matrix has {X.shape[0]} users, the encoder {len(encoder.user_ids_)}: "
            "save the matrix that its fit_transform gave, or the model alone."
        )
    return X, encoder, model


if __name__ == "__main__":
    main()
