"""The inverse of a symmetric positive definite matrix, in its own memory."""

import numpy as np
import torch
from scipy.linalg import get_lapack_funcs

# No call of LAPACK sees more rows than these: on two threads OpenBLAS's `spotrf` ends the process from 28 000 on.
ROWS_OF_LAPACK = 16384
# Up to so many rows it is torch's: SciPy's is quicker, but its threads spin for milliseconds after a call, and those of
# torch, which has the next one, wait for a core meanwhile.
ROWS_OF_TORCH = 2000
ROWS_PER_PRODUCT = 2048


@torch.no_grad()
def invert(matrix):
    r"""Invert a symmetric positive definite matrix in place; False where it has no inverse to its precision.

    By LAPACK where it is small enough, else by halves: with S = A_22 - A_21 A_11^-1 A_12 and W = A_21 A_11^-1,

    .. math:: A^{-1} = \begin{pmatrix} A_{11}^{-1} + W' S^{-1} W & -W' S^{-1} \\ -S^{-1} W & S^{-1} \end{pmatrix}

    which takes n^3 operations, as many as Cholesky's factor and the inverse from it, nearly all of them in large matrix
    products, and beside the matrix the memory of one that LAPACK gets. Only the lower triangle is read.

    Parameters
    ----------
    matrix : tensor of shape (n, n)
        Overwritten, also where it has no inverse.

    Returns
    -------
    bool
    """
    if len(matrix) <= ROWS_OF_LAPACK:
        return _invert_at_once(matrix)
    half = len(matrix) // 2
    first, below, rest = matrix[:half, :half], matrix[half:, :half], matrix[half:, half:]
    if not invert(first):
        return False
    for rows in _slices(len(rest)):  # from the last on: those before are still A_21
        product = below[rows] @ first
        rest[rows, : rows.stop].addmm_(product, below[: rows.stop].T, alpha=-1)
        below[rows] = product
    if not invert(rest):
        return False
    for columns in _slices(half):  # from the last on: those before are still W
        product = rest @ below[:, columns]
        first[columns, : columns.stop].addmm_(product.T, below[:, : columns.stop])
        below[:, columns] = product.neg_()
    matrix[:half, half:] = below.T
    _mirror(first)
    return True


def _invert_at_once(matrix):
    if matrix.device.type != "cpu" or len(matrix) <= ROWS_OF_TORCH:
        factor, failed = torch.linalg.cholesky_ex(matrix)
        if not failed:
            matrix.copy_(torch.cholesky_inverse(factor))
    else:
        _mirror(matrix)
        columns = np.ascontiguousarray(matrix.numpy()).T  # LAPACK reads rows as columns
        potrf, potri = get_lapack_funcs(("potrf", "potri"), [columns])
        _, failed = potrf(columns, lower=1, clean=0, overwrite_a=1)
        if not failed:
            _, failed = potri(columns, lower=1, overwrite_c=1)
        _mirror(torch.from_numpy(columns))
        matrix.copy_(torch.from_numpy(columns.T))
    diagonal = matrix.diagonal()
    return not failed and bool((diagonal.isfinite() & (diagonal > 0)).all())  # 0: that of an infinite matrix


def _slices(n_rows):
    """From the last to the first."""
    starts = range(0, n_rows, ROWS_PER_PRODUCT)
    return [slice(start, min(start + ROWS_PER_PRODUCT, n_rows)) for start in reversed(starts)]


def _mirror(matrix):
    """Copy the lower triangle above the diagonal."""
    for rows in _slices(len(matrix)):
        matrix[: rows.start, rows] = matrix[rows, : rows.start].T
        block = matrix[rows, rows]
        block.copy_(block.tril() + block.tril(-1).T)
