"""Users known by hashes of their items: whom a model was fitted on, whoever passes them again."""

import numpy as np

from .matrix import row_blocks, users_of_entries
from .wrappers import steps_and_model


def user_hashes(X, seed=0):
    """A number for each user's set of items: the same for every order of them, values aside.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)
        Canonical.
    seed : int, default=0

    Returns
    -------
    uint64 array of shape (n_users,)
        0 of a user without items.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from skvae.user_hashes import user_hashes
    >>> one, other, third = user_hashes(csr_array([[1, 0, 2], [3, 0, 1], [0, 1, 1]]))
    >>> bool(one == other), bool(one == third)
    (True, False)
    """
    hashes = np.empty(X.shape[0], np.uint64)
    for block in row_blocks(X):
        bounds = X.indptr[block.start : block.stop + 1]
        sums = np.zeros(bounds[-1] - bounds[0] + 1, np.uint64)
        np.cumsum(_item_hashes(X.indices[bounds[0] : bounds[-1]], X.shape[1], seed), out=sums[1:])
        hashes[block] = np.diff(sums[bounds - bounds[0]])  # of a sum modulo 2**64
    return hashes


def entry_hashes(X, seed):
    """A number for each entry, of its item and of the set of its user's items.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)
        Canonical.
    seed : int

    Returns
    -------
    uint64 array of shape (nnz,)
    """
    return _mix(_item_hashes(X.indices, X.shape[1], seed) ^ _mix(user_hashes(X, seed))[users_of_entries(X)])


def _item_hashes(items, n_items, seed):
    """A number for each of the items, from a table where they are more than there are."""
    of_seed = _mix(np.array([seed], np.uint64))
    if len(items) < n_items:
        return _mix(items.astype(np.uint64) + of_seed)
    return _mix(np.arange(n_items, dtype=np.uint64) + of_seed)[items]


def _mix(keys):
    """The finaliser of SplitMix64 (Steele et al., OOPSLA 2014): uint64 to well-mixed uint64."""
    keys = keys + np.uint64(0x9E3779B97F4A7C15)
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


def all_hashes(estimator, hashes):
    """Hashes of the users of before and of more users.

    Parameters
    ----------
    estimator : estimator
        Which may know those of before.
    hashes : uint64 array of shape (n_users,), or None

    Returns
    -------
    uint64 array, or None
        None where either are not known.
    """
    before = getattr(estimator, "_user_hashes", None)
    return None if before is None or hashes is None else np.union1d(before, hashes)


def add_fitted_users(estimator, X):
    """Add the users of a partial_fit to those that a model was fitted on, where these are stored.

    Parameters
    ----------
    estimator : fitted recommender
    X : csr_array of shape (n_users, n_items)
    """
    if getattr(estimator, "_user_hashes", None) is not None:
        estimator._user_hashes = all_hashes(estimator, user_hashes(X) if estimator.store_user_hashes else None)


def hashes_with_members(hashes, pairs):
    """Hashes of users, and of those that are known to members of a blend.

    Parameters
    ----------
    hashes : uint64 array, or None
    pairs : list of (str, fitted estimator)
        A member behind steps of a Pipeline is not asked: it knows users as the steps left them.

    Returns
    -------
    uint64 array, or None
        None where nobody is known.
    """
    known = [hashes]
    for _, member in pairs:
        steps, recommender = steps_and_model(member)
        known.append(None if steps else getattr(recommender, "_user_hashes", None))
    known = [hashes for hashes in known if hashes is not None]
    return np.unique(np.concatenate(known)) if known else None
