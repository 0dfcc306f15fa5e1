"""The Gram matrix of items, whole or as a product with vectors."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse as sp
import torch

from .processes import ALONE

# Rows of the Gram matrix computed at once, by all threads together: a sparse product holds at most 16 bytes per entry,
# 40 MB of 20 000 items.
ITEMS_PER_BLOCK = 128
# Up to which G is kept for another inverse of it, 268 MB in single precision; of more items the inverse takes longer
MOST_ITEMS_KEPT = 8192


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
    is_asked_again : bool, default=False
        Whether G itself is wanted several times: of up to 8192 items it is kept then, in single precision.
    """

    def __init__(self, users, exponent=0.0, kept=None, processes=ALONE, is_asked_again=False):
        self.users, self.kept, self.processes = users_weighted(users, exponent), kept, processes
        self._is_asked_again, self._single = is_asked_again and users.shape[1] <= MOST_ITEMS_KEPT, None

    def dense(self, dtype):
        """G, array of shape (n_items, n_items), to which each process adds its users.

        Parameters
        ----------
        dtype : dtype

        Returns
        -------
        array of shape (n_items, n_items)
            Of its own, to be overwritten.
        """
        if dtype == np.float32 and self._single is not None:
            return self._single.copy()
        gram = self._added_up(dtype)
        if dtype == np.float32 and self._is_asked_again:
            self._single = gram.copy()
        return gram

    def _added_up(self, dtype):
        n_items = self.users.shape[1]
        gram = np.zeros((n_items, n_items), dtype)
        if self.kept is not None:
            gram[: len(self.kept), : len(self.kept)] = self.kept
        users = self.processes.rows_of(self.users)
        # SciPy adds up one user after the other, and millions of them in single precision would end far from the sum
        users = sp.csr_array((users.data.astype(np.float64), users.indices, users.indptr), shape=users.shape)
        items = users.T.tocsr()
        # what is summed at once must be of one size in all processes
        n_threads = self.processes.of_first(min(torch.get_num_threads(), ITEMS_PER_BLOCK))
        blocks = blocks_of(n_items, ITEMS_PER_BLOCK // n_threads)
        with ThreadPoolExecutor(n_threads) as threads:
            for first in range(0, len(blocks), n_threads):
                together = blocks[first : first + n_threads]
                parts = [*threads.map(lambda block: (items[block] @ users).toarray(), together)]
                for block, part in zip(together, parts, strict=True):
                    self.processes.sum_(torch.from_numpy(part))
                    gram[block] += part
        return gram

    def had(self):
        """Whether anyone has an item, bool array of shape (n_items,)."""
        had = np.bincount(self.users.indices, minlength=self.users.shape[1]) > 0
        if self.kept is not None:
            had[: len(self.kept)] |= self.kept.diagonal() > 0
        return had

    def has_pairs(self):
        """Whether anyone has two items: else G is diagonal."""
        if np.diff(self.users.indptr).max(initial=0) > 1:
            return True
        return self.kept is not None and np.count_nonzero(self.kept) > np.count_nonzero(self.kept.diagonal())

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
            for block in blocks_of(n_kept):
                images[:n_kept][block] += self.kept[block].astype(np.float64) @ vectors[:n_kept]
        return images


def blocks_of(n_rows, size=ITEMS_PER_BLOCK):
    """Slices of so many rows, which together are all."""
    return [slice(first, first + size) for first in range(0, n_rows, size)]


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
