"""The best items of every user of a matrix on disk, as a folder of Parquet files.

    export OMP_NUM_THREADS=1
    python examples/recommend_to_parquet.py model.skvae interactions/ answers/ --jobs 8

with a model that skvae.save wrote, and a folder of skvae.save_interactions. The processes
share one copy of both. A run that was cut short goes on. Needs the extra ``tables``.

A file has -k items for each of some users in four columns: user and item (row and column
of the matrix), rank (from 1) and score. It says which model and matrix it is of: files of
others are removed.
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
    n_users = skvae.open_interactions(args.interactions).shape[0]
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
        X, model = opened(args.interactions, args.model)
        items, scores = skvae.recommend(model, X[users], args.k)
        places = rows, ranks = np.nonzero(items >= 0)  # -1 where fewer than k are left
        columns = {"user": rows + users.start, "rank": ranks + 1}
        columns |= {"item": items[places], "score": scores[places]}
        table = pa.table(columns, metadata={"about": about})
        pq.write_table(table, path.with_suffix(".part"))
        os.replace(path.with_suffix(".part"), path)


@functools.cache
def opened(interactions, model):
    return skvae.open_interactions(interactions), skvae.load(model, mmap_mode="r")


if __name__ == "__main__":
    main()
