"""Training and recommending on a GPU, with a check that it computes what the CPU does.

``python benchmarks/gpu.py [--device cuda] [--users N] [--items N] [--epochs N] [--results DIR]``. The matrix is made up
with the 20 108 items and 72 interactions a user of the paper's ML-20M (of its 136 677 users it takes minutes to make);
models have their default layers. The first epoch is left out. DIR gets gpu.md.

What to expect: NVIDIA's own implementation of the network (VAE-CF in its Deep Learning Examples, batches of 24 576)
reports 113 s for its 400 epochs of ML-20M on an A100, 354 000 users a second. ``--device cpu --users 2000`` runs
everything on a CPU.
"""

import argparse
import time
from pathlib import Path

import harness
import numpy as np
import torch
from runners.common import EpochEnd

import skvae

ESTIMATORS = {"Mult-VAE 600-200-600": skvae.MultVAERecommender, "Mult-DAE 200": skvae.MultDAERecommender}
# name -> precision of skvae, and of torch's float32 products: "high" is TF32 where the GPU has it
PRECISIONS = {"float32": ("float32", "highest"), "TF32": ("float32", "high"), "bfloat16": ("bfloat16", "highest")}
BATCH_SIZES = (500, 8192)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda", help="a torch device, default cuda")
    parser.add_argument("--users", type=int, default=40_000, metavar="N")
    parser.add_argument("--items", type=int, default=20_108, metavar="N")
    parser.add_argument("--epochs", type=int, default=3, metavar="N", help="measured, after one that is not")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "gpu", metavar="DIR")
    args = parser.parse_args()
    check_against_cpu(args.device)
    X = harness.make_matrix(args.users, args.items)
    rows = [
        measure(name, precision, batch_size, X, args)
        for name in ESTIMATORS
        for precision in PRECISIONS
        for batch_size in BATCH_SIZES
    ]
    header = ["model", "precision", "batch", "training, users/s", "recommend(k=100), users/s", "peak GPU memory, MB"]
    about = harness.machine()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    text = (
        f"# On a GPU\n\n{about['date']}, {gpu}, {about['processor']}, torch {torch.__version__}, "
        f"{args.users} users x {args.items} items, {X.nnz} interactions.\n\n{harness.markdown_table(header, rows)}"
    )
    print(text)
    harness.write(text, args.results / "gpu.md")


def check_against_cpu(device):
    """The same losses and scores, of a model without noise in one batch of all users, to float32's precision."""
    X = harness.make_matrix(400, 2000)
    model = skvae.MultDAERecommender(50, dropout=0, batch_size=400, max_iter=5, early_stopping=False, random_state=0)
    there = skvae.MultDAERecommender(**model.get_params()).set_params(device=device).fit(X)
    here = model.set_params(device="cpu").fit(X)
    np.testing.assert_allclose(there.loss_curve_, here.loss_curve_, rtol=1e-4)
    np.testing.assert_allclose(there.decision_function(X), here.decision_function(X), atol=1e-3)
    print(f"{device} agrees with cpu: loss {there.loss_curve_[-1]:.5f} and {here.loss_curve_[-1]:.5f}", flush=True)


def measure(name, precision, batch_size, X, args):
    skvae_precision, torch_precision = PRECISIONS[precision]
    torch.set_float32_matmul_precision(torch_precision)
    on_gpu = args.device.startswith("cuda")
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    ends = []
    model = ESTIMATORS[name](
        batch_size=batch_size,
        max_iter=args.epochs + 1,
        early_stopping=False,
        precision=skvae_precision,
        device=args.device,
        random_state=0,
    )
    model.set_callbacks(EpochEnd(lambda: ends.append(time.perf_counter()))).fit(X)
    trained = X.shape[0] / float(np.median(np.diff(ends)))
    peak = round(torch.cuda.max_memory_allocated() / 1e6) if on_gpu else ""
    model.recommend(X[:500], k=100)
    start = time.perf_counter()
    model.recommend(X, k=100)
    recommended = X.shape[0] / (time.perf_counter() - start)
    row = [name, precision, batch_size, round(trained), round(recommended), peak]
    print(row, flush=True)
    return row


if __name__ == "__main__":
    main()
