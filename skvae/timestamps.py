"""Timestamps of the interactions of a matrix: read from a second one, and compared with a moment."""

import datetime
import numbers
from contextlib import suppress

import numpy as np
import scipy.sparse as sp

from .columns import check_same_cells
from .matrix import intact, row_sliceable, users_of_entries
from .missing import is_missing

TIMES_OF_ENCODER = (
    " InteractionEncoder.timestamps(events) has the rows of fit_transform(events), and with "
    "users=encoder.user_ids_of(events) those of transform(events)."
)
MOST_SECONDS = 10**11  # after 1970, of a date that somebody means: the year 5138
NOT_FINITE = "timestamps must be finite for each interaction of X."


def times_of_entries(interactions, timestamps, X):
    """The timestamp of each interaction.

    Parameters
    ----------
    interactions : csr_array of shape (n_users, n_items)
        Of X.
    timestamps : sparse matrix, array or DataFrame of shape (n_users, n_items)
        Numbers or datetimes; ignored where X has no interaction.
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)

    Returns
    -------
    array of shape (nnz,)
        Numbers, datetimes or durations.

    Raises
    ------
    ValueError
        Where the two have different shapes, columns or rows, or an interaction has no time, or several.
    """
    timestamps = (intact if sp.issparse(timestamps) else row_sliceable)(timestamps, "timestamps")
    check_same_cells(timestamps, X, "timestamps", remedy=TIMES_OF_ENCODER)
    return _times_of(interactions, timestamps)


def are_from(at, times):
    """Which times are those of a moment or later.

    Parameters
    ----------
    at : number, datetime, numpy.datetime64 or str
    times : array of shape (n,), or None
        As `times_of_entries` gives them.

    Returns
    -------
    bool array of shape (n,)

    Raises
    ------
    ValueError, TypeError
        Where there are no times, or at cannot be compared with them, or is not between the first and the last.
    """
    if times is None:
        raise ValueError(f"at={at!r} cuts by time: pass timestamps too.")
    if is_missing(at):
        raise ValueError(f"at={at!r} is no moment: pass a date, or a number in the unit of timestamps.")
    moment = at
    if isinstance(at, (str, datetime.date, np.datetime64)):
        try:
            moment = _in_unit_of(times.dtype, _as_datetime64(at))
        except (ValueError, OverflowError) as error:
            raise ValueError(f'at={at!r} is no date: write it as in "2018-01-31" or "2018-01-31T12:00".') from error
        moment = moment if times.dtype.kind == "M" else moment.astype(np.int64)
    elif isinstance(at, (bool, np.timedelta64)) or not isinstance(at, numbers.Real):
        raise TypeError(f"at must be a number in the unit of timestamps, or a date, got {at!r}.")
    if times.dtype.kind == "m" or (times.dtype.kind == "M" and moment is at):
        raise TypeError(
            f"at={at!r} cannot be compared with timestamps of {times.dtype}: pass a date, or make them numbers."
        )
    if not len(times):
        raise ValueError(f"at={at!r} cuts interactions by time, and X holds none.")
    hidden = times >= moment
    if hidden.all() or not hidden.any():
        first, last = times.min(), times.max()
        remedy = ""
        if moment is not at and times.dtype.kind != "M" and max(abs(first), abs(last)) < 2**63:
            unit = "s" if last < MOST_SECONDS else "ms"
            if last < 1000 * MOST_SECONDS:
                remedy = f' Make dates of such times before the encoder, as pd.to_datetime(times, unit="{unit}").'
            first, last = (f"{time} ({np.datetime64(int(time), 'us').astype('M8[s]')})" for time in (first, last))
        raise ValueError(
            f"at={at!r} is not between the first and the last of the timestamps, {first} and {last}: a date is "
            f"compared as microseconds since 1970, a number as it is.{remedy}"
        )
    return hidden


def _in_unit_of(dtype, moment):
    """A moment in the unit of times, of which the same are from then on; NaT where it is out of range.

    Numbers are microseconds, to which an encoder cuts its times as this does the moment.
    """
    unit = dtype if dtype.kind == "M" else np.dtype("M8[us]")
    rounded = moment.astype(unit)
    if abs(rounded.astype("M8[D]") - moment.astype("M8[D]")) > np.timedelta64(366, "D"):  # out of range: NumPy wraps
        return np.datetime64("NaT", "us").astype(unit)
    return rounded + (dtype.kind == "M" and rounded < moment)


def _as_datetime64(at):
    is_word = isinstance(at, str) and at.strip().isalpha()  # "now" and "today" are other dates tomorrow
    moment = np.datetime64("NaT" if is_word else _in_utc(at))
    if np.isnat(moment):
        raise ValueError(f"{at!r} is no date")
    return moment


def _in_utc(at):
    """A moment in UTC, without its zone."""
    if isinstance(at, str):
        with suppress(ValueError):  # NumPy reads other forms, such as a year and a month
            at = datetime.datetime.fromisoformat(at)
    at = at.astimezone(datetime.UTC).replace(tzinfo=None) if getattr(at, "tzinfo", None) else at
    return at.to_datetime64() if hasattr(at, "to_datetime64") else at  # of pandas, to the nanosecond


def _times_of(X, timestamps):
    """The timestamp of each entry of X, of shape (nnz,)."""
    if sp.issparse(timestamps) and timestamps.format == "csr" and _has_cells_of(X, timestamps):
        times = timestamps.data  # as an encoder gives them, which needs no search
    elif sp.issparse(timestamps):
        stored = sp.coo_array(timestamps)
        cells = stored.row.astype(np.int64) * X.shape[1] + stored.col
        order = np.argsort(cells)
        wanted = users_of_entries(X) * X.shape[1] + X.indices
        first, last = (np.searchsorted(cells, wanted, side, sorter=order) for side in ("left", "right"))
        if (last - first != 1).any():
            raise ValueError(
                f"timestamps does not store exactly one value for {np.count_nonzero(last - first != 1)} of the "
                f"{len(wanted)} interactions of X: store each once, a time of 0 too."
            )
        times = stored.data[order[first]]
    else:
        times = np.asarray(timestamps)[users_of_entries(X), X.indices]
    if times.dtype.kind == "O":
        times = _plain(times)
    if times.dtype.kind not in "biufmM":
        raise ValueError(f"timestamps must hold numbers or datetimes, got the dtype {times.dtype}.")
    if not np.isfinite(times).all():
        raise ValueError(NOT_FINITE)
    return times


def _has_cells_of(X, stored):
    return np.array_equal(stored.indptr, X.indptr) and np.array_equal(stored.indices, X.indices)


def _plain(times):
    """Objects, as pandas has what may be missing and datetimes with a zone, in a type of NumPy."""
    if any(map(is_missing, times)):
        raise ValueError(NOT_FINITE)
    return np.array([np.datetime64(_in_utc(time), "us") if isinstance(time, datetime.date) else time for time in times])
