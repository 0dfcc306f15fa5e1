"""Which of a user's own items the score of an item comes from."""

from functools import partial

import numpy as np

from .item_checks import as_ranked, item_indices
from .matrix import users_of_entries
from .ranking import users_per_block


def explanations(model, X, items, k):
    """The own items of each user that contribute most to the scores of items, and what they contribute.

    Parameters
    ----------
    model : fitted recommender
    X : csr_array of shape (n_users, n_items)
        Checked.
    items : int array of shape (n_users, m)
        -1 for none.
    k : int
        Own items for each score.

    Returns
    -------
    own_items : int64 array of shape (n_users, m, k)
        -1 where no further one contributes anything.
    contributions : float32 array of shape (n_users, m, k)
        As the model has them, or what the scores lose without an own item.

    Raises
    ------
    ValueError
        Where items are out of range, or do not have one row per user.
    """
    items = _items_of_users(items, X.shape)
    own_items = np.full((*items.shape, k), -1, np.int64)
    contributions = np.zeros(own_items.shape, np.float32)
    contributions_of = model._contributions or partial(_losses_without, model)
    step = max(1, users_per_block(X.shape[1]) // max(1, items.shape[1]))
    for first in range(0, len(items), step):
        block = slice(first, first + step)
        rows = X[block]
        users = users_of_entries(rows)
        of_entries = contributions_of(rows, users, np.maximum(items[block], 0))
        of_entries[items[block][users] == -1] = 0
        _write_largest(of_entries, rows, users, own_items[block], contributions[block])
    return own_items, contributions


def _items_of_users(items, shape):
    """Checked item indices with a row for each user, -1 for none; int64 array."""
    items = as_ranked(items)
    if len(items) != shape[0]:
        raise ValueError(f"items has {len(items)} rows, X has {shape[0]} users: pass one row for each.")
    item_indices(items[items != -1], "items", shape[1])
    return items.astype(np.int64)


def _losses_without(model, X, users, items):
    """What the scores of a user's items lose where an entry of X is left out, float32 of shape (X.nnz, m)."""
    scores = np.take_along_axis(model.decision_function(X), items, axis=1)
    contributions = np.zeros((X.nnz, items.shape[1]), np.float32)
    step = users_per_block(X.shape[1])
    for first in range(0, X.nnz, step):
        entries = np.arange(first, min(first + step, X.nnz))
        left_out = users[entries]
        without = X[left_out]
        without.data[without.indptr[:-1] + entries - X.indptr[left_out]] = 0
        without.eliminate_zeros()
        others = np.take_along_axis(model.decision_function(without), items[left_out], axis=1)
        is_scored = np.isfinite(scores[left_out])
        np.subtract(scores[left_out], others, out=contributions[entries[0] : entries[-1] + 1], where=is_scored)
    return contributions


def _write_largest(of_entries, X, users, own_items, contributions):
    """Write the largest contributions that are not 0 for each user and place, best first, and whose they are."""
    for place, values in enumerate(of_entries.T):
        order = np.lexsort((np.where(values == 0, np.inf, -values), users))  # stable, and users stay in order
        rank = np.arange(X.nnz) - X.indptr[users]
        written = (rank < own_items.shape[2]) & (values[order] != 0)
        own_items[users[written], place, rank[written]] = X.indices[order[written]]
        contributions[users[written], place, rank[written]] = values[order[written]]
