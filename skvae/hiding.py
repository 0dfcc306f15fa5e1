"""Which of a user's items are hidden: for score, scorers, evaluate and pictures, and for users a fit holds out."""

import numbers
from functools import partial

import numpy as np
import scipy.sparse as sp

from .columns import check_columns_of_model, check_same_cells, column_names, shape_of
from .core.user_warnings import warn_user
from .matrix import as_csr, count_interactions, row_blocks, row_sliceable, take_rows, users_of_entries
from .matrix_checks import is_matrix
from .parameters import integer, number, share
from .timestamps import are_from, times_of_entries
from .user_hashes import entry_hashes

MIN_INTERACTIONS = 5  # of which a fifth is one
FEWEST_TO_HIDE = 2  # one to rank and one to rank it by
HELD_OUT_FRACTION = 0.2
FEW_ITEMS = 20  # with fewer items, users often have the same items by chance


def fold_in_split(
    X,
    *,
    held_out_fraction=HELD_OUT_FRACTION,
    min_interactions=MIN_INTERACTIONS,
    random_state=0,
    timestamps=None,
    at=None,
):
    """Hide some items of every user, at random, the last ones, or those from a moment on: X = fold_in + held_out.

    int(held_out_fraction * n) of a user's n items are held out, without replacement; users with
    fewer than min_interactions keep all as fold-in (Liang et al., "Variational Autoencoders for
    Collaborative Filtering", WWW 2018, section 4.3, and the authors' notebook).

    The draw depends only on the seed and the set of the user's items: not on values, row order, container, index dtype
    or the other users of X. With timestamps the same number of items is held out, but each user's last ones; there is
    a draw only among equal timestamps.

    With ``at`` the cut is the same moment for all users: interactions at that moment or later are held out, so a model
    fitted on the fold-in knows nothing of them. Some users may then have no fold-in, or no held-out items.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)
        Non-zero entries are interactions; not modified.
    held_out_fraction : float or int, default=0.2
        Share of each user's items to hide, in (0, 1), or their number; users with at most this number of items hide
        nothing. Not used with ``at``.
    min_interactions : int, default=5
        Users with fewer items hide nothing. Not used with ``at``.
    random_state : int, default=0
        Seed of the draw.
    timestamps : sparse matrix or array of shape (n_users, n_items), default=None
        When each interaction took place, in any unit; `skvae.InteractionEncoder.timestamps` gives
        it. Entries beside those of X are ignored; a time of 0 is a time like any other, and in a
        sparse matrix it has to be stored. None: a random draw.
    at : number, datetime, numpy.datetime64 or str, default=None
        The moment of a cut through all users, in the unit of timestamps. A date stands for its microseconds since
        1970, in UTC where it has no zone: the unit of `skvae.InteractionEncoder.timestamps`. A string is ISO 8601, as
        in "2018-01-01".

    Returns
    -------
    fold_in : like X
        X with the hidden entries zeroed (a DataFrame keeps its names) or, if sparse, removed.
    held_out : sparse of shape (n_users, n_items)
        The hidden entries with their values: of X's class if X is sparse, else a csr_array.

    Raises
    ------
    ValueError, TypeError
        Where a parameter is out of range, or timestamps has another shape than X, a value that is
        not finite, or none for an interaction, or where ``at`` is not between the first and the last of them.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.model_selection import fold_in_split
    >>> X = np.array([[1, 1, 0, 1, 1, 1], [0, 1, 1, 0, 0, 0]])
    >>> fold_in, held_out = fold_in_split(X)
    >>> fold_in.sum(axis=1), held_out.sum(axis=1)
    (array([4, 2]), array([1, 0]))
    >>> fold_in_split(X, timestamps=np.array([[2001, 2024, 0, 2002, 2003, 2004], [0] * 6]))[1].toarray()
    array([[0, 1, 0, 0, 0, 0],
           [0, 0, 0, 0, 0, 0]])
    """
    check_hiding(held_out_fraction, min_interactions, random_state)
    interactions = as_csr(X)
    times = None if timestamps is None else times_of_entries(interactions, timestamps, X)
    if at is None:
        hidden = _hidden(interactions, held_out_fraction, min_interactions, random_state, times)
    else:
        hidden = are_from(at, times)
    if sp.issparse(X):
        return type(X)(entries(interactions, ~hidden)), type(X)(entries(interactions, hidden))
    held_out = entries(interactions, hidden)
    return _without_cells(X, held_out), held_out


