"""How fast a device is, by a few tenths of a second of the work that training and linear models do."""

import time

import torch

from .inversion import ROWS_OF_TORCH, invert

SECONDS, SECONDS_OF_INVERSES = 0.1, 0.3  # of each measurement, about
BYTES_COPIED = 2**26  # more than fits into a cache
N_CALLS = 100
# By SciPy's LAPACK, as larger matrices; no power of two, of which the rows get into each other's way in a cache
ROWS_INVERTED = ROWS_OF_TORCH + 100


@torch.no_grad()
def product_rate(n_users, width, n_items, dtype, device):
    """Operations a second of the product of a batch's hidden layer with some items: twice the multiplications."""
    hidden, factor = (torch.ones(n, width, dtype=dtype, device=device) for n in (n_users, n_items))
    out = torch.empty(n_users, n_items, dtype=dtype, device=device)
    return 2 * n_users * width * n_items / _seconds(lambda: torch.mm(hidden, factor.T, out=out), device)


@torch.no_grad()
def copy_rate(device):
    """Bytes a second, read and written."""
    source = torch.ones(BYTES_COPIED // 4, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    return 2 * BYTES_COPIED / _seconds(lambda: target.copy_(source), device)


@torch.no_grad()
def call_rate(device):
    """Operations a second on a single number, which take the time of their calls."""
    number = torch.zeros(1, device=device)

    def calls():
        for _ in range(N_CALLS):
            number.add_(1)

    return N_CALLS / _seconds(calls, device)


@torch.no_grad()
def inverse_rate(device):
    """Operations a second of the inverse of a symmetric matrix of n rows, of n^3 operations."""
    diagonal = torch.eye(ROWS_INVERTED, dtype=torch.float32, device=device)
    matrix = torch.empty_like(diagonal)
    return ROWS_INVERTED**3 / _seconds(lambda: invert(matrix.copy_(diagonal)), device, SECONDS_OF_INVERSES)


def _seconds(work, device, seconds=SECONDS):
    """The seconds of the quickest of several runs in a row; the first is not counted."""
    work()
    best, end = float("inf"), time.perf_counter() + seconds
    while True:
        _wait(device)
        start = time.perf_counter()
        work()
        _wait(device)
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            return best


def _wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)
