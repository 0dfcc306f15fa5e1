"""Users a second in training and in recommending, beside three libraries and the matrix products that nobody can save.

``python benchmarks/speed.py [NAME ...] [--rounds N] [--table] [--results DIR] [--environments DIR]``, or
``make bench``. NAME is a contestant or the start of its name. The data are 4 000 users and 20 108 items, 72
interactions a user in the mean, the models the paper's, the batches of 500 users. Contestants take turns, each in a
process of its own with the same threads. An epoch of training is measured after one that is not, without validation;
then recommend(k=100) for all users, or as many as a recommender can do in seconds, and for one user at a time. Memory
is the peak of the process in training above what it held before, with the data already read.

The floor of training is the three matrix products of the output layer, the floor of recommending is the one. A row is
compared with the floor of its own precision. DIR gets speed.json and speed.md.
"""

import argparse
import json
from pathlib import Path

import harness
import numpy as np

N_USERS, N_ITEMS, BATCH_SIZE = 4000, 20108, 500
RECBOLE = {"train_batch_size": BATCH_SIZE}
# model -> contestant -> runner and parameters
CONTESTANTS = {
    "Mult-VAE, I-600-200-600-I": {
        "skvae float32": ("skvae", {"model": "MultVAERecommender"}),
        "skvae bfloat16": ("skvae", {"model": "MultVAERecommender", "precision": "bfloat16"}),
        "irspack": ("irspack", {"dim_z": 200, "enc_hidden_dims": 600, "minibatch_size": BATCH_SIZE}),
        "Cornac": ("cornac", {"k": 200, "autoencoder_structure": [600], "batch_size": BATCH_SIZE}),
        # its 400 are mean and log-variance side by side
        "RecBole": ("recbole", {"model": "MultiVAE", "mlp_hidden_size": [600], "latent_dimension": 400, **RECBOLE}),
        "RecBole bfloat16": (
            "recbole",
            {"model": "MultiVAE", "mlp_hidden_size": [600], "latent_dimension": 400, "enable_amp": True, **RECBOLE},
        ),
        "dense torch": ("torch", {"model": "VAE", "hidden": 600, "n_components": 200}),
        "floor float32": ("floor", {"width": 600, "dtype": "float32"}),
        "floor bfloat16": ("floor", {"width": 600, "dtype": "bfloat16"}),
    },
    "Mult-DAE, I-200-I": {
        "skvae float32": ("skvae", {"model": "MultDAERecommender"}),
        "skvae bfloat16": ("skvae", {"model": "MultDAERecommender", "precision": "bfloat16"}),
        "RecBole": ("recbole", {"model": "MultiDAE", "mlp_hidden_size": [], "latent_dimension": 200, **RECBOLE}),
        "RecBole bfloat16": (
            "recbole",
            {"model": "MultiDAE", "mlp_hidden_size": [], "latent_dimension": 200, "enable_amp": True, **RECBOLE},
        ),
        "dense torch": ("torch", {"model": "DAE", "n_components": 200}),
        "implicit ALS": ("implicit", {"factors": 200, "iterations": 2}),
        "floor float32": ("floor", {"width": 200, "dtype": "float32"}),
        "floor bfloat16": ("floor", {"width": 200, "dtype": "bfloat16"}),
    },
}
OURS = ("skvae float32", "skvae bfloat16")
NEEDS_BATCH_SIZE = ("skvae", "torch", "floor")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="contestants; default all")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--table", action="store_true", help="the table from the record alone")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "speed", metavar="DIR")
    parser.add_argument("--environments", type=Path, default=harness.ENVIRONMENTS, metavar="DIR")
    args = parser.parse_args()
    record = args.results / "speed.json"
    if not args.table:
        measure(tuple(args.names), args.rounds, args.environments, record)
    report(json.loads(record.read_text()), args.results)


