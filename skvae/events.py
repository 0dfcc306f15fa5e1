"""Tables of events: read into checked columns, and merged into the interactions of a user-item matrix."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

# How the sorted weights of a repeated (user, item) become one; first and last are each pair's ends
MERGES = {
    "sum": lambda weights, first, last: np.add.reduceat(weights, first),
    "max": lambda weights, first, last: np.maximum.reduceat(weights, first),
    "last": lambda weights, first, last: weights[last],
    "error": lambda weights, first, last: weights[first],
}


class Events(NamedTuple):
    """Checked columns of a table.

    Parameters
    ----------
    users, items : array of shape (n_events,)
        Ids, none missing.
    weights : float64 array of shape (n_events,)
        Ones where there are none.
    timestamps : int64 or float64 array of shape (n_events,)
        Zeros where there are none.
    """

    users: np.ndarray
    items: np.ndarray
    weights: np.ndarray
    timestamps: np.ndarray


class Cells(NamedTuple):
    """Where in a user-item matrix events are.

    Parameters
    ----------
    rows, columns : int64 array of shape (n_events,)
    shape : tuple of int
        Users and items of the matrix.
    """

    rows: np.ndarray
    columns: np.ndarray
    shape: tuple[int, int]


# -- reading a table


def read_events(events, user, item, weight=None, timestamp=None):
    """Checked columns of what people pass.

    Parameters
    ----------
    events : DataFrame, array of shape (n_events, n_columns), or tuple of arrays of shape (n_events,)
        A DataFrame of any library that narwhals knows; arrays have their columns in the order of
        the parameters that follow, without those that are None.
    user, item : str
        Names of the columns with ids.
    weight, timestamp : str or None, default=None
        Names of the columns with numbers; timestamps may be datetimes.

    Returns
    -------
    Events

    Raises
    ------
    ValueError
        Where there is no event, a column is missing, an id is missing, a weight is negative, or a
        number is not finite.
    TypeError
        Where events is no table.
    ImportError
        Where events is a DataFrame and narwhals is not installed.
    """
    names = {"user": user, "item": item, "weight": weight, "timestamp": timestamp}
    names = {role: name for role, name in names.items() if name is not None}
    frame = _frame(events)
    columns = _array_columns(events, names) if frame is None else _frame_columns(frame, names)
    n_events = len(columns["user"])
    if not n_events:
        raise ValueError("events has no rows: pass at least one event.")
    for role in ("user", "item"):
        _check_ids(columns[role], names[role])
    weights = np.ones(n_events) if weight is None else _weights(columns["weight"], weight)
    timestamps = np.zeros(n_events, np.int64) if timestamp is None else _finite(columns["timestamp"], timestamp)
    return Events(columns["user"], columns["item"], weights, timestamps)


def _frame(events):
    """A DataFrame as that of narwhals; None for arrays."""
    if isinstance(events, (np.ndarray, tuple)):
        return None
    if not hasattr(events, "columns"):
        raise TypeError(
            "events must be a DataFrame, an array of shape (n_events, n_columns) or a tuple of arrays, got "
            f"{type(events).__name__}; a user-item matrix needs no InteractionEncoder."
        )
    try:
        import narwhals.stable.v2 as nw
    except ImportError as error:
        raise ImportError('events is a DataFrame, which needs narwhals: pip install "skvae[tables]".') from error
    return nw.from_native(events, eager_only=True)


def _frame_columns(frame, names):
    """Role -> column, one-dimensional array; a missing value is None or NaN."""
    for role, name in names.items():
        if name not in frame.columns:
            raise ValueError(
                f"events has no column {name!r}, its columns are: {', '.join(map(str, frame.columns))}. "
                f'Say InteractionEncoder({role}="...").'
            )
    columns = {role: frame.get_column(name) for role, name in names.items()}
    for role, column in columns.items():
        _check_none_missing(column.null_count(), len(column), names[role])
    return {role: column.to_numpy() for role, column in columns.items()}


def _array_columns(events, names):
    """Role -> column, one-dimensional array, of an array or a tuple of arrays."""
    if isinstance(events, np.ndarray) and events.ndim != 2:
        raise ValueError(f"An array of events must be two-dimensional, got shape {events.shape}.")
    columns = [np.asarray(column) for column in (events if isinstance(events, tuple) else events.T)]
    if len(columns) != len(names) or any(column.shape != (len(columns[0]),) for column in columns):
        raise ValueError(
            f"events must have the {len(names)} columns {', '.join(names)}, all equally long, got "
            f"{', '.join(map(str, (column.shape for column in columns)))}; weight and timestamp are read where these "
            "parameters name them."
        )
    return dict(zip(names, columns, strict=True))


def _check_ids(ids, name):
    if ids.dtype.kind in "fcmM":
        missing = ids != ids  # NaN and NaT
    elif ids.dtype.kind == "O":
        missing = np.fromiter((value is None or value != value for value in ids), bool, len(ids))
    else:
        return
    _check_none_missing(np.count_nonzero(missing), len(ids), name)


def _check_none_missing(n_missing, n_events, name):
    if n_missing:
        raise ValueError(f"{n_missing} of {n_events} events have no value in column {name!r}: fill or drop them.")


def _weights(values, name):
    weights = _finite(values, name).astype(np.float64)
    if (weights < 0).any():
        raise ValueError(f"Column {name!r} has negative weights, the lowest is {weights.min():g}.")
    return weights


def _finite(values, name):
    """Numbers as they are, datetimes as microseconds since 1970, anything else as float64; all finite."""
    if values.dtype.kind == "M":
        _check_none_missing(np.count_nonzero(np.isnat(values)), len(values), name)
        return values.astype("datetime64[us]").astype(np.int64)
    if values.dtype.kind not in "iub":
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"Column {name!r} must hold numbers: {error}.") from error
        n_wrong = np.count_nonzero(~np.isfinite(values))
        if n_wrong:
            raise ValueError(f"{n_wrong} of {len(values)} events have a value in column {name!r} that is not finite.")
    return values


# -- ids and their indices


def distinct_ids(ids, name):
    """The distinct ids, ascending, and the index of each id among them.

    Parameters
    ----------
    ids : array of shape (n,)
    name : str
        What has these ids, "user" or "item", for the error.

    Returns
    -------
    distinct : array of shape (n_distinct,)
        Strings are of dtype object.
    positions : int64 array of shape (n,)

    Raises
    ------
    TypeError
        Where ids cannot be sorted.
    """
    if ids.dtype.kind in "UT":
        ids = ids.astype(object)  # strings are the same from every kind of table
    if ids.dtype != object:
        return np.unique(ids, return_inverse=True)
    try:
        distinct = sorted(set(ids))
    except TypeError as error:
        raise TypeError(f"The {name} ids must be all strings or all numbers, to be sorted: {error}.") from error
    index = {value: position for position, value in enumerate(distinct)}
    positions = np.fromiter(map(index.__getitem__, ids), np.int64, len(ids))
    return np.fromiter(distinct, object, len(distinct)), positions


def ids_at(ids, indices, name):
    """Ids at indices, None at -1.

    Parameters
    ----------
    ids : array of shape (n,)
    indices : int array of any shape
    name : str
        What has these ids, "user" or "item", for the error.

    Returns
    -------
    array of the shape of indices
        In the dtype of ids; where an index is -1, of dtype object.

    Raises
    ------
    ValueError
        Where an index is out of range or not an integer.
    """
    indices = np.asarray(indices)
    if indices.size and indices.dtype.kind not in "iu":
        raise ValueError(f"Indices of {name}s must be integers, got dtype {indices.dtype}.")
    indices = indices.astype(np.int64)
    outside = indices[(indices < -1) | (indices >= len(ids))]
    if len(outside):
        raise ValueError(f"There is no {name} {outside[0]}: indices go from 0 to {len(ids) - 1}, and -1 is none.")
    return np.append(ids.astype(object), [None])[indices] if (indices < 0).any() else ids[indices]


# -- from events to interactions


def merge_events(events, cells, *, duplicates, threshold, binary):
    """Weights and times of the interactions that events make.

    Parameters
    ----------
    events : Events
    cells : Cells
        Of these events.
    duplicates : {"sum", "max", "last", "error"}
        What the weights of events in the same cell become.
    threshold : float or None
        Merged weights below it are no interactions, nor are those of 0.
    binary : bool
        Weights become 1.

    Returns
    -------
    weights : float32 csr_array of shape (n_users, n_items)
    timestamps : int64 or float64 csr_array of shape (n_users, n_items)
        The latest time of each cell, with entries where weights has them.

    Raises
    ------
    ValueError
        Where events share a cell and duplicates is "error".
    """
    n_items = cells.shape[1]
    pairs, weights, timestamps = _merged(events, cells.rows * n_items + cells.columns, duplicates)
    kept = weights >= (threshold or 0)
    kept &= weights > 0
    weights = np.ones(len(weights), np.float32) if binary else weights.astype(np.float32)
    positions = np.divmod(pairs[kept], n_items)
    return tuple(sp.csr_array((values[kept], positions), shape=cells.shape) for values in (weights, timestamps))


def _merged(events, pairs, duplicates):
    """The distinct pairs of user and item, ascending, the weight of each and its latest time."""
    # by weight too: a sum of floats must not depend on the order of the events
    order = np.lexsort((events.weights, events.timestamps, pairs))
    pairs, weights, timestamps = pairs[order], events.weights[order], events.timestamps[order]
    changes = np.flatnonzero(np.diff(pairs, prepend=-1, append=-1)) if len(pairs) else np.zeros(1, np.int64)
    if duplicates == "error":
        _check_none_repeated(events, order, changes)
    first, last = changes[:-1], changes[1:] - 1
    return pairs[first], MERGES[duplicates](weights, first, last), timestamps[last]


def _check_none_repeated(events, order, changes):
    n_repeats = len(order) - (len(changes) - 1)
    if n_repeats:
        event = order[changes[:-1][np.diff(changes) > 1][:1]]
        raise ValueError(
            f"{n_repeats} events repeat a user and an item, such as user "
            f"{events.users[event].tolist()[0]!r} and item {events.items[event].tolist()[0]!r}: drop them, or use "
            'duplicates="sum", "max" or "last".'
        )


# -- back to a table


def table_like(events, columns):
    """Columns as a table of the kind of events.

    Parameters
    ----------
    events : DataFrame, array or tuple of arrays
    columns : dict of str to array of shape (n_rows,)

    Returns
    -------
    DataFrame, or dict of str to array
        A DataFrame of the same library, ids in the types that they have in events; for arrays,
        columns as they are.

    Raises
    ------
    TypeError, ImportError
        As in `read_events`.
    """
    frame = _frame(events)
    if frame is None:
        return columns
    import narwhals.stable.v2 as nw

    result = nw.from_dict(columns, backend=frame.implementation)
    ids = [name for name in columns if name in frame.columns and name not in ("rank", "score")]
    return result.with_columns(nw.col(name).cast(frame.schema[name]) for name in ids).to_native()
