"""Training and recommending on a GPU, with a check that it computes what the CPU does.

``python benchmarks/gpu.py [--device cuda] [--users N] [--items N] [--epochs N] [--full N] [--matrix FILE]
[--results DIR]``. The matrix is made up with the training users, items and interactions per user of the paper's ML-20M,
which takes minutes: FILE keeps it. Models have their default layers. The first epoch, in which a GPU's update is
recorded, is left out of the times of an update. DIR gets gpu.md, after each line anew.

What to expect: NVIDIA's own implementation of the network (VAE-CF in its Deep Learning Examples, batches of 24 576)
reports 113 s for its 400 epochs of ML-20M on an A100, 354 000 users a second. ``--device cpu --users 2000 --full 0``
runs everything on a CPU.
"""

import argparse
import time
from pathlib import Path

import harness
import numpy as np
import scipy.sparse as sp
import torch
from runners.common import EpochEnd

import skvae
from skvae.core.item_products import MULTIPLE_OF_ITEMS

# name -> estimator, width of its item matrices
ESTIMATORS = {"Mult-VAE 600-200-600": (skvae.MultVAERecommender, 600), "Mult-DAE 200": (skvae.MultDAERecommender, 200)}
# name -> precision of skvae, and of torch's float32 products: "high" is TF32 where the GPU has it
PRECISIONS = {"bfloat16": ("bfloat16", "highest"), "float32": ("float32", "highest"), "TF32": ("float32", "high")}
BATCH_SIZES = (500, 8192)
HEADER = [
    "model, precision, batch",
    "ms an update",
    "ms its three products alone (TFLOP/s)",
    "training, users/s",
    "recommend(k=100), users/s",
    "peak GPU memory, MB",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda", help="a torch device, default cuda")
    parser.add_argument("--users", type=int, default=116_677, metavar="N")
    parser.add_argument("--items", type=int, default=20_108, metavar="N")
    parser.add_argument("--epochs", type=int, default=2, metavar="N", help="measured, after one that is not")
    parser.add_argument("--full", type=int, default=200, metavar="N", help="epochs of the fits measured as a whole")
    parser.add_argument("--matrix", type=Path, metavar="FILE", help="the matrix, an .npz; made where it is missing")
    parser.add_argument("--results", type=Path, default=harness.RESULTS / "gpu", metavar="DIR")
    args = parser.parse_args()
    check_against_cpu(args.device)
    X = matrix(args)
    about = harness.machine()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    about = (
        f"{about['date']}, {gpu}, {about['processor']}, torch {torch.__version__}, "
        f"{X.shape[0]} users x {X.shape[1]} items, {X.nnz} interactions"
    )
    rows, fits = [], []
    for batch_size in BATCH_SIZES:
        for precision in PRECISIONS:
            for name in ESTIMATORS:
                rows.append(measure(name, precision, batch_size, X, args))
                if args.full and (precision, batch_size) == ("bfloat16", BATCH_SIZES[0]):
                    fits.append(fit_whole(name, precision, batch_size, X, args))
                text = f"# On a GPU\n\n{about}.\n\n{harness.markdown_table(HEADER, rows)}\n{''.join(fits)}"
                harness.write(text, args.results / "gpu.md")
    print(text)


def matrix(args):
    if args.matrix and args.matrix.exists():
        return sp.csr_array(sp.load_npz(args.matrix))
    X = harness.make_matrix(args.users, args.items)
    if args.matrix:
        sp.save_npz(args.matrix, X)
    return X


def check_against_cpu(device):
    """The same losses and scores, of a model without noise in one batch of all users, to 1e-4.

    Scores as a whole: Adam makes steps of one length, so that a gradient near 0 that is rounded to the other side of it
    moves single ones by more.
    """
    X = harness.make_matrix(400, 2000)
    model = skvae.MultDAERecommender(50, dropout=0, batch_size=400, max_iter=5, early_stopping=False, random_state=0)
    there = skvae.MultDAERecommender(**model.get_params()).set_params(device=device).fit(X)
    here = model.set_params(device="cpu").fit(X)
    np.testing.assert_allclose(there.loss_curve_, here.loss_curve_, rtol=1e-4)
    scores = here.decision_function(X)
    difference = np.linalg.norm(there.decision_function(X) - scores) / np.linalg.norm(scores)
    losses = f"losses {there.loss_curve_[-1]:.5f} and {here.loss_curve_[-1]:.5f}"
    print(f"scores on {device} and cpu differ by {difference:.1e}, {losses}", flush=True)
    if difference > 1e-4:
        raise AssertionError(f"{device} does not compute what the CPU does")


def measure(name, precision, batch_size, X, args):
    """A line of the table."""
    on_gpu = args.device.startswith("cuda")
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    ends = []
    model = estimator(name, precision, batch_size, args.epochs + 1, args)
    model.set_callbacks(EpochEnd(lambda: ends.append(time.perf_counter()))).fit(X)
    epoch = float(np.median(np.diff(ends)))
    peak = round(torch.cuda.max_memory_allocated() / 1e6) if on_gpu else ""
    model.recommend(X[:500], k=100)
    start = time.perf_counter()
    model.recommend(X, k=100)
    recommended = X.shape[0] / (time.perf_counter() - start)
    n_updates = -(-X.shape[0] // batch_size)
    _, width = ESTIMATORS[name]
    products = time_of_products(batch_size, width, args.items, PRECISIONS[precision][0], args.device)
    rate = 6 * batch_size * width * args.items / products / 1e12
    update, products = f"{epoch / n_updates * 1e3:.2f}", f"{products * 1e3:.2f} ({rate:.0f})"
    line = f"{name}, {precision}, {batch_size}"
    row = [line, update, products, round(X.shape[0] / epoch), round(recommended), peak]
    print(row, flush=True)
    return row


def fit_whole(name, precision, batch_size, X, args):
    """A sentence about a fit of many epochs, its beginning and end included."""
    start = time.perf_counter()
    estimator(name, precision, batch_size, args.full, args).fit(X)
    seconds = time.perf_counter() - start
    sentence = f"{args.full} epochs of {name}, {precision}, in batches of {batch_size}: fit takes {seconds:.0f} s.\n"
    print(sentence, flush=True)
    return sentence


def estimator(name, precision, batch_size, n_epochs, args):
    of_skvae, of_torch = PRECISIONS[precision]
    torch.set_float32_matmul_precision(of_torch)
    cls, _ = ESTIMATORS[name]
    return cls(
        batch_size=batch_size,
        max_iter=n_epochs,
        early_stopping=False,
        precision=of_skvae,
        device=args.device,
        random_state=0,
    )


def time_of_products(n_users, width, n_items, precision, device):
    """Seconds of the three products of an update with an item matrix, alone."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    if precision == "bfloat16" and device.startswith("cuda"):
        n_items += -n_items % MULTIPLE_OF_ITEMS  # as an update takes them
    shapes = (n_users, width), (n_items, width), (n_users, n_items)
    hidden, weight, logits = (torch.randn(shape, device=device).to(dtype) for shape in shapes)
    n_times = 50 if device.startswith("cuda") else 3

    def products():
        torch.mm(hidden, weight.T, out=logits)
        return logits @ weight, logits.T @ hidden

    def waited():
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter()

    products()
    start = waited()
    for _ in range(n_times):
        products()
    return (waited() - start) / n_times


if __name__ == "__main__":
    main()
