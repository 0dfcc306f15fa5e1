"""The regression of each item on all items in closed form, in the memory of one n_items x n_items matrix."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse as sp
import torch

from .devices import free_bytes, memory_of, resolve
from .inversion import ROWS_OF_LAPACK, invert
from .processes import ALONE

# Rows of the Gram matrix computed at once, by all threads together: a sparse product holds at most 12 bytes an entry,
# 60 MB of 20 000 items.
ITEMS_PER_BLOCK = 256
# An inverse is taken for one where no item's row is off by more than this share of its diagonal
N_PROBES, MAX_ERROR = 8, 1e-2


def item_regression(gram, penalties, device, bound=0.0):
    r"""Weights B between items, of P = (G + diag(penalties))^-1.

    With bound = 0 they are B_ij = -P_ij / P_jj with a zero diagonal; else

    .. math:: B = I - P \operatorname{diag}(\Lambda + \mu), \quad
        \mu_j = (1 - \xi) / P_{jj} - \Lambda_j \text{ where } 1 - \Lambda_j P_{jj} > \xi, \text{ else } 0

    with Lambda for the penalties and xi for the bound.

    Parameters
    ----------
    gram : Gram
    penalties : float64 array of shape (n_items,)
        Above 0.
    device : torch.device
        Where to invert.
    bound : float, default=0
        The largest value of the diagonal.

    Returns
    -------
    float32 array of shape (n_items, n_items), or None
        None where no inverse is exact enough.
    """
    inverse = _inverse(gram, penalties, device)
    if inverse is None:
        return None
    diagonal = inverse.diagonal().copy()
    if bound == 0:
        inverse /= -diagonal
        np.fill_diagonal(inverse, 0)
    else:
        ridge = 1 - penalties * diagonal  # the diagonal of B where mu = 0
        inverse *= -np.where(ridge > bound, (1 - bound) / diagonal, penalties).astype(inverse.dtype)
        np.fill_diagonal(inverse, np.clip(ridge, 0, bound))
    return inverse.astype(np.float32, copy=False)


def _inverse(gram, penalties, device):
    """P, array of shape (n_items, n_items); None where no inverse is exact enough.

    In double precision where the one in single is not, as for items that always go together in counts of thousands.
    """
    processes = gram.processes
    for dtype in (np.float32, np.float64):
        with np.errstate(over="ignore", invalid="ignore"):  # what single precision does not hold is tried in double
            inverse = gram.dense(dtype)
            inverse[np.diag_indices_from(inverse)] += penalties.astype(dtype)
            is_inverted = processes.by_first(_invert, inverse, gram, penalties, device)
        if is_inverted:
            processes.broadcast_(torch.from_numpy(inverse))
            return inverse
        if not processes.by_first(_fits, 8 * len(inverse) ** 2):
            break
    return None


def _invert(matrix, gram, penalties, device):
    """Invert G + diag(penalties) in place; whether that is exact enough."""
    on_device = torch.from_numpy(matrix).to(device)
    if not invert(on_device):
        return False
    torch.from_numpy(matrix).copy_(on_device)
    return _is_inverse(matrix, gram, penalties)


def _fits(n_bytes):
    return n_bytes <= memory_of(resolve("cpu"))


def _is_inverse(inverse, gram, penalties):
    """Whether what is left of random vectors, P r with r = v - A P v, is small beside each item's own P_jj.

    The product with A = G + diag(penalties) goes through the users: the matrix itself is gone.
    """
    vectors = np.random.default_rng(0).choice([-1.0, 1.0], (len(inverse), N_PROBES))
    images = (inverse @ vectors.astype(inverse.dtype)).astype(np.float64)
    left = vectors - gram.times(images) - penalties[:, None] * images
    errors = np.abs(inverse @ left.astype(inverse.dtype)).max(axis=1)
    return bool((errors <= MAX_ERROR * np.abs(inverse.diagonal())).all())


class Gram:
    r"""G, the sum of c_u^-exponent x_u' x_u over users, and of what was kept of other users.

    Parameters
    ----------
    users : csr_array of shape (n_users, n_items)
    exponent : float, default=0
        c_u is the user's number of interactions.
    kept : float32 array of shape (n_kept, n_kept), default=None
        G of other users, who had only the first items; not modified.
    processes : Alone or ProcessGroup
        That have the same users, and compute G together.
    """

    def __init__(self, users, exponent=0.0, kept=None, processes=ALONE):
        self.users, self.kept, self.processes = users_weighted(users, exponent), kept, processes

    def dense(self, dtype):
        """G, array of shape (n_items, n_items), to which each process adds its users.

        Parameters
        ----------
        dtype : dtype

        Returns
        -------
        array of shape (n_items, n_items)
        """
        n_items = self.users.shape[1]
        gram = np.zeros((n_items, n_items), dtype)
        if self.kept is not None:
            gram[: len(self.kept), : len(self.kept)] = self.kept
        users = self.processes.rows_of(self.users).astype(dtype)
        items = users.T.tocsr()
        n_threads = min(torch.get_num_threads(), ITEMS_PER_BLOCK)
        blocks = _blocks(n_items, ITEMS_PER_BLOCK // n_threads)
        with ThreadPoolExecutor(n_threads) as threads:
            for first in range(0, len(blocks), n_threads):
                together = blocks[first : first + n_threads]
                parts = [*threads.map(lambda block: (items[block] @ users).toarray(), together)]
                for block, part in zip(together, parts, strict=True):
                    self.processes.sum_(torch.from_numpy(part))
                    gram[block] += part
        return gram

    def times(self, vectors):
        """G times vectors, in double precision.

        Parameters
        ----------
        vectors : float64 array of shape (n_items, n)

        Returns
        -------
        float64 array of shape (n_items, n)
        """
        images = self.users.T @ (self.users.astype(np.float64) @ vectors)
        if self.kept is not None:
            n_kept = len(self.kept)
            for block in _blocks(n_kept):
                images[:n_kept][block] += self.kept[block].astype(np.float64) @ vectors[:n_kept]
        return images


def _blocks(n_items, size=ITEMS_PER_BLOCK):
    return [slice(first, first + size) for first in range(0, n_items, size)]


def users_weighted(users, exponent):
    """Users times c_u^(-exponent / 2): their weight in G is the square.

    Parameters
    ----------
    users : csr_array of shape (n_users, n_items)
    exponent : float

    Returns
    -------
    csr_array of shape (n_users, n_items)
        The users themselves with exponent 0.
    """
    if exponent == 0:
        return users
    counts = np.diff(users.indptr)
    weights = (np.maximum(counts, 1) ** (-exponent / 2)).astype(users.dtype)
    return sp.csr_array((users.data * np.repeat(weights, counts), users.indices, users.indptr), shape=users.shape)


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
