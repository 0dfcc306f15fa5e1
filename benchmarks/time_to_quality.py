"""Validation NDCG@100 against seconds of training, beside three libraries, on real data.

``python benchmarks/time_to_quality.py [NAME ...] [--limit SECONDS] [--results DIR] [--environments DIR]``.
NAME is a contestant or the start of its name: those are measured, else all that the record lacks. Data are `anime`,
80 / 10 / 10 per cent of the users, and everyone gets the same validation users with the same items hidden.

Of skvae everything counts that the user of fit waits for: its own validation after each epoch, and putting the best
epoch back. Of a peer the training alone counts; its validation users are scored while the clock stands still, and it
goes on until NDCG@100 has not risen for 20 epochs, or for SECONDS. It runs with the layers of the paper and the batches
of skvae, irspack with its own defaults as well. DIR gets time_to_quality.json and .md.
"""

import argparse
import json
from pathlib import Path

import harness
import numpy as np
from real_data import load

import skvae

DATA = "anime"
PATIENCE = 20
BATCH_SIZE = 91  # what batch_size="auto" comes to on these data
PAPER = f"600-200, batch {BATCH_SIZE}"
# kind -> contestant -> runner and parameters; those of skvae are the untouched defaults but for what its name says
CONTESTANTS = {
    "Mult-VAE": {
        "skvae MultVAE float32": ("skvae", {"model": "MultVAERecommender"}),
        "skvae MultVAE bfloat16": ("skvae", {"model": "MultVAERecommender", "precision": "bfloat16"}),
        "irspack, defaults": ("irspack", {}),
        f"irspack, {PAPER}": ("irspack", {"dim_z": 200, "enc_hidden_dims": 600, "minibatch_size": BATCH_SIZE}),
        f"Cornac VAECF, {PAPER}": ("cornac", {"k": 200, "autoencoder_structure": [600], "batch_size": BATCH_SIZE}),
        f"RecBole MultiVAE, {PAPER}": (
            "recbole",
            {"model": "MultiVAE", "latent_dimension": 400, "train_batch_size": BATCH_SIZE},
        ),
    },
    "Mult-DAE": {
        "skvae MultDAE float32": ("skvae", {"model": "MultDAERecommender"}),
        "skvae MultDAE bfloat16": ("skvae", {"model": "MultDAERecommender", "precision": "bfloat16"}),
        "skvae MultDAE bfloat16, dropout .3": (
            "skvae",
            {"model": "MultDAERecommender", "precision": "bfloat16", "dropout": 0.3},
        ),
        f"RecBole MultiDAE, 200, batch {BATCH_SIZE}": (
            "recbole",
            {"model": "MultiDAE", "mlp_hidden_size": [], "latent_dimension": 200, "train_batch_size": BATCH_SIZE},
        ),
    },
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="contestants; default those the record lacks")
    parser.add_argument("--limit", type=float, default=150, metavar="SECONDS", help="of a peer's training")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "time_to_quality", metavar="DIR")
    parser.add_argument("--environments", type=Path, default=harness.ENVIRONMENTS, metavar="DIR")
    args = parser.parse_args()
    path = args.results / "time_to_quality.json"
    record = json.loads(path.read_text()) if path.exists() else {"machine": harness.machine(), "runs": {}}
    measure(tuple(args.names), args.limit, args.environments, record, path)
    about = harness.describe(record["machine"], record["runs"].values())
    text = "\n".join(["# Time to quality\n", about, *(table(kind, record) for kind in CONTESTANTS)])
    print(text)
    harness.write(text, args.results / "time_to_quality.md")


def measure(names, limit, environments, record, path):
    contestants = {name: entry for group in CONTESTANTS.values() for name, entry in group.items()}
    split = skvae.strong_generalization_split(load(DATA), random_state=0)
    fold_in, held_out = skvae.fold_in_split(split.validation)
    with harness.saved(train=split.train, fold_in=fold_in, held_out=held_out) as folder:
        for name, (runner, parameters) in contestants.items():
            if not name.startswith(names) if names else name in record["runs"]:
                continue
            python = harness.environment(runner, environments)
            request = {"parameters": parameters, "limit": limit, "patience": PATIENCE}
            record["runs"][name] = result = harness.run(runner, python, "curve", folder, **request)
            harness.write(json.dumps(record, indent=1), path)
            best, seconds = best_of(result)
            print(f"{name}: {best:.4f} after {seconds:.1f} s", flush=True)


def best_of(result):
    """Best NDCG@100, and the seconds to it."""
    best = int(np.argmax(result["scores"]))
    return result["scores"][best], result["seconds"][best]


def seconds_to(result, score):
    """Seconds to the first epoch that is at least as good, None where there is none."""
    reached = np.flatnonzero(np.array(result["scores"]) >= score)
    return result["seconds"][reached[0]] if len(reached) else None


def table(kind, record):
    """A row a contestant: its best, and how soon ours are as good."""
    runs = {name: record["runs"][name] for name in CONTESTANTS[kind] if name in record["runs"]}
    ours = [name for name in runs if name.startswith("skvae")]
    header = [
        kind,
        "best NDCG@100",
        "epochs to it",
        "seconds to it",
        "until it stopped",
        *(f"{name} is there in" for name in ours),
    ]
    rows = []
    for name, result in runs.items():
        best, seconds = best_of(result)
        row = [name, f"{best:.4f}", int(np.argmax(result["scores"])) + 1]
        row += [f"{s:.1f}" for s in (seconds, result["seconds"][-1])]
        for own in ours:
            own_seconds = seconds_to(runs[own], best)
            row.append("" if own_seconds is None else f"{own_seconds:.1f} s ({seconds / own_seconds:.1f} x)")
        rows.append(row)
    return harness.markdown_table(header, rows)


if __name__ == "__main__":
    main()
