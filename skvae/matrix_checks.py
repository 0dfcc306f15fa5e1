"""Whether a matrix is what it is taken for: no pair, no table of events, no ids among its values."""

import re
from collections import Counter

import numpy as np

from .columns import column_names, shape_of
from .core.user_warnings import warn_user

# Of two columns, so that the rows of a matrix of few items may be events
MOST_ITEMS, FEWEST_IDS = 5, 20
# In a column of ids that was left in a matrix, each row has a larger integer than the one before
FEWEST_ROWS_OF_IDS = 10
# A matrix of so few items does not have both a column of users and one of items
MOST_COLUMNS_OF_EVENTS = 10
USER_COLUMN = re.compile(r"(user|customer|client|visitor|member|reader|listener|account|session)s?[ _-]?(id|idx)?")
ITEM_COLUMN = re.compile(r"(item|movie|film|product|article|song|track|artist|book|game|video|sku)s?[ _-]?(id|idx)?")


def check_not_masked(values, name):
    """Raise where part of an array is masked, which says that it is not there.

    Parameters
    ----------
    values : object
    name : str
        What the error calls it.

    Raises
    ------
    ValueError
    """
    if np.ma.is_masked(values):
        raise ValueError(f"{name} must not be masked in part: drop what is masked, or fill it, as with .filled(...).")


def is_matrix(y):
    """Whether a y is a held-out matrix, and not labels or None, which a search passes on.

    Parameters
    ----------
    y : object

    Returns
    -------
    bool
    """
    return len(shape_of(y)) >= 2


def is_pair(X):
    """Whether X is two matrices, as (fold_in, held_out) is, or a tuple of a matrix and something else.

    Parameters
    ----------
    X : object

    Returns
    -------
    bool
    """
    if not isinstance(X, (tuple, list)) or len(X) != 2:
        return False
    return all(map(is_matrix, X)) or (isinstance(X, tuple) and any(map(is_matrix, X)))


def check_no_pair(X, name):
    """Raise where two matrices stand for one.

    Parameters
    ----------
    X : object
    name : str
        What the error calls it.

    Raises
    ------
    ValueError
    """
    if is_pair(X):
        raise ValueError(
            f"{name} is a pair of matrices, and one is needed: of a pair (fold_in, held_out), such as split.test of a "
            "temporal split, pass the fold-in as X and the held-out items as y, as in evaluate(model, fold_in, "
            "y=held_out)."
        )


def check_no_table_of_events(X, name="X"):
    """Raise where a table has few columns, and among them one of users and one of items.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)
    name : str, default="X"
        What the error calls it.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> import pandas as pd
    >>> from skvae.matrix_checks import check_no_table_of_events
    >>> check_no_table_of_events(pd.DataFrame({"userId": [1], "movieId": [7], "rating": [4.5]}))
    Traceback (most recent call last):
        ...
    ValueError: X has the columns 'userId' and 'movieId': it is a table of events, and a matrix with a row for each
    user and a column for each item is needed, such as
    skvae.InteractionEncoder(user='userId', item='movieId').fit_transform(X). If its columns are items, pass
    X.to_numpy().
    """
    n_columns = getattr(X, "shape", ())[1:]
    if n_columns and n_columns[0] > MOST_COLUMNS_OF_EVENTS:  # before their names, which take long to read
        return
    names = [column for column in column_names(X) or [] if isinstance(column, str)]
    user, item = (_first_like(pattern, names) for pattern in (USER_COLUMN, ITEM_COLUMN))
    if user and item:
        raise ValueError(
            f"{name} has the columns {user!r} and {item!r}: it is a table of events, and a matrix with a row for each "
            f"user and a column for each item is needed, such as skvae.InteractionEncoder(user={user!r}, "
            f"item={item!r}).fit_transform({name}). If its columns are items, pass {name}.to_numpy()."
        )


def check_holds_interactions(X):
    """Raise where a matrix to train on holds no interaction.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)

    Raises
    ------
    ValueError
    """
    if X.nnz == 0:
        raise ValueError(f"X of shape {X.shape} holds no interaction: every entry is 0.")


def check_names_differ(names, name):
    """Raise where two columns have one name.

    Parameters
    ----------
    names : list or None
        Of the columns, where they have names.
    name : str
        What the error calls the table.

    Raises
    ------
    ValueError
    """
    if names is not None and len(set(names)) < len(names):
        repeated = next(name for name, count in Counter(names).items() if count > 1)
        raise ValueError(f"{name} has several columns called {repeated!r}: each item needs a name of its own.")


def check_trainable(X, names):
    """Raise where a matrix to fit holds no interaction or names repeat; warn where columns hold ids of users.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)
    names : list or None
        Of its columns, where they have names.

    Raises
    ------
    ValueError
    """
    check_holds_interactions(X)
    check_names_differ(names, "X")
    if _has_columns_of_ids(X):
        warn_user(
            f"X has {X.shape[0]} users and only {X.shape[1]} items, with numbers like ids in its columns: if "
            "each row is an event of a user and an item, make a matrix of them with skvae.InteractionEncoder."
        )
        return
    column = _column_of_user_ids(X)
    if column is not None:
        called = f"Column {column} of X" if names is None else f"The column {names[column]!r} of X"
        remedy = "drop it" if names is None else f"drop it, or in pandas X.set_index({names[column]!r})"
        warn_user(
            f"{called} holds integers that grow from row to row, like ids of the users, and counts as an item that "
            f"everybody has: {remedy}."
        )


def _has_columns_of_ids(matrix):
    """Whether two of few columns hold many different integers, for nearly all rows."""
    n_rows, n_columns = matrix.shape
    if not 2 <= n_columns <= MOST_ITEMS or n_rows < FEWEST_IDS:
        return False
    return sum(_holds_ids(column[column != 0], n_rows) for column in matrix.toarray().T) >= 2


def _holds_ids(values, n_rows):
    return len(values) >= 0.8 * n_rows and (values % 1 == 0).all() and len(np.unique(values)) >= FEWEST_IDS


def _column_of_user_ids(matrix):
    """The first column of integers that grow from each row to the next, from 0 on or more; None where there is none."""
    n_others = matrix.shape[0] - 1  # the first may be 0, and no entry
    if n_others < FEWEST_ROWS_OF_IDS:
        return None
    some = matrix[1 : 1 + FEWEST_ROWS_OF_IDS]
    columns, counts = np.unique(some.indices, return_counts=True)
    columns = columns[counts == FEWEST_ROWS_OF_IDS]
    for column in columns[(np.diff(some[:, columns].toarray(), axis=0) > 0).all(axis=0)]:
        values = matrix.data[matrix.indices == column]
        if len(values) >= n_others and (np.diff(values) > 0).all() and (values % 1 == 0).all():
            return int(column)
    return None


def check_no_matrix_as_y(y, X):
    """Raise where the y of a fit is a matrix of other users than X: X_val, passed by position.

    A matrix of the same number of rows passes: a search hands on the rows of its y.

    Parameters
    ----------
    y : object
        Otherwise ignored.
    X : csr_array of shape (n_users, n_items)

    Raises
    ------
    ValueError
    """
    shape: tuple = getattr(y, "shape", ())
    if is_pair(y) or (len(shape) == 2 and shape[0] != X.shape[0]):
        got = "a pair of matrices" if is_pair(y) else f"a matrix of {shape[0]} rows beside the {X.shape[0]} users of X"
        raise ValueError(
            f"y is {got}, and fit learns from X alone: autoencoders and blends take validation users by name, as X_val."
        )


def _first_like(pattern, names):
    return next((name for name in names if pattern.fullmatch(name.lower())), None)