def entries(X, kept):
    """Some of the entries of a matrix.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)
    kept : bool array of shape (nnz,)

    Returns
    -------
    csr_array of shape (n_users, n_items)
    """
    n_before = np.zeros(len(kept) + 1, X.indptr.dtype)
    np.cumsum(kept, dtype=n_before.dtype, out=n_before[1:])
    return sp.csr_array((X.data[kept], X.indices[kept], n_before[X.indptr]), shape=X.shape)


def _without_cells(X, cells):
    """Copy of a dense array, list or table, 0 where a sparse matrix has entries; each column keeps its dtype.

    Of a list it is an array.
    """
    rows, columns = cells.nonzero()
    names = column_names(X)
    if names is None:
        values = np.asarray(X).copy()
        values[rows, columns] = 0
        return values
    if hasattr(X, "iloc") and len({*X.dtypes}) == 1 and isinstance(X.dtypes.iloc[0], np.dtype):
        values = X.to_numpy(copy=True)  # at once: of many columns each would be slow, and slow to read again
        values[rows, columns] = 0
        return type(X)(values, index=X.index, columns=X.columns)
    if hasattr(X, "sparse") and X.shape[1] and all(dtype.fill_value == 0 for dtype in X.dtypes):  # of pandas
        stored, n_columns = X.sparse.to_coo(), np.int64(X.shape[1])
        stored.data = stored.data * ~np.isin(stored.row * n_columns + stored.col, rows * n_columns + columns)
        table = type(X).sparse.from_spmatrix(stored, index=X.index)
        if [*table.dtypes] == [*X.dtypes]:  # else each column is copied to have its own
            return table.set_axis(X.columns, axis=1)
    else:
        parts = [np.asarray(X.iloc[:, i] if hasattr(X, "iloc") else X[name]).copy() for i, name in enumerate(names)]
        by_column = cells.tocsc()
        for part, first, last in zip(parts, by_column.indptr, by_column.indptr[1:], strict=False):
            part[by_column.indices[first:last]] = 0
        if not hasattr(X, "iloc"):  # of pyarrow, or of polars
            return _table_like(X, dict(zip(names, parts, strict=True)))
        table = type(X)(dict(enumerate(parts)), index=X.index)
    return table.astype(dict(enumerate(X.dtypes))).set_axis(X.columns, axis=1)


def _table_like(table, columns):
    make = partial(getattr(table, "from_pydict", type(table)), schema=table.schema)
    try:
        return make(columns)
    except Exception:  # of decimals and dictionaries, which are made of values alone
        return make({name: [type(values[0])(value) for value in values] for name, values in columns.items()})


def check_hiding(held_out_fraction, min_interactions, random_state):
    """Raise where a parameter of `fold_in_split` has the wrong type or is out of range.

    Parameters
    ----------
    held_out_fraction, min_interactions, random_state :
        As in `fold_in_split`.

    Raises
    ------
    TypeError, ValueError
    """
    is_number_of_items = isinstance(held_out_fraction, numbers.Integral) and not isinstance(held_out_fraction, bool)
    (integer(1) if is_number_of_items else share)("held_out_fraction", held_out_fraction)
    integer(1)("min_interactions", min_interactions)
    number(numbers.Integral, 0, 2**64 - 1)("random_state", random_state)


def interactions_needed(held_out_fraction, min_interactions):
    """Interactions that a user needs for `fold_in_split` to hide one of them.

    Parameters
    ----------
    held_out_fraction, min_interactions :
        As in `fold_in_split`.

    Returns
    -------
    int
        At least min_interactions, and more where the fraction of so many is below 1.

    Examples
    --------
    >>> from skvae.hiding import interactions_needed
    >>> interactions_needed(0.2, 3), interactions_needed(0.5, 3)
    (5, 3)
    """
    if isinstance(held_out_fraction, numbers.Integral):
        return max(int(held_out_fraction) + 1, int(min_interactions))
    needed = int(min(1 / held_out_fraction, 2.0**53))
    while held_out_fraction * needed < 1 and needed < 2**53:
        needed += 1
    return max(needed, min_interactions)


