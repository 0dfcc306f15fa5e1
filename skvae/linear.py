"""The linear model between items in closed form, EASE^R."""

import os

import numpy as np
from scipy.linalg.lapack import spotrf, spotri
from sklearn.utils.validation import check_is_fitted

from .core.devices import check_device, free_bytes, invert_on, resolve
from .parameters import check_parameters, number
from .recommender import BaseRecommender, ItemSimilarityMixin

# Rows of X'X computed at once: a sparse product holds at most 12 bytes an entry, 60 MB of 20 000 items.
ITEMS_PER_BLOCK = 256


class EASERecommender(ItemSimilarityMixin, BaseRecommender):
    """Recommend by a linear regression of each item on all others (EASE^R of Steck, 2019).

    The weights B minimise ||X - X B||^2 + l2_regularization ||B||^2 with a zero diagonal, so that
    no item explains itself. Of P = (X'X + l2_regularization I)^-1 they are in closed form

        B_ij = -P_ij / P_jj for i != j,  B_jj = 0,

    and the scores of a user are x_u B. There is no training loop, nothing random and one
    parameter. The fit takes time in n_items^3 and one matrix of n_items x n_items float32: 1.6 GB
    and 8e12 floating-point operations for 20 000 items, whatever the number of users.

    Parameters
    ----------
    l2_regularization : float, default=200
        Above 0. The lowest of the published values (200 on MSD, 500 on ML-20M, 1000 on Netflix).
        It is added to X'X, so that values of X twice as large need four times as much.
    device : str, default="auto"
        A torch device such as "cpu" or "cuda" where fit inverts the matrix; a GPU needs memory for three of them.
        "auto" is a GPU if there is one with so much to spare. Scores are computed on the CPU.

    Attributes
    ----------
    weights_ : float32 array of shape (n_items, n_items)
        B, from the item in the row to the item in the column.
    n_features_in_ : int
        n_items.
    feature_names_in_ : array of str
        Item names, where fit got a DataFrame.

    References
    ----------
    Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019,
    https://arxiv.org/abs/1905.03375, equation 8

    Examples
    --------
    >>> from skvae import EASERecommender
    >>> X = [[1, 1, 0, 0], [1, 1, 0, 1], [0, 0, 1, 1], [0, 0, 1, 1]]
    >>> model = EASERecommender(l2_regularization=1).fit(X)
    >>> model.predict([[1, 0, 0, 0], [0, 0, 1, 0]])  # what goes with item 0, and with item 2
    array([1, 3])
    """

    def __init__(self, *, l2_regularization=200.0, device="auto"):
        self.l2_regularization = l2_regularization
        self.device = device

    def fit(self, X, y=None):
        """Solve for the weights between items.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            Non-negative interactions.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        MemoryError
            Where the n_items x n_items weights are larger than this machine's memory; before any
            of the work.
        ValueError
            Where l2_regularization is not above 0, or so small beside X'X that float32 does not
            resolve it, or where the device is not present.
        """
        check_parameters(self, {"l2_regularization": number(minimum=0, boundaries="neither"), "device": check_device})
        X = self._check_interactions(X, reset=True)
        _check_memory(X.shape[1])
        self.__dict__.pop("weights_", None)  # a refit does not hold two of them
        inverse = _gram(X)
        inverse[np.diag_indices_from(inverse)] += self.l2_regularization
        device = self._device_for(X.shape[1])
        if not (_invert(inverse) if device.type == "cpu" else invert_on(device, inverse)):
            raise ValueError(
                f"l2_regularization={self.l2_regularization} is too small beside the values of X: X'X + "
                "l2_regularization I has no inverse in float32. Raise it, or scale X down."
            )
        inverse /= -inverse.diagonal()
        np.fill_diagonal(inverse, 0)
        self.weights_ = inverse
        return self

    def decision_function(self, X):
        """Score of every item for every user: X B.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            The users' interactions; users that fit never saw are rows like any other.

        Returns
        -------
        float32 array of shape (n_users, n_items)
            Higher is better; the items in X included.
        """
        check_is_fitted(self)
        return self._check_interactions(X, reset=False) @ self.weights_

    def _item_similarity(self, items):
        return self.weights_[items]

    def _device_for(self, n_items):
        device = resolve(self.device)
        return resolve("cpu") if self.device == "auto" and free_bytes(device) < 3 * 4 * n_items**2 else device


def _gram(X):
    """X'X, float32 array of shape (n_items, n_items)."""
    users_of_items = X.T.tocsr()
    gram = np.empty((X.shape[1], X.shape[1]), np.float32)
    for first in range(0, len(gram), ITEMS_PER_BLOCK):
        block = slice(first, first + ITEMS_PER_BLOCK)
        (users_of_items[block] @ X).toarray(out=gram[block])
    return gram


def _invert(gram):
    """Invert a C-contiguous float32 symmetric matrix in place; False where it is not positive definite."""
    # LAPACK reads rows as columns: its lower triangle, the only one it writes, is our upper one
    _, failed = spotrf(gram.T, lower=1, clean=0, overwrite_a=1)
    if failed or not np.isfinite(gram.diagonal()).all():
        return False
    spotri(gram.T, lower=1, overwrite_c=1)
    for first in range(0, len(gram), ITEMS_PER_BLOCK):
        block = slice(first, first + ITEMS_PER_BLOCK)
        gram[block, :first] = gram[:first, block].T
        gram[block, block] = np.triu(gram[block, block]) + np.triu(gram[block, block], 1).T
    return True


def _check_memory(n_items):
    """Raise where n_items x n_items float32 are more than the machine has, as far as it says."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", ()):  # Windows
        return
    needed, present = 4 * n_items**2, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > present:
        raise MemoryError(
            f"EASERecommender needs {needed / 2**30:.1f} GiB for weights between {n_items} items, this machine has "
            f"{present / 2**30:.1f} GiB: keep the items with the most users, or use MultDAERecommender or "
            "MultVAERecommender, whose memory grows with n_items alone."
        )
