"""Tables of events: read into checked columns, and merged into the interactions of a user-item matrix."""

import datetime
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from .ids import as_ids, distinct_ids
from .tables import read_columns, read_list

# How the sorted weights of a repeated (user, item) become one; first and last are each pair's ends
MERGES = {
    "sum": lambda weights, first, last: np.add.reduceat(weights, first),
    "max": lambda weights, first, last: np.maximum.reduceat(weights, first),
    "last": lambda weights, first, last: weights[last],
    "error": lambda weights, first, last: weights[first],
}
# Types that columns hold, as NumPy's and as Python's
DATES = (datetime.date, np.datetime64)
DURATIONS = (datetime.timedelta, np.timedelta64)
INTEGERS = (int, np.integer, np.bool_)


class Events(NamedTuple):
    """Checked columns of a table.

    Parameters
    ----------
    users, items : array of shape (n_events,)
        Ids as `skvae.ids.as_ids` gives them.
    weights : float64 array of shape (n_events,)
        Ones where there are none.
    timestamps : int64 or float64 array of shape (n_events,)
        Zeros where there are none; of dates and durations microseconds.
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


class Known(NamedTuple):
    """The users of a table, and its events of items that have a column.

    Parameters
    ----------
    user_ids : array of shape (n_users,)
        All of them, ascending.
    first_events : int64 array of shape (n_users,)
        The row of the table with the first event of each.
    events : Events
    cells : Cells
        Of these events.
    """

    user_ids: np.ndarray
    first_events: np.ndarray
    events: Events
    cells: Cells


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
        Names of the columns with numbers; timestamps may be dates.

    Returns
    -------
    Events

    Raises
    ------
    ValueError
        Where there is no event, a column is missing, a value is missing, ids have lost digits, a
        weight is negative or no finite number, or a timestamp is neither a number nor a date.
    TypeError
        Where events is no table, or ids are of several kinds or of one that cannot be ids.
    ImportError
        Where events is a DataFrame and narwhals is not installed.
    """
    names = {"user": user, "item": item, "weight": weight, "timestamp": timestamp}
    columns = read_columns(events, {role: name for role, name in names.items() if name is not None})
    users, items = (as_ids(columns[role], f"column {names[role]!r}") for role in ("user", "item"))
    weights = np.ones(len(users)) if weight is None else _weights(columns["weight"], weight)
    timestamps = np.zeros(len(users), np.int64) if timestamp is None else _times(columns["timestamp"], timestamp)
    return Events(users, items, weights, timestamps)


def read_ids(ids, name):
    """Ids outside a table, such as candidates.

    Parameters
    ----------
    ids : array of shape (n,)
        An array or Series of any library, or an iterable.
    name : str
        What they are, for errors.

    Returns
    -------
    array of shape (n,)
        As `skvae.ids.as_ids` gives them.

    Raises
    ------
    ValueError, TypeError
        As in `read_events`.
    """
    values = read_list(ids, name)
    return as_ids(values, name) if len(values) else np.zeros(0, np.int64)


def _types(values):
    return set(map(type, values)) if values.dtype == object else {values.dtype.type}


def _all_are(types, classes):
    return all(issubclass(cls, classes) for cls in types)


def _any_is(types, classes):
    return any(issubclass(cls, classes) for cls in types)


def _weights(values, name):
    if _any_is(_types(values), DATES + DURATIONS):
        raise ValueError(f"Column {name!r} must hold numbers, got times: convert it, as with .dt.total_seconds().")
    weights = _finite(values, name, "numbers")
    if (weights < 0).any():
        raise ValueError(f"Column {name!r} has negative weights, the lowest is {weights.min():g}.")
    return weights


def _finite(values, name, what):
    if values.dtype.kind in "cV":
        raise ValueError(f"Column {name!r} must hold {what}, got {values.dtype}.")
    try:
        with np.errstate(over="ignore"):
            numbers = values.astype(np.float64)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"Column {name!r} must hold {what}: {error}.") from error
    n_wrong = np.count_nonzero(~np.isfinite(numbers))
    if n_wrong:
        raise ValueError(f"{n_wrong} of {len(numbers)} events have a value in column {name!r} that is not finite.")
    return numbers


def _times(values, name):
    """Integers as int64, other numbers as float64; microseconds of durations, and of dates since 1970 in UTC."""
    types = _types(values)
    if _any_is(types, (str, bytes)):
        raise ValueError(
            f"Column {name!r} must hold numbers or datetimes, got strings, such as {values.tolist()[0]!r}: convert "
            "it, with pd.to_datetime or pd.to_numeric."
        )
    if _all_are(types, DATES):
        return _microseconds(_without_zone(values, name), "M8[us]", name)
    if _all_are(types, DURATIONS):
        return _microseconds(values, "m8[us]", name)
    if _any_is(types, DATES + DURATIONS):
        kinds = " and ".join(sorted(cls.__name__ for cls in types))
        raise ValueError(f"Column {name!r} mixes {kinds}: convert it to one type, with pd.to_datetime.")
    if not _all_are(types, INTEGERS):
        return _finite(values, name, "numbers or datetimes")
    least, greatest = int(values.min()), int(values.max())
    if least < -(2**63) or greatest >= 2**63:
        raise ValueError(f"Column {name!r} holds times from {least} to {greatest}: they must be below 2**63.")
    return values.astype(np.int64)


