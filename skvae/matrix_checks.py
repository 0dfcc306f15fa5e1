"""Whether a matrix is what it is taken for: the same columns and rows beside X, and no table of events."""

import re

import numpy as np

from .core.user_warnings import warn_user

# Of the largest value. Below, autoencoders learn nothing beyond popularity: NDCG@20 .153 from 1e-4 on down, .35 from
# 1e-1 to 1e20, .21 at 1e30, on synthetic data of 1500 users. Above, squares leave the range of float32.
SMALL_VALUE, LARGE_VALUE = 1e-3, 1e18
# Of two columns, so that the rows of a matrix of few items may be events
MOST_ITEMS, FEWEST_IDS = 5, 20
# In a column of ids that was left in a matrix, each row has a larger integer than the one before
FEWEST_ROWS_OF_IDS = 10
# A matrix of so few items does not have both a column of users and one of items
MOST_COLUMNS_OF_EVENTS = 10
USER_COLUMN = re.compile(r"(user|customer|client|visitor|member|reader|listener|account|session)s?[ _-]?(id|idx)?")
ITEM_COLUMN = re.compile(r"(item|movie|film|product|article|song|track|artist|book|game|video|sku)s?[ _-]?(id|idx)?")


def column_names(X):
    """Names of a table's columns, of pandas, polars or pyarrow.

    Parameters
    ----------
    X : sparse matrix, array, list or DataFrame

    Returns
    -------
    list or None
        None of what is no table.
    """
    if not hasattr(X, "shape"):
        return None
    names = getattr(X, "column_names", None)  # of pyarrow, whose columns are values
    names = getattr(X, "columns", None) if names is None else names
    return None if names is None else list(names)


def shape_of(X):
    """Shape of what may be a matrix, or one label for each user.

    Parameters
    ----------
    X : object

    Returns
    -------
    tuple of int
        Empty for what has no shape. Of lists of different lengths the second is None.
    """
    if hasattr(X, "shape"):
        return tuple(X.shape)
    try:
        return np.shape(X)
    except ValueError:
        return (len(X), None)


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


def check_same_cells(matrix, X, name, beside="X", remedy=""):
    """Raise where a matrix beside X does not have its shape and, where both are tables, its columns and rows.

    Parameters
    ----------
    matrix, X : sparse matrix, array or DataFrame of shape (n_users, n_items)
    name, beside : str
        What the error calls the two, such as "y" and "X".
    remedy : str, default=""
        A sentence that follows where their shapes differ.

    Raises
    ------
    ValueError
    """
    if shape_of(matrix) != shape_of(X):
        raise ValueError(
            f"{name} has shape {shape_of(matrix)}, {beside} has {shape_of(X)}: they must be the same.{remedy}"
        )
    _check_same_columns(column_names(matrix), column_names(X), name, f"{beside} has", f"{name}[{beside}.columns]")
    labels, others = (_row_labels(table) for table in (matrix, X))
    if labels is not None and others is not None and labels != others and set(labels) == set(others):
        raise ValueError(
            f"{name} has the rows of {beside} in another order: a user must be in the same row of both, as in "
            f"{name}.loc[{beside}.index]."
        )


def column_labels(table):
    """Names of a table's columns that are no strings, such as the numbers of items, as strings.

    scikit-learn remembers and compares names that are strings alone.

    Parameters
    ----------
    table : sparse matrix, array or DataFrame

    Returns
    -------
    array of str, or None
        None where there are none, or these are strings, or 0, 1, 2 and so on, as pandas numbers what has no names.
    """
    names = column_names(table)
    if names is None or any(isinstance(name, str) for name in names) or names == list(range(len(names))):
        return None
    return np.array([str(name) for name in names], dtype=object)


def check_same_names(model, names_of, labels, name="X"):
    """Raise where columns are not called as those that a model was fitted with, where both have names.

    Parameters
    ----------
    model : fitted estimator
    names_of : array of str, or None
        To compare with ``feature_names_in_``.
    labels : array of str, or None
        To compare with the model's `column_labels`.
    name : str, default="X"
        What the error calls the table.

    Raises
    ------
    ValueError
    """
    has = f"{type(model).__name__} was fitted with"
    for given, attribute in ((names_of, "feature_names_in_"), (labels, "_column_labels")):
        fitted = getattr(model, attribute, None)
        if given is not None and fitted is not None:
            _check_same_columns(list(given), list(fitted), name, has, f"{name}[{', '.join(fitted[:2])}, ...]")


def check_columns_of_model(model, table, name):
    """Raise where a table does not have the columns that a model was fitted with, in the same order.

    Parameters
    ----------
    model : fitted estimator
        Without ``feature_names_in_`` nothing is compared.
    table : sparse matrix, array or DataFrame
        Without names nothing is compared.
    name : str
        What the error calls the table.

    Raises
    ------
    ValueError
    """
    fitted = getattr(model, "feature_names_in_", None)
    if fitted is not None:
        has = f"{type(model).__name__} was fitted with"
        _check_same_columns(column_names(table), list(fitted), name, has, f"{name}[model.feature_names_in_]")
    check_same_names(model, None, column_labels(table), name)


def check_columns_of_fit(model, matrix, table, name):
    """Raise where a matrix beside the X of a fit does not have its columns.

    Parameters
    ----------
    model : estimator
        With ``n_features_in_`` and, of a table, ``feature_names_in_`` of X.
    matrix : csr_array of shape (n_users, n_items)
        What was read of the table.
    table : sparse matrix, array or DataFrame
    name : str
        What the error calls it.

    Raises
    ------
    ValueError
    """
    if matrix.shape[1] != model.n_features_in_:
        raise ValueError(f"{name} has {matrix.shape[1]} columns, X has {model.n_features_in_}: they must be the same.")
    fitted = getattr(model, "feature_names_in_", None)
    if fitted is not None:
        _check_same_columns(column_names(table), list(fitted), name, "X has", f"{name}[X.columns]")
    check_same_names(model, None, column_labels(table), name)