def _hidden(X, held_out_fraction, min_interactions, seed, times):
    """Which entries to hide, bool (nnz,): of each user the latest, among those the smallest hashes."""
    hidden = np.empty(X.nnz, bool)
    for block in row_blocks(X):
        part = slice(X.indptr[block.start], X.indptr[block.stop])
        of_block = None if times is None else times[part]
        hidden[part] = _hidden_of_block(X[block], held_out_fraction, min_interactions, seed, of_block)
    return hidden


def _hidden_of_block(X, held_out_fraction, min_interactions, seed, times):
    counts, users = np.diff(X.indptr), users_of_entries(X)
    is_share = not isinstance(held_out_fraction, numbers.Integral)
    n_hidden = (held_out_fraction * counts).astype(np.int64) if is_share else np.int64(held_out_fraction)
    n_hidden = np.where(counts >= interactions_needed(held_out_fraction, min_interactions), n_hidden, 0)
    latest_first = np.zeros(X.nnz, np.int8) if times is None else -np.unique(times, return_inverse=True)[1]
    draws = entry_hashes(X, seed)
    order = np.lexsort((draws, latest_first, users))
    hidden = np.empty(X.nnz, bool)
    hidden[order] = np.arange(X.nnz) - X.indptr[users] < n_hidden[users]
    return hidden


def hide_items(X, y=None, *, model=None):
    """Fold-in and held-out of a scoring call; `hide_for_validation` has those of users whom a fit holds out.

    Items of y that X holds as well are never recommended. They are no held-out items then, and a warning says how many
    they are.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)
    y : matrix of shape (n_users, n_items), or array of shape (n_users,), default=None
        The held-out matrix, X being the fold-in then. A one-dimensional y is labels and ignored.
    model : fitted estimator, default=None
        Whose item names a table y must have.

    Returns
    -------
    fold_in : like X
    held_out : sparse of shape (n_users, n_items)
        With y a canonical csr_array.

    Raises
    ------
    ValueError, TypeError
        Where X or y is no matrix of finite, non-negative numbers, or a matrix y has another shape
        than X, or other columns.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.hiding import hide_items
    >>> fold_in, held_out = hide_items(np.ones((2, 10)))
    >>> held_out.sum(axis=1)
    array([2., 2.])
    """
    if is_matrix(y):
        return _given_items(X, y, model, exclude_seen=True)
    _check_labels(y, X)
    return fold_in_split(X)


def hide_for_validation(X):
    """Fold-in and held-out of users whom a fit holds out: as `fold_in_split`, and one item of users with fewer than 5.

    Of an X_val whose users all have fewer than 5 it is so, too; beside others, these are not scored.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)

    Returns
    -------
    fold_in, held_out : csr_array of shape (n_users, n_items)
        Of a user with one item nothing is held out.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from skvae.hiding import hide_for_validation
    >>> fold_in, held_out = hide_for_validation(sp.csr_array(np.tri(6)))
    >>> held_out.sum(axis=1)
    array([0., 1., 1., 1., 1., 1.])
    """
    is_light = (np.diff(X.indptr) < MIN_INTERACTIONS)[users_of_entries(X)]
    hidden = _hidden(X, HELD_OUT_FRACTION, MIN_INTERACTIONS, seed=0, times=None)
    if is_light.any():  # of whom none is hidden so far
        hidden |= is_light & _hidden(X, 1, FEWEST_TO_HIDE, seed=0, times=None)
    return entries(X, ~hidden), entries(X, hidden)


def hide_in_blocks(X, y=None, *, model=None, exclude_seen=True, **hiding):
    """What `hide_items` gives, a block of users at a time where items are hidden: the fold-in is not held as a whole.

    Parameters
    ----------
    X, y, model :
        As in `hide_items`.
    exclude_seen : bool, default=True
        Leave the items that X holds out of y.
    **hiding :
        Parameters of `skvae.fold_in_split`.

    Returns
    -------
    iterable of pairs (fold_in, held_out)
        Their users are those of X one after the other.

    Raises
    ------
    ValueError, TypeError
        As `hide_items`, of all of X at once.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.hiding import hide_in_blocks
    >>> [held_out.sum(axis=1) for fold_in, held_out in hide_in_blocks(np.ones((2, 10)))]
    [array([2., 2.])]
    """
    if is_matrix(y):
        return [_given_items(X, y, model, exclude_seen)]
    _check_labels(y, X)
    as_csr(X)  # an error in its last block comes before any work
    X = row_sliceable(X)
    return (fold_in_split(take_rows(X, block), **hiding) for block in row_blocks(X))


