"""A users x items matrix in whatever container it comes: read, checked, its rows, its interactions.

Every function that is handed such a matrix reads it through this room, so that a bad one is refused
everywhere, before anything is drawn or computed, and in the same words. The table of what each bad
input gets is in docs/bad_input.md.
"""

import copy
import itertools

import numpy as np
import scipy.sparse as sp

from .columns import column_names
from .matrix_checks import check_no_pair, check_no_table_of_events, is_matrix

SPARSE = "a sparse matrix"  # what errors call it
ENTRIES_PER_BLOCK = 2**18  # of users that are computed with at once, 8 to 60 bytes each

# -- reading


def as_csr(X, name="X", *, negative=False):
    """The non-zero entries of X in canonical form, checked: sorted, each once, no explicit zero, finite.

    Parameters
    ----------
    X : sparse matrix, array, list or DataFrame of shape (n_users, n_items)
        Of any numbers; not modified.
    name : str, default="X"
        What errors call it.
    negative : bool, default=False
        Whether values below 0 are allowed.

    Returns
    -------
    csr_array of shape (n_users, n_items)
        In the dtype of X, or in one that holds all its values: float16 becomes float32, and objects
        float64. It shares memory with X where X is canonical.

    Raises
    ------
    ValueError, TypeError
        Where X does not have two dimensions, holds something else than finite numbers, is a table of
        events, or a sparse matrix whose indices are out of range.

    Examples
    --------
    >>> from skvae.matrix import as_csr
    >>> as_csr([[0, 2], [1, 0]]).indices
    array([1, 0], dtype=int32)
    """
    check_no_table_of_events(X, name)
    if getattr(X, "ndim", 0) == 2 and hasattr(X, "sparse") and X.size and not any(d.fill_value for d in X.dtypes):
        X = X.sparse.to_coo()  # a DataFrame of pandas with sparse columns
    matrix = canonical(sp.csr_array(_to_csr(intact(X, name)) if sp.issparse(X) else _values(X, name)))
    _check_values(matrix.data, name, negative)
    return matrix


def as_float32(X, name="X"):
    """The same as `as_csr` in float32, the dtype in which models compute.

    Parameters
    ----------
    X : sparse matrix, array, list or DataFrame of shape (n_users, n_items)
        Not modified.
    name : str, default="X"

    Returns
    -------
    float32 csr_array of shape (n_users, n_items)
        Values are rounded to 24 bits, so that integers above 2**24 lose their last digits.

    Raises
    ------
    ValueError, TypeError
        As `as_csr`; also where a value would be infinite or 0 in float32.
    """
    matrix = as_csr(X, name)
    values = matrix.data
    with np.errstate(over="ignore", under="ignore"):
        matrix.data = values.astype(np.float32, copy=False)  # the csr_array is new, its buffers may be those of X
    if matrix.data.max(initial=0) == np.inf:
        raise ValueError(
            f"{name} holds the value {values.max():.3g}, and models compute in float32, which ends at 3.4e38: divide "
            f"{name} by a constant."
        )
    if not matrix.data.all():
        raise ValueError(
            f"{name} holds the value {values.min():.3g}, which is 0 in float32 and would be no interaction: multiply "
            f"{name} by a constant, or drop such entries."
        )
    return matrix


def canonical(X):
    """A CSR array sorted, with each entry once and no explicit zero.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)
        Not modified.

    Returns
    -------
    csr_array of shape (n_users, n_items)
        X itself where it is canonical. Duplicates whose sum does not fit into an integer dtype are float64.
    """
    if X.has_canonical_format and X.data.all():
        return X
    sums = X.astype(_dtype_of_sums(X.data), copy=True)
    sums.sum_duplicates()
    sums.eliminate_zeros()
    return _narrowed(sums, X.dtype)


def _to_csr(X):
    """A sparse matrix in CSR, itself where it is that; scipy sums duplicates in the dtype of X, where they may wrap."""
    if X.format in ("coo", "bsr"):
        return _narrowed(X.astype(_dtype_of_sums(X.data), copy=False).tocsr(), X.dtype)
    return X.tocsr()


