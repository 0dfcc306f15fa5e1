"""How the time of an epoch and the peak memory of fit grow with users and with items.

``python benchmarks/scaling.py [--redraw] [--results DIR]``. MultVAERecommender with its default layers in float32 and
batches of 500, on 2 000 users x 2 500 items and 4 and 16 times each, 72 interactions a user in the mean. Each size is
fitted in a process of its own, after one epoch all those that 32 000 users fill are timed; memory is the peak above
what the process held with the data read, and again in a process that holds a tenth of the users out to validate on.
DIR gets scaling.json, scaling.md and scaling.png.
"""

import argparse
import itertools
import json
import sys
from pathlib import Path

import harness
import matplotlib
import numpy as np

USERS = [2000 * factor for factor in (1, 4, 16)]
ITEMS = [2500 * factor for factor in (1, 4, 16)]
PARAMETERS = {"model": "MultVAERecommender", "batch_size": 500}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--redraw", action="store_true", help="table and plot from the record alone")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "scaling", metavar="DIR")
    args = parser.parse_args()
    path = args.results / "scaling.json"
    if not args.redraw:
        measure(path)
    record = json.loads(path.read_text())
    header = [
        "users",
        "items",
        "seconds an epoch",
        "users/s",
        "peak memory, MB",
        "validating, MB",
        "beyond weights x 4, in batches",
    ]
    rows = [[r["users"], r["items"], *cells(r)] for r in record["runs"]]
    text = "\n".join(
        ["# Scaling\n", harness.describe(record["machine"], record["runs"]), harness.markdown_table(header, rows)]
    )
    print(text)
    harness.write(text, args.results / "scaling.md")
    draw(record, args.results / "scaling.png")


def measure(path):
    record = {"machine": harness.machine(), "runs": []}
    for n_users, n_items in itertools.product(USERS, ITEMS):
        with harness.saved(train=harness.make_matrix(n_users, n_items)) as folder:
            request = {"parameters": PARAMETERS, "n_epochs": USERS[-1] // n_users, "n_calls": 0}
            result = harness.run("skvae", sys.executable, "speed", folder, **request)
            request |= {"parameters": PARAMETERS | {"early_stopping": True}, "n_epochs": 2}
            validating = harness.run("skvae", sys.executable, "speed", folder, **request)
        result["validating_peak_bytes"] = validating["peak_bytes"]
        record["runs"].append({"users": n_users, "items": n_items, **result})
        harness.write(json.dumps(record, indent=1), path)
        print(f"{n_users} users x {n_items} items: {np.median(result['epoch_seconds']):.2f} s", flush=True)


def cells(result):
    """Time and speed of an epoch, both peaks, and what they exceed weights, gradients and Adam's moments by."""
    seconds, rate, megabytes = values(result)
    peaks = [result["peak_bytes"], result["validating_peak_bytes"]]
    batch = 4 * PARAMETERS["batch_size"] * result["items"]
    beyond = ", ".join(f"{(peak - 4 * result['weight_bytes']) / batch:.1f}" for peak in peaks)
    return [f"{seconds:,.2f}", f"{rate:,.0f}", f"{megabytes:,.0f}", f"{peaks[1] / 1e6:,.0f}", beyond]


def values(result):
    """Seconds an epoch, users a second, megabytes at the peak."""
    seconds = float(np.median(result["epoch_seconds"]))
    return seconds, result["users"] / seconds, result["peak_bytes"] / 1e6


def draw(record, path):
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for n_items in ITEMS:
        runs = [result for result in record["runs"] if result["items"] == n_items]
        seconds, _, megabytes = zip(*map(values, runs), strict=True)
        for axis, measured in zip(axes, (seconds, megabytes), strict=True):
            axis.loglog([r["users"] for r in runs], measured, marker="o", label=f"{n_items:,} items")
    axes[0].set(xlabel="users", ylabel="seconds", title="An epoch of training")
    axes[1].set(xlabel="users", ylabel="MB", title="Peak memory of fit")
    axes[0].legend()
    harness.save_figure(figure, path)
    plt.close(figure)


if __name__ == "__main__":
    main()
