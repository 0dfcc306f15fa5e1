"""How the time of an epoch and the peak memory of fit grow with users and with items.

``python benchmarks/scaling.py [--table] [--results DIR]``. MultVAERecommender with its default layers in float32 and
batches of 500, on 2 000 users x 2 500 items and 4 and 16 times each, 72 interactions a user in the mean. Each size is
fitted in a process of its own, after one epoch all those that 32 000 users fill are timed; memory is the peak above
what the process held with the data read, and again in a process that holds a tenth of the users out to validate on.
DIR gets scaling.json and scaling.md.
"""

import argparse
import itertools
import json
import sys
from pathlib import Path

import harness
import numpy as np

USERS = [2000 * factor for factor in (1, 4, 16)]
ITEMS = [2500 * factor for factor in (1, 4, 16)]
PARAMETERS = {"model": "MultVAERecommender", "batch_size": 500}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--table", action="store_true", help="the table from the record alone")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "scaling", metavar="DIR")
    args = parser.parse_args()
    path = args.results / "scaling.json"
    if not args.table:
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
    harness.show(text, args.results / "scaling.md")


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


if __name__ == "__main__":
    main()