def _dtype_of_sums(values):
    """A dtype in which sums of integers do not wrap: float64 holds those of up to 32 bits exactly."""
    if values.dtype.kind not in "iu" or not values.size:
        return values.dtype
    largest = max(abs(int(values.min())), int(values.max()))
    fits = values.itemsize == 8 and largest * values.size <= np.iinfo(values.dtype).max
    return values.dtype if fits else np.float64


def _narrowed(sums, dtype):
    """Sums in the dtype of what was summed, where it holds them."""
    if sums.dtype != dtype and dtype.itemsize < 8:
        bounds = np.iinfo(dtype)
        if not sums.nnz or (sums.data.min() >= bounds.min and sums.data.max() <= bounds.max):
            sums.data = sums.data.astype(dtype)
    return sums


def dense_values(X, name="X", *, negative=False):
    """The cells of a dense matrix or table, checked to be finite numbers.

    Parameters
    ----------
    X : array, list or DataFrame of shape (n_users, n_items)
    name : str, default="X"
    negative : bool, default=False
        Whether values below 0 are allowed.

    Returns
    -------
    array of shape (n_users, n_items)
        X itself where it is an array of numbers.
    """
    values = _values(X, name)
    _check_values(values, name, negative)
    return values


def row_sliceable(X, name="X"):
    """X in a form for `take_rows`: CSR if sparse, a table as it is, else an array. Values are not checked.

    Parameters
    ----------
    X : sparse matrix, array, list or DataFrame of shape (n_users, n_items)
    name : str, default="X"

    Returns
    -------
    CSR matrix, array or DataFrame

    Raises
    ------
    ValueError
        Where X does not have two dimensions, or is a sparse matrix whose indices are out of range.
    """
    if sp.issparse(X):
        return _to_csr(intact(X, name))
    return _native(X) if column_names(X) is not None else _array(X, name)


def _native(table):
    """A table whose columns are in this machine's byte order: pandas takes no rows by number of others."""
    if not hasattr(table, "iloc") or all(getattr(dtype, "isnative", True) for dtype in table.dtypes):
        return table
    dtypes = [dtype.newbyteorder("=") if isinstance(dtype, np.dtype) else dtype for dtype in table.dtypes]
    numbered = table.set_axis(range(table.shape[1]), axis=1).astype(dict(enumerate(dtypes)))
    return numbered.set_axis(table.columns, axis=1)


def take_rows(X, rows):
    """Some rows of a matrix or table, in its own container.

    Parameters
    ----------
    X : CSR matrix, array or DataFrame of shape (n_users, n_items)
        As `row_sliceable` gives it.
    rows : slice or int array

    Returns
    -------
    like X
    """
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if hasattr(X, "column_names"):  # a pyarrow table
        return X.take(np.arange(X.shape[0])[rows])
    return X[rows]


def row_blocks(X):
    """Slices of the users, one after the other: what is computed of them takes the memory of a block at a time.

    Parameters
    ----------
    X : CSR matrix, array or DataFrame of shape (n_users, n_items)
        As `row_sliceable` gives it.

    Returns
    -------
    list of slice
        Of about `ENTRIES_PER_BLOCK` entries each; one of all users where X is dense.

    Examples
    --------
    >>> from skvae.matrix import as_csr, row_blocks
    >>> row_blocks(as_csr([[1, 1, 0], [1, 1, 1]]))
    [slice(0, 2, None)]
    """
    entries = range(ENTRIES_PER_BLOCK, X.nnz, ENTRIES_PER_BLOCK) if sp.issparse(X) else ()
    firsts = {0, *(np.searchsorted(X.indptr, entries).tolist() if entries else ()), X.shape[0]}
    return [slice(*block) for block in itertools.pairwise(sorted(firsts))] or [slice(0, 0)]


