"""InteractionEncoder beside what it is made of: encoding beside pandas.factorize, recommending beside the model alone.

``python benchmarks/encoder.py [--events N] [--users N] [--rounds N] [--results DIR]``. Encoding is
``InteractionEncoder().fit_transform`` of a table of users and items, and beside it ``pandas.factorize`` of both of its
columns. Recommending is ``encoder.recommend`` of a table of strings, and beside it ``model.recommend`` of the same
users, of ``PopularityRecommender``, whose scores take no time, and of ``MultDAERecommender``. The two of a pair are
measured in turn, alone on the machine. DIR gets encoder.json and encoder.md.
"""

import argparse
from importlib.metadata import version
from pathlib import Path

import harness
import numpy as np
import pandas as pd
import torch

import skvae

N_ITEMS = 20_108
K = 10
TYPES = {
    "pandas, str": lambda table: table.astype("str"),
    "pandas, objects": lambda table: table.astype("str").astype(object),
    "pandas, int64": lambda table: table.apply(
        lambda column: column.str.extract(r"(\d+)", expand=False).astype("int64")
    ),
}
MODELS = {
    "popularity": skvae.PopularityRecommender(),
    "Mult-DAE": skvae.MultDAERecommender(max_iter=1, early_stopping=False, random_state=0),
}
HEADER = ["call", "of", "seconds", "what it is made of, seconds", "times as long"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=2_000_000, metavar="N", help="to encode, default 2 million")
    parser.add_argument("--users", type=int, default=20_000, metavar="N", help="to recommend to, default 20 000")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default 5, of which the medians count")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "encoder", metavar="DIR")
    args = parser.parse_args()
    record = harness.Record(args.results / "encoder")
    record.about["machine"] = harness.machine() | {"threads": torch.get_num_threads()}
    X = harness.make_matrix(max(args.users, args.events // 72), N_ITEMS)
    events = events_of(X).sample(args.events, replace=args.events > X.nnz, random_state=0, ignore_index=True)
    for name, convert in TYPES.items():
        record.add(f"encode | {name}", encoding(convert(events), args.rounds))
    table = events_of(X[: args.users]).astype("str")
    encoder = skvae.InteractionEncoder()
    X = encoder.fit_transform(table)
    for name, model in MODELS.items():
        record.add(f"recommend | {name}", recommending(encoder, model.fit(X), table, X, args.rounds))
    harness.show(tables(record), args.results / "encoder.md")


def events_of(X):
    """A table with an event for each interaction, in no order, with strings as ids."""
    users, items = X.nonzero()
    table = pd.DataFrame({"user": [f"user-{user}" for user in users], "item": [f"item {item}" for item in items]})
    return table.sample(frac=1, random_state=0, ignore_index=True)


def encoding(table, n_rounds):
    return in_turn(
        lambda: skvae.InteractionEncoder().fit_transform(table),
        lambda: [pd.factorize(table[name]) for name in table],
        n_rounds,
    )


def recommending(encoder, model, table, X, n_rounds):
    return in_turn(lambda: encoder.recommend(model, table, K), lambda: model.recommend(X, K), n_rounds)


def in_turn(own, other, n_rounds):
    """Seconds of two calls, one after the other."""
    own(), other()
    seconds = [[harness.seconds_of(call) for call in (own, other)] for _ in range(n_rounds)]
    versions = {name: version(name) for name in ("pandas", "pyarrow", "narwhals", "numpy", "torch")}
    return {"seconds": [own for own, _ in seconds], "alone": [other for _, other in seconds], "versions": versions}


def tables(record):
    rows = [[*key.split(" | "), *summary(run)] for key, run in record.runs.items()]
    described = harness.describe(record.about["machine"], record.runs.values())
    return "\n".join(["# InteractionEncoder\n", described, harness.markdown_table(HEADER, rows)])


def summary(run):
    """Medians: seconds of the call, seconds of what it is compared with, and how many times as long."""
    own, other = (float(np.median(run[name])) for name in ("seconds", "alone"))
    return [f"{own:.2f}", f"{other:.2f}", f"{own / other:.1f}"]


if __name__ == "__main__":
    main()
