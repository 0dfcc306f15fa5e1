"""Validation NDCG@100 against seconds of training, beside four libraries, on real data.

``python benchmarks/time_to_quality.py [NAME ...] [--data SET] [--limit SECONDS] [--results DIR] [--environments DIR]``.
NAME is a contestant or the start of its name: those are measured, else all that the record lacks. SET is one of
real_data.py, whose users are split into 80, 10 and 10 per cent; everyone gets the same validation users with the same
items hidden.

Of skvae everything counts that the user of fit waits for: its own validation after each epoch, and putting the best
epoch back. Of a peer the training alone counts; its validation users are scored while the clock stands still, and it
goes on until NDCG@100 has not risen for 20 epochs, or for SECONDS. It runs with the layers of the paper and the batches
of skvae, irspack with its own defaults as well. implicit's ALS is scored once, after its default number of iterations;
its parameters are the best that were found on anime. DIR gets SET.json and SET.md.
"""

import argparse
import json
from pathlib import Path

import harness
import numpy as np
from real_data import load

import skvae
from skvae.auto_parameters import batch_size

PATIENCE = 20
ALS = {"factors": 128, "regularization": 30, "alpha": 5}


def contestants(size):
    """Kind -> contestant -> runner and parameters; skvae has its untouched defaults but for what a name says.

    Parameters
    ----------
    size : int
        Of the batches, to which skvae resolves "auto".
    """
    paper = f"600-200, batch {size}"
    recbole = {"train_batch_size": size}
    irspack = {"dim_z": 200, "enc_hidden_dims": 600, "minibatch_size": size}
    cornac = {"k": 200, "autoencoder_structure": [600], "batch_size": size}
    bfloat16 = {"model": "MultDAERecommender", "precision": "bfloat16"}
    return {
        "Mult-VAE": {
            "skvae MultVAE float32": ("skvae", {"model": "MultVAERecommender"}),
            "skvae MultVAE bfloat16": ("skvae", {"model": "MultVAERecommender", "precision": "bfloat16"}),
            "irspack, defaults": ("irspack", {}),
            f"irspack, {paper}": ("irspack", irspack),
            f"Cornac VAECF, {paper}": ("cornac", cornac),
            f"RecBole MultiVAE, {paper}": ("recbole", {"model": "MultiVAE", "latent_dimension": 400, **recbole}),
        },
        "Mult-DAE": {
            "skvae MultDAE float32": ("skvae", {"model": "MultDAERecommender"}),
            "skvae MultDAE bfloat16": ("skvae", bfloat16),
            "skvae MultDAE bfloat16, dropout .3": ("skvae", {**bfloat16, "dropout": 0.3}),
            f"RecBole MultiDAE, 200, batch {size}": (
                "recbole",
                {"model": "MultiDAE", "mlp_hidden_size": [], "latent_dimension": 200, **recbole},
            ),
            "implicit ALS": ("implicit", ALS),
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="contestants; default those the record lacks")
    parser.add_argument("--data", default="anime", metavar="SET", help="default anime")
    parser.add_argument("--limit", type=float, default=150, metavar="SECONDS", help="of a peer's training")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "time_to_quality", metavar="DIR")
    parser.add_argument("--environments", type=Path, default=harness.ENVIRONMENTS, metavar="DIR")
    args = parser.parse_args()
    path = args.results / f"{args.data}.json"
    record = json.loads(path.read_text()) if path.exists() else {"machine": harness.machine(), "runs": {}}
    split = skvae.strong_generalization_split(load(args.data), random_state=0)
    groups = contestants(batch_size("auto", split.train.shape[0]))
    measure(groups, tuple(args.names), split, args.limit, args.environments, record, path)
    about = harness.describe(record["machine"], record["runs"].values())
    data = f"{args.data}, {split.train.shape[0]} training users, {split.train.shape[1]} items"
    text = "\n".join([f"# Time to quality: {data}\n", about, *(table(*group, record) for group in groups.items())])
    harness.show(text, path.with_suffix(".md"))


def measure(groups, names, split, limit, environments, record, path):
    fold_in, held_out = skvae.fold_in_split(split.validation)
    with harness.saved(train=split.train, fold_in=fold_in, held_out=held_out) as folder:
        for name, (runner, parameters) in {
            name: row for group in groups.values() for name, row in group.items()
        }.items():
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


def table(kind, names, record):
    """A row a contestant: its best, and how soon ours are as good."""
    runs = {name: record["runs"][name] for name in names if name in record["runs"]}
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
