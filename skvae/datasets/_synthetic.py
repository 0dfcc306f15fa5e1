"""Synthetic interactions with known properties."""

import numbers

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_random_state

from ..parameters import integer, number


def make_interactions(n_users=1000, n_items=200, *, n_groups=4, density=0.1, random_state=None):
    """Users who like one group of items, and among its items the popular ones more.

    Item i belongs to group i % n_groups, each user to a random group. A user has a random number of
    items around density * n_items, at least 5 where that many exist. Nine in ten come from the
    user's own group. The weight of an item falls with its index, as 1 / (10 + index).

    Parameters
    ----------
    n_users, n_items : int, default=1000, 200
    n_groups : int, default=4
    density : float, default=0.1
        Mean number of interactions per user before they are brought between 5 and n_items, as a share of n_items, in
        (0, 1].
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    float32 csr_array of shape (n_users, n_items)
        Ones.

    Raises
    ------
    ValueError, TypeError
        Where a parameter is out of range, or there are more groups than items.

    Examples
    --------
    >>> from skvae.datasets import make_interactions
    >>> make_interactions(n_users=50, n_items=40, random_state=0).shape
    (50, 40)
    """
    n_users, n_items = integer(1)("n_users", n_users), integer(1)("n_items", n_items)
    n_groups = number(numbers.Integral, 1, n_items)("n_groups", n_groups)
    density = number(minimum=0, maximum=1, boundaries="right")("density", density)
    random_state = check_random_state(random_state)
    items = np.arange(n_items)
    weights = 1 / (10 + items)
    likes = items % n_groups == random_state.randint(n_groups, size=n_users)[:, None]
    counts = np.clip(random_state.poisson(density * n_items, n_users), min(5, n_items), n_items)
    indices = []
    for liked, count in zip(likes, counts, strict=True):
        p = weights * np.where(liked, 0.9 / weights[liked].sum(), 0.1 / max(weights[~liked].sum(), 1e-12))
        indices.append(np.sort(random_state.choice(n_items, count, replace=False, p=p / p.sum())))
    indptr = np.concatenate([[0], np.cumsum(counts)])
    ones = np.ones(indptr[-1], np.float32)
    return sp.csr_array((ones, np.concatenate(indices), indptr), shape=(n_users, n_items))
