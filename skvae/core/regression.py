"""Weights between items of an inverse that is held in one form or another: their columns, and users times them."""

from copy import copy

import numpy as np

from .devices import tensor_of

ROUNDING = 1e-6  # what may be left of the diagonal of B where it is 0, as of an item that nobody has


class Regression:
    r"""Weights B between items, by which users can be multiplied before they are computed: ``X @ B``.

    Of P = (G + Lambda)^-1, a bound xi of the diagonal and a centering theta they are

    .. math::

        B &= I - P \operatorname{diag}(\Lambda_j / d_j) + u w' \\
        u &= P \Lambda 1, \quad k = \theta / (1' \Lambda 1 - \theta\, 1' \Lambda u), \quad e_j = k \Lambda_j u_j \\
        q_j &= \Lambda_j P_{jj} + k \Lambda_j u_j^2, \quad
        d_j = q_j / (1 - \xi + e_j) \text{ where } 1 - q_j + e_j > \xi \text{ or } \xi = 0, \text{ else } 1 \\
        w_j &= k \Lambda_j (1 - u_j / d_j)

    which is the regression whose penalty of a column of B is the sum of Lambda_i B_ij^2 less theta of what their mean
    has in it, (sum of Lambda_i B_ij)^2 / (sum of Lambda_i): by Sherman and Morrison's formula for the inverse. Items
    that nobody has are left out of the mean. In the code u is ``image``, k Lambda ``pulls``, d ``divisors`` and w
    ``gains``.

    Parameters
    ----------
    penalties : float64 array of shape (n_items,)
        The diagonal of Lambda, by any scale: B depends on ratios of them and on ``shares`` alone.
    shares : float64 array of shape (n_items,)
        Lambda_j P_jj.
    scales : float64 array of shape (n_items,)
        What `_products` lack of X P Lambda.
    bound : float
        xi, the largest value of the diagonal of B; with 0 all of it is 0.
    had : bool array of shape (n_items,)
        Whether anyone has the item.
    """

    def __init__(self, penalties, shares, scales, bound, had):
        self.penalties, self.shares, self.scales, self.bound, self.had = penalties, shares, scales, bound, had
        self._choose_columns(0.0, 0.0)

    def centered(self, centering):
        """The weights with a centering, of the same inverse, which is shared.

        Parameters
        ----------
        centering : float
            theta in [0, 1).

        Returns
        -------
        Regression
        """
        centered = copy(self)
        if centering == 0 or not self.had.any():
            centered._choose_columns(0.0, 0.0)
        else:
            penalties = np.where(self.had, self.penalties, 0)
            image = self._smoothed(self.had.astype(np.float64)) * self.had
            centered._choose_columns(image, centering / (penalties.sum() - centering * penalties @ image) * penalties)
        return centered

    def __rmatmul__(self, X):
        """Users times B: their scores.

        Parameters
        ----------
        X : csr_array of shape (n_users, n_items)

        Returns
        -------
        float32 array of shape (n_users, n_items)
        """
        scores = self._products(X)
        scores *= -(self.scales / self.divisors).astype(scores.dtype)
        scores[np.repeat(np.arange(X.shape[0]), np.diff(X.indptr)), X.indices] += X.data
        if self.is_centered:
            scores += np.multiply.outer((X @ self.image).astype(scores.dtype), self.gains.astype(scores.dtype))
        return scores.astype(np.float32, copy=False)

    @property
    def is_centered(self):
        """Whether u w' is not 0."""
        return np.ndim(self.image) > 0

    def own_weights(self):
        """The diagonal of B, float64 array of shape (n_items,): at most the bound, and exactly 0 with a bound of 0."""
        own = np.where(self._is_bound, self.bound, self._free)
        return np.where(np.abs(own) > ROUNDING, own, 0)

    def _choose_columns(self, image, pulls):
        """u and k Lambda of the centering, and what follows from them."""
        q, self.image = self.shares + pulls * np.square(image), image
        self._free = 1 - q + pulls * image
        self._is_bound = (self._free > self.bound) | (self.bound == 0)
        self.divisors = np.where(self._is_bound, q, 1) / np.where(self._is_bound, 1 - self.bound + pulls * image, 1)
        self.gains = pulls * (1 - image / self.divisors)

    def _smoothed(self, vector):
        """P Lambda times a vector."""
        raise NotImplementedError

    def _products(self, X):
        """X P Lambda divided by the scales, a new array."""
        raise NotImplementedError

    def weights(self):
        """B itself, float32 array of shape (n_items, n_items); where the inverse has its size, in place of it."""
        raise NotImplementedError


def dense_product(left, right):
    """Left times right by torch: NumPy's threads would spin beside those of torch, which has the next call.

    Parameters
    ----------
    left : array of shape (m, n)
    right : array of shape (n,) or (n, k)

    Returns
    -------
    array of shape (m,) or (m, k)
    """
    dtype = np.result_type(left, right)
    left, right = (tensor_of(factor.astype(dtype, copy=False)) for factor in (left, right))
    return (left @ right).numpy()
