"""A users x items matrix in whatever container it comes: its rows, its interactions, its item indices.

Every module that is handed such a matrix reads it through these functions.
"""

import numpy as np
import scipy.sparse as sp


def row_sliceable(X):
    """X in a form whose rows can be taken: CSR if sparse, an array if a list, else as it is.

    Parameters
    ----------
    X : sparse matrix, array, list or DataFrame of shape (n_users, n_items)

    Returns
    -------
    CSR matrix, array or DataFrame

    Raises
    ------
    ValueError
        Where X does not have two dimensions.
    """
    X = X.tocsr() if sp.issparse(X) else X if hasattr(X, "shape") else np.asarray(X)
    if len(X.shape) != 2:
        raise ValueError(f"X must have two dimensions, users and items, got shape {X.shape}.")
    return X


def as_csr(X):
    """The non-zero entries of X in canonical form: sorted, each once, no explicit zero.

    Parameters
    ----------
    X : sparse matrix, array, list or DataFrame of shape (n_users, n_items)
        Not modified.

    Returns
    -------
    csr_array of shape (n_users, n_items)
        A copy where X is not canonical.
    """
    if not sp.issparse(X):
        X = np.asarray(X)
        X = X.astype(np.float64) if X.dtype == object else X  # a DataFrame of bool and numbers
    return canonical(sp.csr_array(X))


def canonical(X):
    """A CSR array sorted, with each entry once and no explicit zero.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)
        Not modified.

    Returns
    -------
    csr_array of shape (n_users, n_items)
        X itself where it is canonical.
    """
    if not X.has_canonical_format or not X.data.all():
        X = X.copy()
        X.sum_duplicates()
        X.eliminate_zeros()
    return X


def count_interactions(X):
    """Non-zero entries of each user, int64 array of shape (n_users,).

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)

    Returns
    -------
    int64 array of shape (n_users,)

    Examples
    --------
    >>> from skvae.model_selection import count_interactions
    >>> count_interactions([[0, 2, 1], [0, 0, 0]])
    array([2, 0])
    """
    return np.diff(as_csr(X).indptr).astype(np.int64)


def check_same_cells(matrix, X, name):
    """Raise where a matrix beside X does not have its shape and, where both are DataFrames, its columns.

    Parameters
    ----------
    matrix, X : sparse matrix, array or DataFrame of shape (n_users, n_items)
    name : str
        What the error calls the matrix, such as "y" or "timestamps".

    Raises
    ------
    ValueError
    """
    if np.shape(matrix) != np.shape(X):
        raise ValueError(f"{name} has shape {np.shape(matrix)}, X has {np.shape(X)}: they must be the same.")
    columns, others = (getattr(table, "columns", None) for table in (X, matrix))
    if columns is None or others is None or list(columns) == list(others):
        return
    place, (expected, got) = next(
        (i, pair) for i, pair in enumerate(zip(columns, others, strict=True)) if len({*pair}) > 1
    )
    raise ValueError(
        f"{name} has the column {got!r} where X has {expected!r} (column {place}): they must have the same columns in "
        f"the same order, as in {name}[X.columns]."
    )


def item_indices(indices, name, n_items):
    """Checked item indices.

    Parameters
    ----------
    indices : array of int of shape (n,)
    name : str
        What the error calls them.
    n_items : int

    Returns
    -------
    int64 array of shape (n,)

    Raises
    ------
    ValueError
        Where they are not integers, not one-dimensional or out of range.
    """
    indices = np.asarray(indices)
    if indices.ndim != 1 or (len(indices) and not np.issubdtype(indices.dtype, np.integer)):
        raise ValueError(
            f"{name} must be a one-dimensional array of item indices, got dtype {indices.dtype} with "
            f"shape {indices.shape}; for a boolean mask pass np.flatnonzero(mask)."
        )
    if len(indices) and not (indices.min() >= 0 and indices.max() < n_items):
        raise ValueError(
            f"{name} holds item {indices.min() if indices.min() < 0 else indices.max()}; "
            f"X has items 0 to {n_items - 1}."
        )
    return indices.astype(np.int64)