def intact(X, name):
    """A sparse matrix, once its indices are known to be in range, of a dtype that scipy computes with.

    Parameters
    ----------
    X : sparse matrix of shape (n_users, n_items)
        Not modified.
    name : str
        What errors call it.

    Returns
    -------
    sparse matrix
        In its own format where that is CSR, CSC, BSR or COO, else in CSR.

    Raises
    ------
    ValueError
        Where it does not have two dimensions, or an index is out of range.
    """
    _check_two_dimensions(X.shape, SPARSE, name)
    X = X if X.format in ("csr", "csc", "bsr", "coo") else X.tocsr()
    _check_indices(X, name)
    values = _numeric(X.data, name)
    if values is not X.data:
        X = copy.copy(X)
        X.data = values
    return X


def _check_indices(X, name):
    """Raise where a sparse matrix has entries outside of its shape: scipy accepts them, and C code follows them."""
    if X.format == "coo":
        ranges = [(X.row, X.shape[0], "row"), (X.col, X.shape[1], "column")]
        whole = len(X.row) == len(X.col) == len(X.data)
    else:
        blocks = np.array(X.shape) // (X.blocksize if X.format == "bsr" else (1, 1))
        n_major, n_minor = blocks[::-1] if X.format == "csc" else blocks
        starts = X.indptr
        whole = starts.dtype.kind in "iu" and len(starts) == n_major + 1
        whole = whole and starts[0] == 0 and bool((starts[1:] >= starts[:-1]).all())
        whole = whole and starts[-1] <= min(len(X.indices), len(X.data))
        ranges = [(X.indices[: starts[-1]], n_minor, "row" if X.format == "csc" else "column")] if whole else []
    if not whole:
        raise ValueError(
            f"{name} is a damaged sparse matrix: its indptr does not go from 0 up to its number of entries; build it "
            "anew, as sp.csr_array((values, (rows, columns)), shape=(n_users, n_items)) does from lists."
        )
    for indices, end, axis in ranges:
        if len(indices) and not (indices.min() >= 0 and indices.max() < end):
            wrong = indices.min() if indices.min() < 0 else indices.max()
            raise ValueError(
                f"{name} is a damaged sparse matrix: it stores an entry in {axis} {wrong}, and has the {axis}s 0 to "
                f"{end - 1}; build it with shape=(n_users, n_items) above all its indices."
            )


def _values(X, name):
    """The cells of a dense matrix, an array of a dtype that scipy computes with."""
    dtypes = list(X.dtypes) if hasattr(X, "iloc") and getattr(X, "ndim", 0) == 2 else []  # those of a Series are one
    if dtypes and all(isinstance(dtype, np.dtype) and dtype.kind in "biuf" for dtype in dtypes):
        X = X.to_numpy(np.result_type(*set(dtypes)))  # by itself pandas makes objects of bool beside numbers
    return _numeric(_array(X, name), name)


def _array(X, name):
    """X as an array of two dimensions."""
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise ValueError(f"{name} has masked cells, which are no interactions: fill them with 0, as {name}.filled(0).")
    check_no_pair(X, name)
    try:
        array = np.asarray(X)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{name} must be a sparse matrix, array, list or DataFrame of numbers with a row for each user, got "
            f"{type(X).__name__}, of which NumPy makes no array: {error}"
        ) from error
    is_annotated = array.ndim == 0 and is_matrix(getattr(X, "X", None))  # as an AnnData
    _check_two_dimensions(array.shape, type(X).__name__, name, is_annotated)
    return array


def _check_two_dimensions(shape, kind, name, holds_matrix=False):
    if len(shape) != 2:
        is_row = len(shape) == 1 and shape[0] > 0
        one_user = f"by {name}[[row]] of the matrix" if kind == SPARSE else f"with np.reshape({name}, (1, -1))"
        remedy = f" Reshape your data, that of one user {one_user}." if is_row else ""
        if kind in ("str", "PosixPath", "WindowsPath"):
            remedy = " Read the file first; a folder of skvae.save_interactions is opened by skvae.open_interactions."
        if holds_matrix:
            remedy = f" Pass the matrix that it holds, {name}.X."
        got = f"{kind} of shape {shape}" if shape else kind
        raise ValueError(f"{name} must have two dimensions, users and items, got {got}.{remedy}")


