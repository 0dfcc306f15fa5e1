"""What `skvae.estimate_cost` says of fits, against what these take: bytes at the peak, and seconds.

``OMP_NUM_THREADS=1 python benchmarks/cost.py [--only NAME ...] [--results DIR]``. Each fit is in a process of its own;
its bytes are the peak above what the process held before, X among it. Bytes do not depend on what else a machine does,
seconds do: those of an epoch are estimated by a probe before the fit, and measured as the difference of fits of three
epochs and of one; those of an inverse with the Gram matrix and all weights; those of a linear model that chooses its
numbers are of the whole fit. DIR gets cost.json and cost.md.
"""

import argparse
import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import harness
import numpy as np
from runners.common import memory, reset_peak

import skvae
from skvae import linear

TWO_EPOCHS = {"max_iter": 2, "random_state": 0}
DAE, VAE, RECVAE = skvae.MultDAERecommender, skvae.MultVAERecommender, skvae.RecVAERecommender
# Name -> (model, users, items, interactions a user)
FITS = {
    "Mult-VAE": (VAE(**TWO_EPOCHS), 4000, 5000, 40),
    "Mult-VAE, not validated": (VAE(early_stopping=False, **TWO_EPOCHS), 2000, 20_000, 60),
    "Mult-VAE, 200 wide, bfloat16": (VAE(100, hidden_layer_sizes=(200,), precision="bfloat16", **TWO_EPOCHS),
                                     4000, 20_000, 40),
    "Mult-DAE": (DAE(**TWO_EPOCHS), 20_000, 10_000, 40),
    "Mult-DAE, small": (DAE(16, **TWO_EPOCHS), 3000, 300, 20),
    "Mult-DAE, logistic, svd, not averaged": (DAE(likelihood="logistic", initialization="svd", averaging_epochs=0,
                                                  **TWO_EPOCHS), 4000, 10_000, 40),
    "Mult-DAE, sampled": (DAE(n_sampled_items=2000, **TWO_EPOCHS), 5000, 40_000, 40),
    "Mult-DAE, tiles": (DAE(32, batch_size=14_000, **TWO_EPOCHS), 16_000, 20_000, 20),
    "RecVAE": (RECVAE(hidden_layer_sizes=(300,) * 3, **TWO_EPOCHS), 4000, 8000, 40),
    "EASE": (skvae.EASERecommender(), 20_000, 5000, 40),
    "EASE, few users": (skvae.EASERecommender(), 3000, 15_000, 50),
    "linear, Gram matrix kept": (skvae.LinearRecommender(keep_gram=True), 5000, 3000, 40),
    "linear, chosen": (skvae.LinearRecommender(), 20_000, 3000, 40),
    "blend": (skvae.BlendRecommender([("ease", skvae.EASERecommender()), ("dae", DAE(**TWO_EPOCHS))]),
              5000, 5000, 40),
    "popularity": (skvae.PopularityRecommender(), 20_000, 10_000, 100),
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=FITS, default=list(FITS), metavar="NAME")
    parser.add_argument("--seconds", action="store_true", help="measure seconds too, which takes about twice as long")
    parser.add_argument("--fit", choices=FITS, help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "cost", metavar="DIR")
    args = parser.parse_args()
    if args.fit:
        return print(json.dumps(measure(*FITS[args.fit], args.seconds)))
    runs = []
    for name in args.only:
        command = [sys.executable, "-W", "ignore", __file__, "--fit", name, *(["--seconds"] if args.seconds else [])]
        run = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        runs.append({"fit": name, **run})
        print(table(runs).splitlines()[-1], flush=True)
    about = harness.machine() | {"threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count()))}
    harness.write(json.dumps({"machine": about, "runs": runs}, indent=1), args.results / "cost.json")
    harness.write(harness.describe(about, runs) + "\n" + table(runs), args.results / "cost.md")
    print(table(runs))


def measure(model, n_users, n_items, per_user, with_seconds):
    """Bytes and seconds of a fit, and what was said of them before."""
    X = harness.make_matrix(n_users, n_items, per_user)
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    model.fit(X[:60, :300])  # what is imported on first use is no memory of a fit
    cost = skvae.estimate_cost(model, *X.shape, X.nnz, probe=with_seconds)
    ctypes.CDLL(None).malloc_trim(0)  # or the fit would begin with what was given back
    before = memory("VmRSS")
    reset_peak()
    model.fit(X)
    run = {
        "users": n_users,
        "items": n_items,
        "interactions": X.nnz,
        "peak_bytes": memory("VmHWM") - before,
        "estimated_bytes": cost.total_bytes - cost.throughout["X"],
        "versions": {"skvae": skvae.__version__},
    }
    if with_seconds and cost.seconds and not isinstance(model, skvae.BlendRecommender):
        estimated = list(cost.seconds.values())
        is_chosen = isinstance(model, skvae.LinearRecommender)  # whose last seconds are of all inverses
        run |= {"seconds": seconds_of(model, X), "estimated_seconds": estimated[-1 if is_chosen else 0]}
    return run


def seconds_of(model, X):
    """Of an epoch, of an inverse, or of a fit that chooses by several of them."""
    if isinstance(model, skvae.LinearRecommender):
        return harness.seconds_of(model.fit, X)
    if "max_iter" in model.get_params():
        model.set_params(early_stopping=False)
        of_one, of_three = (harness.seconds_of(model.set_params(max_iter=n).fit, X) for n in (1, 3))
        return (of_three - of_one) / 2
    seconds, regression = [], linear.item_regression

    def timed_regression(*args, **kwargs):
        start = time.perf_counter()
        weights = regression(*args, **kwargs)
        seconds.append(time.perf_counter() - start)
        return weights

    linear.item_regression = timed_regression
    model.fit(X)
    return min(seconds)


def table(runs):
    header = ["fit", "users", "items", "MB", "estimated", "ratio", "seconds", "estimated", "ratio"]
    rows = []
    for run in runs:
        measured, estimated = run["peak_bytes"] / 1e6, run["estimated_bytes"] / 1e6
        cells = [f"{measured:,.0f}", f"{estimated:,.0f}", f"{estimated / measured:.2f}", "", "", ""]
        if "seconds" in run:
            seconds, expected = run["seconds"], run["estimated_seconds"]
            cells[3:] = f"{seconds:.3g}", f"{expected:.3g}", f"{expected / seconds:.2f}"
        rows.append([run["fit"], run["users"], run["items"], *cells])
    return harness.markdown_table(header, rows)


if __name__ == "__main__":
    main()
