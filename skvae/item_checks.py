"""Checked item indices, ranked items as `recommend` returns them, and vectors that describe items."""

from collections.abc import Iterable, Set

import numpy as np
import scipy.sparse as sp
from sklearn.preprocessing import normalize
from sklearn.utils import check_scalar

from .matrix import as_csr, dense_values
from .matrix_checks import check_not_masked

MOST_RANKS = 2**31 - 1


def item_indices(indices, name, n_items, for_each_user=""):
    """Checked item indices.

    Parameters
    ----------
    indices : array of int of shape (n,)
    name : str
        What the error calls them.
    n_items : int
    for_each_user : str, default=""
        Said to somebody who passes items of each user: what does that.

    Returns
    -------
    int64 array of shape (n,)

    Raises
    ------
    ValueError
        Where they are not integers, not one-dimensional or out of range.
    """
    if isinstance(indices, Set):
        raise ValueError(f"{name} must be a list or array of item indices, got a set, which has no order.")
    check_not_masked(indices, name)
    try:
        indices = np.asarray(indices)
    except ValueError:
        raise ValueError(
            f"{name} must be a one-dimensional array of item indices, got lists in a list{for_each_user}."
        ) from None
    if indices.dtype.kind in "USO" and any(isinstance(index, (str, bytes)) for index in indices.flat):
        raise ValueError(
            f"{name} holds text, such as {str(indices.flat[0])!r}: it takes column numbers of X, which "
            "InteractionEncoder.item_indices gives for ids."
        )
    if indices.ndim != 1 or (len(indices) and not np.issubdtype(indices.dtype, np.integer)):
        remedy = "; for a boolean mask pass np.flatnonzero(mask)" if indices.dtype.kind == "b" else ""
        remedy = f", such as [{indices}]" if indices.ndim == 0 and indices.dtype.kind in "iu" else remedy
        remedy = for_each_user if indices.ndim == 2 else remedy
        raise ValueError(
            f"{name} must be a one-dimensional array of item indices, got dtype {indices.dtype} with "
            f"shape {indices.shape}{remedy}."
        )
    if len(indices) and not (indices.min() >= 0 and indices.max() < n_items):
        wrong, none = indices.max(), ": for ids pass encoder.item_indices(ids)"
        if indices.min() < 0:
            wrong, none = indices.min(), ", and -1 stands for none, such as an id that an encoder does not know"
        raise ValueError(f"{name} holds item {wrong}; X has items 0 to {n_items - 1}{none}.")
    return indices.astype(np.int64)


def blocked_items(candidates, exclude, n_items, remedy=""):
    """Item indices that nobody may get.

    Parameters
    ----------
    candidates, exclude : array of int, or None
        As in `skvae.recommend`.
    n_items : int
    remedy : str, default=""
        What to do where exclude is no array of item indices.

    Returns
    -------
    int64 array
        In order.

    Raises
    ------
    ValueError, TypeError
    """
    if candidates is None and exclude is None:
        return np.empty(0, np.int64)
    blocked = np.zeros(n_items, bool)
    if candidates is not None:
        blocked[:] = True
        blocked[_column_numbers(candidates, "candidates", n_items)] = False
    if exclude is not None:
        blocked[_column_numbers(exclude, "exclude", n_items, remedy)] = True
    return np.flatnonzero(blocked)


def _column_numbers(indices, name, n_items, remedy=""):
    """Checked item indices, which are no mask of 0 and 1 for each item."""
    indices = item_indices(_listed(indices), name, n_items, remedy)
    if 2 < n_items == len(indices) and indices.max() <= 1:
        raise ValueError(
            f"{name} holds 0 or 1 for each of the {n_items} items, as a mask does: it takes column numbers of X, as "
            "np.flatnonzero(mask) gives them."
        )
    return indices


def _listed(indices):
    """A set or any other iterable as a list; arrays and tables as they are."""
    is_array = isinstance(indices, (str, bytes)) or hasattr(indices, "__array__")
    return list(indices) if isinstance(indices, Iterable) and not is_array else indices


def as_ranked(items):
    """Items as an array, checked to have users and ranks.

    Parameters
    ----------
    items : int array of shape (n_users, n_ranks)

    Returns
    -------
    int array of shape (n_users, n_ranks)

    Raises
    ------
    ValueError
        Where it has another number of dimensions, or does not hold integers, or some are masked.
    """
    check_not_masked(items, "items")
    try:
        items = np.asarray(items)
    except ValueError:  # lists of different lengths
        raise ValueError("items must have as many ranks for each user: fill up with -1, as recommend does.") from None
    if items.ndim != 2 or not np.issubdtype(items.dtype, np.integer):
        got = f"dtype {items.dtype} with shape {items.shape}"
        is_row = items.ndim == 1 and np.issubdtype(items.dtype, np.integer)
        remedy = ": of one user pass [items]" if is_row else ""
        raise ValueError(f"items must be integer item indices of shape (n_users, k), got {got}{remedy}.")
    return items


def first_k(items, n_items, k=None):
    """The first k ranks, checked.

    Parameters
    ----------
    items : int array of shape (n_users, n_ranks)
        Ranked item indices, best first, -1 for none.
    n_items : int
    k : int, default=None
        None: all ranks.

    Returns
    -------
    int64 array of shape (n_users, min(k, n_ranks))

    Raises
    ------
    ValueError
        Where an item is out of range or listed twice, or items has fewer ranks than k asks for.
    """
    items = as_ranked(items)
    n_ranks = items.shape[1]
    k = int(check_scalar(n_ranks if k is None else k, "k", (int, np.integer), min_val=1, max_val=MOST_RANKS))
    if n_ranks < min(k, n_items):
        raise ValueError(
            f"items holds {n_ranks} ranks per user, k={k} needs more: recommend at least k items. Where evaluate or a "
            'scorer recommends, a metric by its name, as in "recall@200", gets as many ranks as it needs.'
        )
    items = items[:, :k]
    if items.size and (items.min() < -1 or items.max() >= n_items):
        got = items.min() if items.min() < -1 else items.max()
        raise ValueError(f"items must lie between -1 (none) and {n_items - 1}, the last item of {n_items}, got {got}.")
    ordered = np.sort(items, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        raise ValueError("items lists an item twice for one user: a ranking holds each item once.")
    return items.astype(np.int64, copy=False)  # uint64 and int64 would make floats


def unit_vectors(item_vectors):
    """Vectors of length 1, whose products are cosines; a vector of zeros stays one.

    Parameters
    ----------
    item_vectors : sparse matrix or array of shape (n_items, n_features)

    Returns
    -------
    float64 csr_array or array of shape (n_items, n_features)
    """
    read = as_csr if sp.issparse(item_vectors) else dense_values
    try:
        vectors = read(item_vectors, "item_vectors", negative=True)
    except ValueError as error:
        raise ValueError(
            f"{str(error).partition(',')[0]}: they are finite numbers in two dimensions, with a row for each item and "
            "a column for each of its features, as genres.str.get_dummies('|') makes of texts such as 'Action|Comedy'."
        ) from error
    vectors = vectors.astype(np.float64)
    if not vectors.shape[1]:
        return normalize(vectors)  # raises
    largest = abs(vectors).max(axis=1)  # whose squares may leave float64, and normalize takes 1e-16 for nothing
    largest = largest.toarray() if sp.issparse(largest) else largest
    largest[largest == 0] = 1
    if not sp.issparse(vectors):
        return normalize(vectors / largest[:, None])
    vectors.data /= np.repeat(largest, np.diff(vectors.indptr))
    return sp.csr_array(normalize(vectors))
