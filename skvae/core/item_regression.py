"""The regression of each item on all items in closed form, in little more memory than that of its weights."""

from functools import partial

import numpy as np
import torch

from .devices import free_bytes, memory_of, resolve
from .dual_regression import DualRegression, dual_operations, scaled_users
from .gram import Gram, blocks_of
from .inversion import ROWS_OF_LAPACK, invert
from .regression import Regression, dense_product

# An inverse is taken for one where no item's row is off by more than this share of its diagonal
N_PROBES, MAX_ERROR = 8, 1e-2
# Weights are computed in double precision where one of them is off by more: a row of n is off by the root of n as much.
# The machine must have so many bytes for each entry of the inverse: twice what the inverse, LAPACK's copy of it and the
# weights take, and some
ERROR_OF_WEIGHT, BYTES_WITH_ROOM = 2e-5, 48


class PrimalRegression(Regression):
    """A regression by P itself.

    Parameters
    ----------
    inverse : array of shape (n_items, n_items)
        P, which `weights` overwrites.
    penalties : float64 array of shape (n_items,)
        The diagonal of Lambda.
    bound : float
        xi, the largest value of the diagonal of B; with 0 all of it is 0.
    had : bool array of shape (n_items,)
        Whether anyone has the item.
    """

    def __init__(self, inverse, penalties, bound, had):
        self.inverse = inverse
        super().__init__(penalties, penalties * inverse.diagonal(), penalties, bound, had)

    def weights(self):
        self.inverse /= -(self.divisors / self.scales).astype(self.inverse.dtype)
        if self.is_centered:
            for block in blocks_of(len(self.inverse)):
                self.inverse[block] += np.multiply.outer(self.image[block], self.gains)
        np.fill_diagonal(self.inverse, self.own_weights())
        return self.inverse.astype(np.float32, copy=False)

    def _smoothed(self, vector):
        penalized = self.penalties * vector
        return np.concatenate([self.inverse[block] @ penalized for block in blocks_of(len(self.inverse))])

    def _products(self, X):
        return X @ self.inverse


def item_regression(gram, penalties, device, bound=0.0, centering=0.0, dense=True):
    r"""Weights B between items, of P = (G + diag(penalties))^-1, or users times them.

    With bound = 0 and no centering they are B_ij = -P_ij / P_jj with a zero diagonal; `Regression` has the rest. Where
    few users make it quicker they come by the dual form.

    Parameters
    ----------
    gram : Gram
    penalties : float64 array of shape (n_items,)
        Above 0.
    device : torch.device
        Where to invert.
    bound : float, default=0
        The largest value of the diagonal; with 0 all of it is 0.
    centering : float, default=0
        Of the penalty, as in `Regression`.
    dense : bool, default=True
        False where only users are multiplied by B, ``X @ B``.

    Returns
    -------
    float32 array of shape (n_items, n_items), Regression or None
        The second if not dense. None where no inverse is exact enough.
    """
    regression = _dual(gram, penalties, device, bound, dense)
    is_dual_form = regression is not None
    if not is_dual_form:
        n_items, attempt = len(penalties), partial(_inverse, gram, penalties, device)
        inverse = _exact(attempt, n_items, n_items, dense, gram.processes)
        if inverse is None:
            return None
        regression = PrimalRegression(inverse, penalties, bound, gram.had())
    if centering and not bound and not gram.has_pairs():
        centering = 0.0  # all weights are 0 by any, and rounding would be left
    regression = regression.centered(centering)
    if not dense:
        return regression
    weights = regression.weights()
    # the inverse is the same already, what is computed of it need not be on another processor
    return _same_in_all(weights, gram.processes) if is_dual_form or centering else weights


def operations(n_users, n_items, n_interactions, dense=True):
    """How long `item_regression` takes, in operations of an inverse of n rows, which has n^3.

    Parameters
    ----------
    n_users, n_items, n_interactions : int
    dense : bool, default=True

    Returns
    -------
    int
    """
    return min(n_items**3, dual_operations(n_users, n_items, n_interactions, dense))


def is_dual(n_users, n_items, n_interactions, dense=True):
    """Whether `item_regression` inverts a matrix of users."""
    return operations(n_users, n_items, n_interactions, dense) < n_items**3