def _without_zone(dates, name):
    """Dates with a zone in UTC, all others as they are."""
    if dates.dtype != object:
        return dates
    has_zone = [getattr(date, "tzinfo", None) is not None for date in dates]
    if not any(has_zone):
        return dates
    if not all(has_zone):
        n_without = len(dates) - sum(has_zone)
        raise ValueError(
            f"{n_without} of {len(dates)} events have a time without a zone in column {name!r}, the others have one: "
            "give all of them a zone, or none."
        )
    epoch, microsecond = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC), datetime.timedelta(microseconds=1)
    return np.fromiter(((date - epoch) // microsecond for date in dates), np.int64, len(dates)).view("M8[us]")


def _microseconds(times, dtype, name):
    if times.dtype == object:
        return np.array(times.tolist(), dtype).astype(np.int64)
    microseconds = times.astype(dtype)
    # from a coarser unit NumPy wraps without a word
    if np.can_cast(times.dtype, dtype, "safe") and (microseconds.astype(times.dtype) != times).any():
        raise ValueError(f"Column {name!r} holds times of more than 290 000 years: pass numbers instead.")
    return microseconds.astype(np.int64)


# -- from events to interactions


def known_events(events, columns, n_items):
    """The events of items that have a column.

    Parameters
    ----------
    events : Events
    columns : int array of shape (n_events,)
        That of each event's item, -1 where it has none.
    n_items : int

    Returns
    -------
    Known
    """
    user_ids, rows = distinct_ids(events.users)
    first_events = np.zeros(len(user_ids), np.int64)
    first_events[rows[::-1]] = np.arange(len(rows))[::-1]  # what is written last stays
    known = columns >= 0
    cells = Cells(rows[known], columns[known], (len(user_ids), n_items))
    return Known(user_ids, first_events, Events(*(column[known] for column in events)), cells)


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
        Weights become 1. If not, those below float32's least normal number become that number, so
        that they are above 0.

    Returns
    -------
    weights : float32 csr_array of shape (n_users, n_items)
    timestamps : int64 or float64 csr_array of shape (n_users, n_items)
        The latest time of each cell, with entries where weights has them.

    Raises
    ------
    ValueError
        Where events share a cell and duplicates is "error", or a weight is above float32's range.
    """
    n_items = cells.shape[1]
    pairs, weights, timestamps = _merged(events, cells.rows * n_items + cells.columns, duplicates)
    kept = weights >= (threshold or 0)
    kept &= weights > 0
    pairs, weights, timestamps = pairs[kept], weights[kept], timestamps[kept]
    weights = np.ones(len(weights), np.float32) if binary else _as_float32(weights)
    positions = np.divmod(pairs, n_items)
    return tuple(sp.csr_array((values, positions), shape=cells.shape) for values in (weights, timestamps))


def at_least(events, cells, threshold):
    """The events that have at least some weight.

    Parameters
    ----------
    events : Events
    cells : Cells
        Of these events.
    threshold : float

    Returns
    -------
    events : Events
    cells : Cells
    """
    kept = events.weights >= threshold
    return Events(*(column[kept] for column in events)), Cells(cells.rows[kept], cells.columns[kept], cells.shape)


def _as_float32(weights):
    limits = np.finfo(np.float32)
    if len(weights) and weights.max() > limits.max:
        raise ValueError(
            f"Weights of interactions must be at most {limits.max:.3g}, what a float32 holds, got "
            f"{weights.max():g}: divide them all by a number, take their logarithm, or use binary=True."
        )
    return np.maximum(weights, float(limits.tiny)).astype(np.float32)


def _merged(events, pairs, duplicates):
    """The distinct pairs of user and item, ascending, the weight of each and its latest time."""
    # by weight too: a sum of floats must not depend on the order of the events
    order = np.lexsort((events.weights, events.timestamps, pairs))
    pairs, weights, timestamps = pairs[order], events.weights[order], events.timestamps[order]
    changes = np.flatnonzero(np.diff(pairs, prepend=-1, append=-1)) if len(pairs) else np.zeros(1, np.int64)
    if duplicates == "error":
        _check_none_repeated(events, order, changes)
    first, last = changes[:-1], changes[1:] - 1
    with np.errstate(over="ignore"):  # a sum beyond float64 is beyond float32 too
        weights = MERGES[duplicates](weights, first, last)
    return pairs[first], weights, timestamps[last]


def _check_none_repeated(events, order, changes):
    n_repeats = len(order) - (len(changes) - 1)
    if n_repeats:
        event = order[changes[:-1][np.diff(changes) > 1][:1]]
        raise ValueError(
            f"{n_repeats} events repeat a user and an item, such as user "
            f"{events.users[event].tolist()[0]!r} and item {events.items[event].tolist()[0]!r}: drop them, or use "
            'duplicates="sum", "max" or "last".'
        )
