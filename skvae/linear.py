"""The linear model between items in closed form, EASE^R."""

import os

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from .core.devices import check_device, free_bytes, resolve
from .core.inversion import invert
from .parameters import check_parameters, number
from .recommender import BaseRecommender, ItemSimilarityMixin

# Rows of X'X computed at once: a sparse product holds at most 12 bytes an entry, 60 MB of 20 000 items.
ITEMS_PER_BLOCK = 256
# An inverse is taken for one where no item's row is off by more than this share of its diagonal
N_PROBES, MAX_ERROR = 8, 1e-2


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
        parameters = check_parameters(self, CHECKS)
        candidate, X = self._checked_anew(X)
        _check_memory(X.shape[1])
        self._begin_fit(candidate)  # a refit does not hold two of the weights
        inverse = _inverse_gram(X, parameters.l2_regularization, _device_for(parameters.device, X.shape[1]))
        if inverse is None:
            raise ValueError(
                f"l2_regularization={self.l2_regularization} is too small beside the values of X: X'X + "
                "l2_regularization I has no inverse to the precision of its numbers. Raise it, or scale X down."
            )
        inverse /= -inverse.diagonal()
        np.fill_diagonal(inverse, 0)
        self.weights_ = inverse.astype(np.float32, copy=False)
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


def _device_for(name, n_items):
    """Where to invert; "auto" is a GPU only with memory to spare for the matrix and half as much beside it."""
    device = resolve(name)
    return resolve("cpu") if name == "auto" and free_bytes(device) < 6 * n_items**2 else device


def _inverse_gram(X, l2_regularization, device):
    """(X'X + l2 I)^-1, array of shape (n_items, n_items); None where no inverse is exact enough.

    In double precision where the one in single is not, as for items that always go together in counts of thousands.
    """
    for dtype in (np.float32, np.float64):
        inverse = _gram(X, dtype)
        inverse[np.diag_indices_from(inverse)] += l2_regularization
        on_device = torch.from_numpy(inverse).to(device)
        if invert(on_device):
            torch.from_numpy(inverse).copy_(on_device)
            if _is_inverse(inverse, X, l2_regularization):
                return inverse
        if not _fits(8 * len(inverse) ** 2):
            break
    return None


def _is_inverse(inverse, X, l2_regularization):
    """Whether what is left of random vectors, P r with r = v - A P v, is small beside each item's own P_jj.

    The product with A = X'X + l2 I goes through X: the matrix itself is gone.
    """
    vectors = np.random.default_rng(0).choice([-1.0, 1.0], (len(inverse), N_PROBES))
    images = inverse @ vectors.astype(inverse.dtype)
    left = vectors - X.T @ (X.astype(np.float64) @ images.astype(np.float64)) - l2_regularization * images
    errors = np.abs(inverse @ left.astype(inverse.dtype)).max(axis=1)
    return bool((errors <= MAX_ERROR * np.abs(inverse.diagonal())).all())


def _gram(X, dtype=np.float32):
    """X'X, array of shape (n_items, n_items)."""
    X = X.astype(dtype)
    users_of_items = X.T.tocsr()
    gram = np.empty((X.shape[1], X.shape[1]), dtype)
    for first in range(0, len(gram), ITEMS_PER_BLOCK):
        block = slice(first, first + ITEMS_PER_BLOCK)
        (users_of_items[block] @ X).toarray(out=gram[block])
    return gram


def _fits(n_bytes):
    """Whether the machine has so much memory, as far as it says."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", ()):  # Windows
        return True
    return n_bytes <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _check_memory(n_items):
    """Raise where n_items x n_items float32 are more than the machine has."""
    needed = 4 * n_items**2
    if not _fits(needed):
        raise MemoryError(
            f"EASERecommender needs {needed / 2**30:.1f} GiB for weights between {n_items} items, this machine has "
            "less: keep the items with the most users, or use MultDAERecommender or "
            "MultVAERecommender, whose memory grows with n_items alone."
        )


CHECKS = {"l2_regularization": number(minimum=0, boundaries="neither"), "device": check_device}
