"""What training by sampled items takes, and what it costs in accuracy; fit and recommend with a million items.

``python benchmarks/large_catalogues.py {updates,accuracy,million,recommend} [--results DIR]``, on a machine of its own,
with OMP_NUM_THREADS set to its cores. DIR gets PART.json and PART.md.

- updates: median time of an update of Mult-DAE, 128 wide, 500 users with 50 interactions each, at 20 000 to 1 280 000
  items, by all items and by 10 000 drawn.
- accuracy: Recall@20 and seconds of Mult-DAE by all items and by 1, 5 and 20 % of them, also in smaller batches, on
  gowalla (its published split), anime and retail-baskets (a tenth of the users held out); --data for some of them.
- million: one epoch of Mult-DAE, 128 wide, by 20 000 drawn items, on 1 000 000 users x 1 000 000 items with 50 million
  interactions in a mapped folder, and recommendations to 10 000 users; --scale 0.1 for a tenth of users, items and
  interactions.
- recommend: the last of it alone, by a model that was fitted on 5 000 of the users.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import harness
import numpy as np
import processes
import scipy.sparse as sp
import torch
from runners.common import memory, reset_peak

import skvae
from skvae.hiding import hide_items
from skvae.scoring import score_users
from skvae.validation_users import hold_out_users

DATA = ("gowalla", "anime", "retail-baskets")
# of the items that are drawn, None: all are taken; and users in a batch
SHARES = [(None, "auto"), (0.01, "auto"), (0.05, "auto"), (0.2, "auto"), (0.05, 128)]
USERS_PER_CHUNK = 100_000


def power_law(n_users, n_items, per_user, seed=0):
    """Users with about ``per_user`` items each, drawn with popularity 1 / (10 + rank)."""
    return sp.vstack(list(power_law_parts(n_users, n_items, per_user, seed, USERS_PER_CHUNK)), format="csr")


def power_law_parts(n_users, n_items, per_user, seed, users_per_part):
    """The same, some users at a time."""
    rng = np.random.default_rng(seed)
    numbers = rng.permutation(n_items).astype(np.int32)
    for first in range(0, n_users, users_per_part):
        shape = min(users_per_part, n_users - first), per_user
        ranks = (10 * ((n_items + 10) / 10) ** rng.random(shape, np.float32) - 10).astype(np.int64)
        items = np.sort(numbers[ranks.clip(0, n_items - 1)], axis=1)
        new = np.diff(items, axis=1, prepend=-1) != 0
        indptr = np.append(0, new.sum(axis=1).cumsum())
        yield sp.csr_array((np.ones(indptr[-1], np.float32), items[new], indptr), shape=(shape[0], n_items))


def updates(args):
    """Median seconds of an update, for each number of items and of items drawn."""
    for n_items in args.items:
        for n_drawn in (None, 10_000):
            model = skvae.MultDAERecommender(128, n_sampled_items=n_drawn)
            seconds = processes.updates(model, 500, power_law(500 * args.updates, n_items, 50))
            yield {"items": n_items, "drawn": n_drawn, "seconds": float(np.median(seconds))}


def accuracy(args):
    """Recall@20 of test users, and what the fit took, for each data set and share of the items that is drawn.

    What the record has of this is kept.
    """
    path = args.results / "accuracy.json"
    known = json.loads(path.read_text())["runs"] if path.exists() else []
    yield from known
    for name in args.data:
        train, fold_in, held_out = split(name)
        for share, batch_size in SHARES:
            if any((run["data"], run["share"], run["batch_size"]) == (name, share, batch_size) for run in known):
                continue
            n_drawn = share and round(share * train.shape[1])
            model = skvae.MultDAERecommender(
                n_sampled_items=n_drawn, batch_size=batch_size, max_iter=args.epochs, random_state=0
            )
            start = time.perf_counter()
            model.fit(train)
            run = {"data": name, "share": share, "batch_size": batch_size, "users_per_batch": model.batch_size_}
            run |= {"seconds": time.perf_counter() - start, "epochs": model.n_iter_}
            run["recall@20"] = float(np.nanmean(score_users(model, fold_in, held_out, "recall@20")["recall@20"]))
            yield run


def split(name):
    """Users to train on, and the fold-in and held-out items of those to test on."""
    from real_data import DATA as FOLDER
    from real_data import load

    if name == "gowalla":
        train, test = (sp.csr_array(sp.load_npz(FOLDER / f"gowalla-{part}.npz")) for part in ("train", "test"))
        return train, train, test
    X = load(name)
    trained, tested = hold_out_users(X, 0.1)
    return X[trained], *hide_items(X[tested])


def recommend(args):
    """The same as `million`, fitted on few users."""
    return million(args, n_fitted=5000)


def million(args, n_fitted=None):
    """Seconds and peak memory of an epoch, and of recommending to 10 000 users, above what was held before."""
    n_users = n_items = round(1_000_000 * args.scale)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "interactions"
        skvae.save_interactions(power_law_parts(n_users, n_items, 50, 0, USERS_PER_CHUNK), path)
        yield _million(skvae.open_interactions(path), args, n_fitted)


def _million(X, args, n_fitted):
    n_items = X.shape[1]
    n_drawn = round(20_000 * args.scale)
    model = skvae.MultDAERecommender(
        128, n_sampled_items=n_drawn, max_iter=1, early_stopping=False, random_state=0, verbose=1
    )
    reset_peak()
    start = time.perf_counter()
    fitted = X if n_fitted is None else X[:n_fitted]
    model.fit(fitted)
    run = {"users": fitted.shape[0], "items": n_items, "interactions": fitted.nnz, "drawn": n_drawn}
    run |= {"fit_seconds": time.perf_counter() - start, "fit_peak_gib": memory("VmHWM") / 2**30}
    print(run, flush=True)
    users = X[:10_000]
    model.recommend(users[:300], k=100)
    before = memory("VmRSS")
    reset_peak()
    start = time.perf_counter()
    model.recommend(users, k=100)
    run["recommended_per_second"] = users.shape[0] / (time.perf_counter() - start)
    run["recommend_peak_gib_above_the_model"] = (memory("VmHWM") - before) / 2**30
    return run


PARTS = {"updates": updates, "accuracy": accuracy, "million": million, "recommend": recommend}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--items", type=int, nargs="+", default=[20_000, 80_000, 320_000, 1_280_000])
    parser.add_argument("--updates", type=int, default=6)
    parser.add_argument("--data", nargs="+", choices=DATA, default=DATA)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "large_catalogues", metavar="DIR")
    args = parser.parse_args()
    about = harness.machine() | {"threads": torch.get_num_threads(), "versions": {"torch": torch.__version__}}
    runs = []
    for run in PARTS[args.part](args):
        runs.append(run)
        print(run, flush=True)
        harness.write(json.dumps({"machine": about, "runs": runs}, indent=1), args.results / f"{args.part}.json")
        harness.write(harness.describe(about, [about]) + "\n" + table(runs), args.results / f"{args.part}.md")


def table(runs):
    rows = [[f"{value:.4g}" if isinstance(value, float) else value for value in run.values()] for run in runs]
    return harness.markdown_table(list(runs[0]), rows)


if __name__ == "__main__":
    main()