def _numeric(values, name):
    """An array of numbers in a dtype that scipy.sparse computes with, itself where it is one already."""
    kind = values.dtype.kind
    if kind == "O":
        return _numbers(values, name)
    if kind == "c":
        raise ValueError(f"Complex data not supported: {name} has the dtype {values.dtype}, numbers are needed.")
    if kind not in "biuf":
        raise ValueError(
            f"{name} must hold numbers, got the dtype {values.dtype}: it is a matrix with a row for each user and a "
            "column for each item, which skvae.InteractionEncoder makes of a table of events."
        )
    dtype = np.dtype(np.float32) if values.dtype == np.float16 else values.dtype.newbyteorder("=")
    return values if values.dtype == dtype else values.astype(dtype)


def _numbers(values, name):
    """Objects as float64."""
    kinds = {type(value) for value in values.flat}
    if any(issubclass(kind, (str, bytes)) for kind in kinds):
        text = next(value for value in values.flat if isinstance(value, (str, bytes)))
        raise ValueError(
            f"{name} holds text, such as {text!r}: it is to be a matrix of numbers with a row for each user and a "
            "column for each item, which skvae.InteractionEncoder makes of a table of events."
        )
    if any(kind is type(None) or kind.__name__ in ("NAType", "NaTType") for kind in kinds):
        raise ValueError(_missing(name))
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{name} must hold numbers: {error}.") from error


def _check_values(values, name, negative):
    """Raise where values are not finite, or below 0 unless that is allowed."""
    if not values.size or values.dtype.kind == "b":
        return
    least, greatest = values.min(), values.max()  # NaN where one is
    if np.isnan(least):
        raise ValueError(_missing(name))
    if np.isinf(least) or np.isinf(greatest):
        raise ValueError(
            f"{name} contains infinity, or entries of the same cell that sum to it: all values must be finite."
        )
    if least < 0 and not negative:
        raise ValueError(
            f"Negative values in data passed to {name}: it holds {least:.6g}, and an interaction is a value above 0. "
            "Keep what users liked, as InteractionEncoder(threshold=...) does, or drop these entries."
        )


def _missing(name):
    return (
        f"{name} contains NaN, and a missing value is no interaction: fill with 0, by {name}.fillna(0) of a pandas "
        f"DataFrame or np.nan_to_num({name}) of an array."
    )


# -- what a matrix holds


def count_interactions(X):
    """Non-zero entries of each user, int64 array of shape (n_users,).

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)

    Returns
    -------
    int64 array of shape (n_users,)

    Raises
    ------
    ValueError, TypeError
        As ``as_csr``.

    Examples
    --------
    >>> from skvae.model_selection import count_interactions
    >>> count_interactions([[0, 2, 1], [0, 0, 0]])
    array([2, 0])
    """
    return np.diff(as_csr(X).indptr).astype(np.int64)


def count_users(X):
    """Users of each item: non-zero entries of each column, of any container.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)

    Returns
    -------
    int64 array of shape (n_items,)

    Raises
    ------
    ValueError, TypeError
        As `as_csr`.

    Examples
    --------
    >>> from skvae.matrix import count_users
    >>> count_users([[0, 2, 1], [0, 0, 1]])
    array([0, 1, 2])
    """
    X = as_csr(X)
    counts = np.zeros(X.shape[1], np.int64)
    for first in range(0, X.nnz, ENTRIES_PER_BLOCK):  # bincount makes a copy in int64
        counts += np.bincount(X.indices[first : first + ENTRIES_PER_BLOCK], minlength=X.shape[1])
    return counts


def users_of_entries(X):
    """The user of each entry.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)

    Returns
    -------
    int64 array of shape (nnz,)
    """
    return np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))


def rows_or_empty(X, rows):
    """Rows of a CSR matrix, empty ones where a row is -1.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)
    rows : int array of shape (n,)

    Returns
    -------
    csr_array of shape (n, n_items)
    """
    indptr = np.append(X.indptr, X.indptr[-1])
    return sp.csr_array((X.data, X.indices, indptr), shape=(X.shape[0] + 1, X.shape[1]))[rows]