def measure(names, n_rounds, environments, path):
    """Round by round, every contestant once; the record is written after each of them."""
    chosen = [
        (model, contestant, *entry)
        for model, contestants in CONTESTANTS.items()
        for contestant, entry in contestants.items()
        if not names or contestant.startswith(names)
    ]
    if not chosen:
        raise SystemExit(f"No contestant begins with {', '.join(names)}.")
    pythons = {runner: harness.environment(runner, environments) for *_, runner, _ in chosen}
    record = {"machine": harness.machine(), "runs": []}
    with harness.saved(train=harness.make_matrix(N_USERS, N_ITEMS)) as folder:
        for number in range(n_rounds):
            for model, contestant, runner, parameters in chosen:
                parameters = parameters | ({"batch_size": BATCH_SIZE} if runner in NEEDS_BATCH_SIZE else {})
                result = harness.run(
                    runner, pythons[runner], "speed", folder, parameters=parameters, n_epochs=1, n_calls=200
                )
                record["runs"].append({"model": model, "contestant": contestant, **result})
                harness.write(json.dumps(record, indent=1), path)
                seconds = ", ".join(f"{s:.2f}" for s in result["epoch_seconds"])
                print(f"round {number + 1}/{n_rounds}  {model}  {contestant}: {seconds} s an epoch", flush=True)


def report(record, results):
    sections = ["# Speed\n", harness.describe(record["machine"], record["runs"])]
    for model in CONTESTANTS:
        runs = {name: [] for name in CONTESTANTS[model]}
        for result in record["runs"]:
            if result["model"] == model:
                runs[result["contestant"]].append(result)
        sections += [f"## {model}\n", training_table(runs), recommending_table(runs)]
    harness.show("\n".join(sections), results / "speed.md")


def trained_per_second(result):
    return [N_USERS / seconds for seconds in result["epoch_seconds"]]


def recommended_per_second(result):
    return [result["recommended_per_second"]] if "recommended_per_second" in result else []


def speeds(runs, measured):
    """Contestant -> users a second in all its runs; ALS recommends and is nobody's rival in training."""
    values = {name: [v for result in results for v in measured(result)] for name, results in runs.items()}
    if measured is trained_per_second:
        values.pop("implicit ALS", None)
    return {name: v for name, v in values.items() if v}


def compared(name, values):
    """Cells: median and range, share of the floor of the same precision, how much faster ours are."""
    rate, precision = np.median(values[name]), "bfloat16" if "bfloat16" in name else "float32"
    floor = values.get(f"floor {precision}")
    cells = [f"{rate:,.0f} ({min(values[name]):,.0f} - {max(values[name]):,.0f})"]
    cells.append(f"{rate / np.median(floor):.2f}" if floor else "")
    return cells + [f"{np.median(values[ours]) / rate:.2f}" if ours in values else "" for ours in OURS]


COMPARED = ["users/s, median (range)", "of the floor", *(f"{ours} is faster by" for ours in OURS)]


def training_table(runs):
    values = speeds(runs, trained_per_second)
    rows = [[name, *compared(name, values), *memory(runs[name])] for name in values]
    return harness.markdown_table(["training", *COMPARED, "peak memory, MB", "beyond weights x 4, in batches"], rows)


def memory(results):
    """Cells: the peak; for ours what exceeds weights, gradients and Adam's two moments, in batch x items buffers."""
    peaks = [result["peak_bytes"] for result in results if "peak_bytes" in result]
    if not peaks:
        return ["", ""]
    cells = [f"{np.median(peaks) / 1e6:,.0f}", ""]
    if "weight_bytes" in results[0]:
        cells[1] = f"{(np.median(peaks) - 4 * results[0]['weight_bytes']) / (4 * BATCH_SIZE * N_ITEMS):.1f}"
    return cells


def recommending_table(runs):
    values = speeds(runs, recommended_per_second)
    rows = []
    for name in values:
        calls = [result["call_seconds"] for result in runs[name] if "call_seconds" in result]
        rows.append([name, *compared(name, values), f"{1000 * np.median(calls):.2f}" if calls else ""])
    return harness.markdown_table(["recommend(k=100)", *COMPARED, "one user, ms"], rows)


if __name__ == "__main__":
    main()