def names_with_added(model, names, n_items):
    """Names of a model's columns, and after them those of added ones.

    Parameters
    ----------
    model : fitted estimator
    names : array of str of shape (n_items,)
    n_items : int

    Returns
    -------
    array of str of shape (n_features_in_ + n_items,)

    Raises
    ------
    ValueError
        Where the model has no names, or these are not so many new ones.
    """
    fitted, added = getattr(model, "feature_names_in_", None), np.ravel(names).tolist()
    if fitted is None:
        raise ValueError(f"{type(model).__name__} has no names of its other columns: leave out names={names!r}.")
    every = [*fitted, *added]
    if len(added) != n_items or len(set(every)) < len(every) or not all(isinstance(name, str) for name in added):
        raise ValueError(f"names must be {n_items} strings that no other column is called, got {names!r}.")
    return np.array(every, dtype=object)


def check_no_table_of_events(X):
    """Raise where a table has few columns, and among them one of users and one of items.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)

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
    skvae.InteractionEncoder(user='userId', item='movieId').fit_transform(X).
    """
    names = [name for name in column_names(X) or [] if isinstance(name, str)]
    user, item = (_first_like(pattern, names) for pattern in (USER_COLUMN, ITEM_COLUMN))
    if len(names) <= MOST_COLUMNS_OF_EVENTS and user and item:
        raise ValueError(
            f"X has the columns {user!r} and {item!r}: it is a table of events, and a matrix with a row for each user "
            f"and a column for each item is needed, such as skvae.InteractionEncoder(user={user!r}, item={item!r})"
            ".fit_transform(X)."
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


def check_trainable(X, names=None):
    """Raise where a matrix to fit holds no interaction, and warn where columns hold ids of users.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)
    names : list, default=None
        Of its columns, where they have names.

    Raises
    ------
    ValueError
    """
    check_holds_interactions(X)
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


def check_scale(matrix):
    """Warn where values are so small or large that an autoencoder learns almost nothing from them.

    Parameters
    ----------
    matrix : csr_array of shape (n_users, n_items)
        With interactions, to fit a likelihood of its values.
    """
    largest = matrix.data.max()
    if not SMALL_VALUE <= largest <= LARGE_VALUE:
        warn_user(
            f"The largest value of X is {largest:.3g}. A value counts as so many interactions, and autoencoders learn "
            "almost nothing from such values: scale X by a constant that brings values near 1."
        )


def _has_columns_of_ids(matrix):
    """Whether two of few columns hold many different integers, for nearly all rows."""
    n_rows, n_columns = matrix.shape
    if not 2 <= n_columns <= MOST_ITEMS or n_rows < FEWEST_IDS:
        return False
    columns = [column[column != 0] for column in matrix.toarray().T]
    return (
        sum(
            len(values) >= 0.8 * n_rows and (values % 1 == 0).all() and len(np.unique(values)) >= FEWEST_IDS
            for values in columns
        )
        >= 2
    )


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


def most_are_fitted(hashes, is_fitted):
    """Whether most of some users are users of a fit; those with the same items are one.

    Where few sets of items are possible, everyone has one that was seen.

    Parameters
    ----------
    hashes : uint64 array of shape (n_users,)
        Of their sets of items.
    is_fitted : bool array of shape (n_users,)

    Returns
    -------
    str
        Such as "3 of 4"; empty where most are not.
    """
    distinct = np.unique(hashes, return_index=True)[1]
    n_fitted = np.count_nonzero(is_fitted[distinct])
    return f"{n_fitted} of {len(distinct)}" if len(distinct) > 1 and 2 * n_fitted > len(distinct) else ""


def warn_of_validation(n_fold_in, n_held_out, most):
    """Warn where X_val looks like something else than users who are new to the model.

    Parameters
    ----------
    n_fold_in, n_held_out : int
        Interactions of its two parts.
    most : str
        As `most_are_fitted` gives it.
    """
    if n_fold_in < n_held_out:
        warn_user(
            f"The fold-in of X_val has {n_fold_in} interactions, and more are held out, {n_held_out}: X_val is a pair "
            "(fold_in, held_out); are the two swapped?"
        )
    if most:
        warn_user(
            f"Most users of X_val are users of X, {most}: the best epoch, or the weights of a blend, would be chosen "
            "on items that the model is fitted on. Pass users that X does not have."
        )


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
        raise ValueError(f"y is {got}, and fit learns from X alone: pass validation users by name, as X_val=.")


def _first_like(pattern, names):
    return next((name for name in names if pattern.fullmatch(name.lower())), None)


def _check_same_columns(names, expected, name, has, remedy):
    if names is None or expected is None or names == expected:
        return
    if len(names) != len(expected):
        raise ValueError(f"{name} has {len(names)} columns, {has} {len(expected)}: they must be the same.")
    place, got, wanted = next(
        (i, *pair) for i, pair in enumerate(zip(names, expected, strict=True)) if len({*pair}) > 1
    )
    raise ValueError(
        f"{name} has the column {got!r} where {has} {wanted!r} (column {place}): they must have the same columns in "
        f"the same order, as in {remedy}."
    )


def _row_labels(table):
    """Labels of a DataFrame's rows; None of what has none, or is numbered from 0 by default."""
    index = getattr(table, "index", None) if column_names(table) is not None else None
    if index is None or (getattr(index, "start", None), getattr(index, "step", None)) == (0, 1):
        return None
    return index.tolist()
