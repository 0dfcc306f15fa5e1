"""The regression of each item on all items in its dual form, where a matrix of users is inverted."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse as sp
import torch

from .gram import blocks_of
from .regression import Regression, dense_product

COLUMNS_PER_BLOCK = 128  # of a thread
LARGEST_BESIDE_WEIGHTS = 2**31  # bytes of the matrix of users where all weights are asked for
# A multiplication of a sparse and a dense matrix takes as long as so many operations of an inverse
SPARSE = 20


class DualRegression(Regression):
    r"""A regression by the inverse of a matrix of users.

    With the weighted users X, penalties Lambda and A = X Lambda^{-1/2}, Woodbury's identity has the inverse of a matrix
    of items by one of users:

    .. math::

        Q = (A'A + I)^{-1} = I - A' K A, \quad K = (A A' + I)^{-1}, \quad P = \Lambda^{-1/2} Q \Lambda^{-1/2}.

    Parameters
    ----------
    scaled : csr_array of shape (n_users, n_items)
        A.
    penalties : float64 array of shape (n_items,)
        The diagonal of Lambda.
    kernel : array of shape (n_users, n_users)
        K.
    bound : float
        xi, the largest value of the diagonal of B; with 0 all of it is 0.
    had : bool array of shape (n_items,)
        Whether anyone has the item.
    """

    def __init__(self, scaled, penalties, kernel, bound, had):
        self.scaled, self.kernel, self.dtype = scaled, kernel, kernel.dtype
        penalties = penalties / np.median(penalties)
        shares = np.ones(len(penalties))
        for users in blocks_of(len(kernel)):
            shares -= scaled[users].multiply((scaled.T @ kernel[:, users]).T).sum(axis=0)
        super().__init__(penalties, shares, np.sqrt(penalties), bound, had)

    def __len__(self):
        return len(self.shares)

    def diagonal(self):
        """Diagonal of Q, float64 array of shape (n_items,)."""
        return self.shares

    def times(self, vectors):
        """Q times vectors.

        Parameters
        ----------
        vectors : array of shape (n_items, n)

        Returns
        -------
        array of shape (n_items, n)
        """
        return vectors - self.scaled.T @ dense_product(self.kernel, self.scaled @ vectors)

    def weights(self):
        n_items, users_of_items = len(self), self.scaled.T.tocsr()
        weights = np.empty((n_items, n_items), np.float32)
        factors = self.scales / self.divisors

        def fill(items):
            # columns, for SciPy's product of sparse and dense has a row for each item: rows would be written transposed
            users = np.ascontiguousarray((users_of_items[items] @ self.kernel).T)
            images = self.scaled.T @ users
            images /= self.scales[:, None]
            images *= factors[items]
            if self.is_centered:
                images += np.multiply.outer(self.image, self.gains[items])
            weights[:, items] = images

        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            list(threads.map(fill, blocks_of(n_items, COLUMNS_PER_BLOCK)))
        np.fill_diagonal(weights, self.own_weights())
        return weights

    def _smoothed(self, vector):
        return self.times(self.scales * vector) / self.scales

    def _products(self, X):
        divided = (X / self.scales).astype(self.dtype)
        return divided.toarray() - dense_product((divided @ self.scaled.T).toarray(), self.kernel) @ self.scaled


def scaled_users(users, penalties):
    """Users with each item divided by the root of its penalty.

    Parameters
    ----------
    users : csr_array of shape (n_users, n_items)
    penalties : float64 array of shape (n_items,)

    Returns
    -------
    csr_array of shape (n_users, n_items)
        With the dtype of the users.
    """
    values = (users.data / np.sqrt(penalties)[users.indices]).astype(users.dtype)
    return sp.csr_array((values, users.indices, users.indptr), shape=users.shape)


def dual_operations(n_users, n_items, n_interactions, dense):
    """How long the dual form takes, in operations of an inverse of n rows, which has n^3.

    Parameters
    ----------
    n_users, n_items, n_interactions : int
    dense : bool
        For all weights; else for the scores of validation users, some for each ten users.

    Returns
    -------
    float
        Infinite where the matrix of users would be too large beside the weights.
    """
    if dense and 4 * n_users**2 > LARGEST_BESIDE_WEIGHTS:
        return np.inf
    if dense:
        return n_users**3 + SPARSE * (2 * n_users + n_items) * n_interactions
    return 2 * n_users**3 + SPARSE * n_users * n_interactions