def _given_items(X, y, model, exclude_seen):
    """Fold-in and held-out that were given."""
    seen, held_out = as_csr(X), as_csr(y, "y")
    check_same_cells(y, X, "y")
    check_columns_of_model(model, y, "y")
    return row_sliceable(X), _without_seen(held_out, seen) if exclude_seen else held_out


def _check_labels(y, X):
    """Raise where y is neither a matrix nor one label for each user."""
    if y is None:
        return
    shape = shape_of(y)
    if len(shape) != 1:
        raise TypeError(f"y must be a held-out matrix of the shape of X, or None, got {type(y).__name__}.")
    if shape[0] != shape_of(X)[0]:
        raise ValueError(
            f"y is one-dimensional and of length {shape[0]}, X has {shape_of(X)[0]} users: pass a held-out matrix of "
            "the shape of X, or no y."
        )


def _without_seen(held_out, seen):
    """The entries of held_out that seen does not have; a warning counts the others."""
    repeats = [held_out.indptr[block.start] + _repeats(held_out[block], seen[block]) for block in row_blocks(seen)]
    kept = np.ones(held_out.nnz, bool)
    for places in repeats:
        kept[places] = False
    if kept.all():
        return held_out
    repeated = entries(held_out, ~kept)
    n_users = np.count_nonzero(np.diff(repeated.indptr))
    warn_user(
        f"{repeated.nnz} held-out items of {n_users} users are in their fold-in as well. As seen items they are not "
        "recommended, and no model could be right about them: they are not counted as held out. exclude_seen=False, of "
        "evaluate and RankingScorer, ranks and counts them, for shops where people buy again."
    )
    return entries(held_out, kept)


def _repeats(held_out, seen):
    """Places of the entries of held_out that seen has too."""
    pattern = sp.csr_array((np.ones(seen.nnz, np.int8), seen.indices, seen.indptr), shape=seen.shape)
    numbered = sp.csr_array((np.arange(1, held_out.nnz + 1), held_out.indices, held_out.indptr), shape=held_out.shape)
    return numbered.multiply(pattern).tocsr().data - 1


def why_nobody_is_scored(X, y, *, held_out_fraction, min_interactions, min_value):
    """What a user needs for a score, and how far the users of X are from it; the end of an error.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)
    y : matrix, labels or None
    held_out_fraction, min_interactions :
        As in `skvae.fold_in_split`.
    min_value : float

    Returns
    -------
    str
    """
    if is_matrix(y):
        return (
            f"a user needs an entry of y above min_value={min_value} where X holds none (fold_in_split hides "
            "int(held_out_fraction * n) of a user's n items, and one with held_out_fraction=1)."
        )
    needed, most = interactions_needed(held_out_fraction, min_interactions), count_interactions(X).max(initial=0)
    if most >= needed:
        return f"a user needs hidden items with a value above min_value={min_value}."
    return (
        f"a user needs {needed} interactions to hide one with held_out_fraction={held_out_fraction} and "
        f"min_interactions={min_interactions}, and the most that a user of X has is {most}."
        f"{of_small_baskets(min_interactions, most)}"
    )


def of_small_baskets(min_interactions, most):
    """What to pass where users have few items, as a sentence after others.

    Parameters
    ----------
    min_interactions, most : int
        What a user was asked for, and what the one with the most has.

    Returns
    -------
    str
        Empty where that is not the trouble: where more was asked for than by default, or nobody has two items.
    """
    if min_interactions > MIN_INTERACTIONS or most < FEWEST_TO_HIDE:
        return ""
    return (
        " Where users have few, give splitters min_interactions=2, and evaluate and RankingScorer held_out_fraction=1 "
        "and min_interactions=2, by which everyone with two hides one."
    )