def _dual(gram, penalties, device, bound, dense):
    """The dual form where it is the quicker one, and exact enough."""
    users, processes = gram.users, gram.processes
    n_users, n_items = users.shape
    if gram.kept is not None or not is_dual(n_users, n_items, users.nnz, dense):
        return None

    def attempt(dtype):
        with np.errstate(over="ignore", invalid="ignore"):  # what a precision does not hold is left to the other form
            scaled = scaled_users(users, penalties)
            kernel, error = _inverse(Gram(scaled.T.tocsr(), processes=processes), np.ones(n_users), device, dtype)
            if not error <= MAX_ERROR:
                return None, error
            dual = DualRegression(scaled, penalties, kernel, bound, gram.had())
            return dual, processes.by_first(_error_of, dual, Gram(scaled), np.ones(n_items))

    return _exact(attempt, n_users, n_items, dense, processes)


def _exact(attempt, n_rows, n_items, dense, processes):
    """What is computed in single precision, or in double where that is not exact enough; None where neither is.

    Parameters
    ----------
    attempt : callable
        Precision -> (result, its error).
    n_rows : int
        Of the matrix that it inverts.
    n_items : int
        Of a row of the result, whose errors add up.
    dense : bool
        For weights, which are to be more exact than the scores of a search.
    processes : Alone

    Returns
    -------
    object
    """
    result, error = attempt(np.float32)
    is_usable = error <= MAX_ERROR
    allowed = min(ERROR_OF_WEIGHT * n_items**0.5, MAX_ERROR) if dense else MAX_ERROR
    if not error <= allowed and processes.by_first(_fits, (8 if not is_usable else BYTES_WITH_ROOM) * n_rows**2):
        del result
        result, error = attempt(np.float64)
    return result if error <= MAX_ERROR else None


def _inverse(gram, penalties, device, dtype):
    """(G + diag(penalties))^-1, array of shape (n_items, n_items), and its error, the same in all processes."""
    with np.errstate(over="ignore", invalid="ignore"):
        inverse = gram.dense(dtype)
        inverse[np.diag_indices_from(inverse)] += penalties.astype(dtype)
        error = gram.processes.by_first(_invert, inverse, gram, penalties, device)
    return _same_in_all(inverse, gram.processes) if error <= MAX_ERROR else inverse, error


def _same_in_all(matrix, processes):
    """The matrix of the first process, in all of them."""
    processes.broadcast_(torch.from_numpy(matrix))
    return matrix


def _invert(matrix, gram, penalties, device):
    """Invert G + diag(penalties) in place; the error as `_error_of` has it, infinite where it has no inverse."""
    if matrix.dtype == np.float64 and free_bytes(device) < 3 * matrix.nbytes:  # `device_for` counted on single
        device = resolve("cpu")
    on_device = torch.from_numpy(matrix).to(device)
    if not invert(on_device):
        return np.inf
    torch.from_numpy(matrix).copy_(on_device)
    return _error_of(matrix, gram, penalties)


def _fits(n_bytes):
    return n_bytes <= memory_of(resolve("cpu"))


def _error_of(inverse, gram, penalties):
    """What is left of random vectors, P r with r = v - A P v, beside each item's own P_jj: the largest of the items'.

    The product with A = G + diag(penalties) goes through the users: the matrix itself is gone.
    """
    vectors = np.random.default_rng(0).choice([-1.0, 1.0], (len(inverse), N_PROBES))
    times = inverse.times if isinstance(inverse, DualRegression) else partial(dense_product, inverse)
    images = times(vectors.astype(inverse.dtype)).astype(np.float64)
    left = vectors - gram.times(images) - penalties[:, None] * images
    errors = np.abs(times(left.astype(inverse.dtype))).max(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = errors / np.abs(inverse.diagonal())
    return float(np.nan_to_num(shares, nan=np.inf).max(initial=0))


def device_for(name, n_items):
    """Where to invert; "auto" is a GPU only with memory to spare for what `invert` holds.

    Parameters
    ----------
    name : str
    n_items : int

    Returns
    -------
    torch.device
    """
    device = resolve(name)
    n_matrices = 3 if n_items <= ROWS_OF_LAPACK else 1.5
    return resolve("cpu") if name == "auto" and free_bytes(device) < n_matrices * 4 * n_items**2 else device
