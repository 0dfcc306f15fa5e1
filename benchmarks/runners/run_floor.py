"""Runs the output layer's matrix products alone, which no step can do without; see common.py.

Training needs three (logits, gradient of the weights, gradient of the hidden layer), recommending one.
"""

import json
import math
import sys
import time

import common
import torch

N_STEPS = 8


def training_products(batch_size, width, n_items, dtype, users_first):
    """(left, right, out) of each product, with all that is users x items stored in this order or the other."""
    hidden, weights = torch.randn(batch_size, width).to(dtype), torch.randn(n_items, width).to(dtype)
    if users_first:
        logits = torch.empty(batch_size, n_items, dtype=dtype).normal_()
        first, transposed = (hidden, weights.T, torch.empty_like(logits)), logits.T
    else:
        transposed = torch.empty(n_items, batch_size, dtype=dtype).normal_()
        first, logits = (weights, hidden.T, torch.empty_like(transposed)), transposed.T
    return [
        first,
        (transposed, hidden, torch.empty_like(weights)),
        (logits, weights, torch.empty_like(hidden)),
    ]


def recommending_products(n_users, block_size, width, n_items, dtype):
    """(left, right, out) of the one product, block by block into the same buffer."""
    codes, weights = torch.randn(n_users, width).to(dtype), torch.randn(n_items, width).to(dtype)
    buffer = torch.empty(block_size, n_items, dtype=dtype)
    return [(block, weights.T, buffer[: len(block)]) for block in codes.split(block_size)]


def seconds(products, n_repeats):
    """Of all products, the mean over the repeats after one that is left out."""
    run(products)
    start = time.perf_counter()
    for _ in range(n_repeats):
        run(products)
    return (time.perf_counter() - start) / n_repeats


def run(products):
    for left, right, out in products:
        torch.mm(left, right, out=out)


def main():
    *_, folder, request = sys.argv
    request = json.loads(request)
    n_users, n_items = common.load(common.Path(folder), "train").shape
    batch_size, width, dtype = (request["parameters"][name] for name in ("batch_size", "width", "dtype"))
    dtype = getattr(torch, dtype)
    step = min(
        seconds(training_products(batch_size, width, n_items, dtype, users_first), N_STEPS)
        for users_first in (True, False)
    )
    recommending = min(
        seconds(recommending_products(n_users, block_size, width, n_items, dtype), 1) for block_size in (100, 500)
    )
    common.print_result(
        {
            "epoch_seconds": [step * math.ceil(n_users / batch_size)],
            "recommended_per_second": n_users / recommending,
        }
    )


if __name__ == "__main__":
    main()
