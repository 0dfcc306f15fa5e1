"""Tables of events, read into checked columns."""

import datetime
import re
from typing import NamedTuple

import numpy as np

from .ids import Ids, as_ids, distinct_ids, distinct_strings
from .tables import Instants, Strings, is_series_of_tables, read_columns, read_list, tables_of

# Types that columns hold, as NumPy's and as Python's
DATES = (datetime.date, np.datetime64)
DURATIONS = (datetime.timedelta, np.timedelta64)
EPOCH, MICROSECOND = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC), datetime.timedelta(microseconds=1)
INTEGERS = (int, np.integer, np.bool_)
# Columns of answers, beside those of users and items
RESULTS = ("rank", "score", "similar_rank", "similarity", "own_rank", "contribution")
DAY_OR_MONTH_FIRST = r"\D{,12}(\d\d?)[/.-](\d\d?)[/.-]\d"  # which pandas takes for the month where it can
YEAR_FIRST = r"\D{,12}\d{4}[/.-]\d"
WITH_ZONE, WITHOUT_ZONE = "times with a zone", "times without a zone"


class Names(NamedTuple):
    """Names of the columns of a table.

    Parameters
    ----------
    user, item : str
        Of those with ids.
    weight, timestamp : str or None, default=None
        Of those with numbers; timestamps may be dates.
    """

    user: str
    item: str
    weight: str | None = None
    timestamp: str | None = None


class Events(NamedTuple):
    """Checked columns of a table.

    Parameters
    ----------
    users, items : Ids
    weights : float array of shape (n_events,), or None
        float64; float16 where all are float16. None where each event weighs 1.
    timestamps : int64 or float64 array of shape (n_events,), or None
        Of dates and durations microseconds.
    kind_of_times : str or None
        What they were: numbers, durations, or times with or without a zone.
    """

    users: Ids
    items: Ids
    weights: np.ndarray | None
    timestamps: np.ndarray | None
    kind_of_times: str | None


def check_names(user, item, weight, timestamp):
    """Raise unless the names of columns are names, and different ones.

    Parameters
    ----------
    user, item : str
        Not those of other columns of recommendations.
    weight, timestamp : str or None

    Raises
    ------
    TypeError
        Where one is no str.
    ValueError
        Where two are the same.
    """
    roles: dict[str, str] = {}
    for role, name in {"user": user, "item": item, "weight": weight, "timestamp": timestamp}.items():
        if not isinstance(name, str) and (role in ("user", "item") or name is not None):
            raise TypeError(f"{role} must be a str, the name of a column, got {name!r}.")
        if name in roles:
            raise ValueError(f"{roles[name]} and {role} both name the column {name!r}: name two columns.")
        if role in ("user", "item") and name in RESULTS:
            other = f"{role}_{name}"
            raise ValueError(
                f"{role}={name!r} is the name of a column that answers have: rename that of events, for example to "
                f"{other!r}, and use InteractionEncoder({role}={other!r})."
            )
        if name is not None:
            roles[name] = role
    if user == f"own_{item}":
        raise ValueError(f"user={user!r} is the name of a column that explain adds: rename that of events.")


# -- reading a table


def read_all_events(events, names, *, optional, allow_empty=False):
    """Checked columns of what people pass, a table at a time.

    Parameters
    ----------
    events : DataFrame, array, tuple of arrays, iterable of these, or pyarrow.dataset.Dataset
        As in `skvae.tables.tables_of`.
    names : Names
    optional : tuple of str
        As in `read_events`.
    allow_empty : bool, default=False
        Whether there may be no event at all.

    Yields
    ------
    table : DataFrame, array or tuple of arrays
    Events

    Raises
    ------
    ValueError
        Where there is no event, and as in `read_events`.
    TypeError, ImportError
        As in `read_events`.
    """
    n_events, kind_of_times = 0, None
    columns = {role: name for role, name in names._asdict().items() if name is not None}
    for number, table in enumerate(tables_of(events, columns), 1):
        try:
            read = read_events(table, names, optional=optional)
            kind_of_times = _same_kind(kind_of_times, read.kind_of_times, names.timestamp)
        except (TypeError, ValueError) as error:
            if not is_series_of_tables(events):
                raise
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"Table {number} of events: {error}") from error
        n_events += len(read.users.positions)
        if len(read.users.positions) or allow_empty:
            yield table, read
    if not n_events and not allow_empty:
        raise ValueError("events has no rows: pass at least one event.")


def _same_kind(before, now, name):
    """The kind of times of tables so far, and of one more."""
    if None not in (before, now) and before != now:
        raise ValueError(
            f"Column {name!r} holds {now}, and that of the tables before {before}: convert one of the two."
        )
    return before or now


def read_events(table, names, *, name="events", optional=()):
    """Checked columns of one table.

    Parameters
    ----------
    table : DataFrame, array of shape (n_events, n_columns), or tuple of arrays of shape (n_events,)
        A DataFrame of any library that narwhals knows; arrays have their columns in the order of
        names, without those that are None.
    names : Names
    name : str, default="events"
        What errors call the table.
    optional : tuple of str, default=()
        The last of the roles, whose columns may be missing.

    Returns
    -------
    Events

    Raises
    ------
    ValueError
        Where a column is missing, a value is missing, ids have lost digits, a weight is negative or
        no finite number, or a timestamp is neither a number nor a date.
    TypeError
        Where table is no table, or ids are of several kinds or of one that cannot be ids.
    ImportError
        Where table is a DataFrame and narwhals is not installed.
    """
    roles = {role: column for role, column in names._asdict().items() if column is not None}
    users, items, columns = _users_and_items(table, roles, name, optional)
    if not len(users.positions):
        return Events(users, items, None, None, None)
    weights = _weights(columns["weight"], {role: roles[role] for role in columns}) if "weight" in columns else None
    times = _times(columns["timestamp"], names.timestamp) if "timestamp" in columns else (None, None)
    return Events(users, items, weights, *times)


def read_scores(table, names):
    """Users, items and their scores of a table, such as recommendations.

    Parameters
    ----------
    table : DataFrame, or tuple or dict of arrays of shape (n_rows,)
        With a column "score".
    names : Names
        Of the columns of users and items.

    Returns
    -------
    users, items : Ids
    scores : float array of shape (n_rows,)

    Raises
    ------
    ValueError, TypeError, ImportError
        As in `read_events`.
    """
    roles = {"user": names.user, "item": names.item, "score": "score"}
    users, items, columns = _users_and_items(table, roles, "table", ())
    scores = _numbers(columns["score"], "score")
    dtype = columns["score"].dtype
    return users, items, scores.astype(dtype) if dtype.kind == "f" else scores


def _users_and_items(table, roles, name, optional):
    """Ids of users and items, and all columns by their role."""
    columns = read_columns(table, roles, name=name, optional=optional, ids=("user", "item"))
    for role in columns.keys() - {"timestamp"}:
        if isinstance(columns[role], Instants):  # which are none of these, and said to be so by what they hold
            columns[role] = columns[role].values
    users, items = (_ids(columns[role], f"column {roles[role]!r}") for role in ("user", "item"))
    return users, items, columns


def _ids(column, name):
    if isinstance(column, Strings):
        return distinct_strings(*column)
    return distinct_ids(as_ids(column, name))


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
    Ids

    Raises
    ------
    ValueError, TypeError
        As in `read_events`.
    """
    values = read_list(ids, name)
    return distinct_ids(as_ids(values, name) if len(values) else np.zeros(0, np.int64))


def _types(values):
    return set(map(type, values)) if values.dtype == object else {values.dtype.type}


def _all_are(types, classes):
    return all(issubclass(cls, classes) for cls in types)


def _any_is(types, classes):
    return any(issubclass(cls, classes) for cls in types)


def _numbers(values, name):
    if _any_is(_types(values), DATES + DURATIONS):
        raise ValueError(f"Column {name!r} must hold numbers, got times: convert it, as with .dt.total_seconds().")
    return _finite(values, name, "numbers")


def _weights(values, names):
    """Checked weights; names by the roles of the columns that the table has."""
    name, weights = names["weight"], _numbers(values, names["weight"])
    if (weights < 0).any():
        merged = {name: "sum"} | ({names["timestamp"]: "max"} if "timestamp" in names else {})
        raise ValueError(
            f"Column {name!r} has negative weights, the lowest is {weights.min():g}. Where they take something back, "
            f"such as a purchase, sum them first, as events.groupby({[names['user'], names['item']]}, as_index=False)"
            f".agg({merged}), and keep what is above 0; where they are dislikes, drop these events; else shift the "
            "scale, so that what counts as an interaction is above 0."
        )
    return weights.astype(np.float16) if _all_are(_types(values), np.float16) else weights


def _finite(values, name, what):
    if values.dtype.kind in "cV":
        raise ValueError(f"Column {name!r} must hold {what}, got {values.dtype}.")
    try:
        with np.errstate(over="ignore"):
            numbers = values.astype(np.float64)
    except (TypeError, ValueError, ArithmeticError) as error:
        commas = (v for v in values.tolist() if isinstance(v, str) and "," in v and _is_number(v.replace(",", ".")))
        hint = ' pd.read_csv(..., decimal=",") reads decimal commas.' if any(commas) else ""
        raise ValueError(f"Column {name!r} must hold {what}: {error}.{hint}") from error
    n_wrong = np.count_nonzero(~np.isfinite(numbers))
    if n_wrong:
        raise ValueError(f"{n_wrong} of {len(numbers)} events have a value in column {name!r} that is not finite.")
    return numbers


def _times(values, name):
    """(times, what they were): integers as int64, other numbers as float64; microseconds of durations, and of dates.

    Those of dates are since 1970, in UTC.
    """
    if isinstance(values, Instants):
        return _microseconds(values.values, "M8[us]", name), WITH_ZONE
    types = _types(values)
    if _any_is(types, (str, bytes)):
        texts = [value for value in values.tolist() if isinstance(value, (str, bytes))]
        raise ValueError(
            f"Column {name!r} must hold numbers or datetimes, got strings, such as {_converted(texts, name)}."
        )
    if _all_are(types, DATES):
        dates, kind = _without_zone(values, name)
        return _microseconds(dates, "M8[us]", name), kind
    if _all_are(types, DURATIONS):
        return _microseconds(values, "m8[us]", name), "durations"
    if _any_is(types, DATES + DURATIONS):
        kinds = " and ".join(sorted(cls.__name__ for cls in types))
        raise ValueError(f"Column {name!r} mixes {kinds}: convert it to one type, with pd.to_datetime.")
    if not _all_are(types, INTEGERS):
        return _finite(values, name, "numbers or datetimes"), "numbers"
    least, greatest = int(values.min()), int(values.max())
    if least < -(2**63) or greatest >= 2**63:
        raise ValueError(f"Column {name!r} holds times from {least} to {greatest}: they must be below 2**63.")
    return values.astype(np.int64), "numbers"


def _converted(texts, name):
    """A string, or one of each kind, and how the column that holds them is converted."""
    texts = [text.decode(errors="replace") if isinstance(text, bytes) else text for text in texts]
    text, column = texts[0], f"events[{name!r}]"
    others = [match for match in (re.match(DAY_OR_MONTH_FIRST, text) for text in texts) if match]
    year_first = next((text for text in texts if re.match(YEAR_FIRST, text)), None)
    day_first, month_first = (next((match.string for match in others if int(match[i]) > 12), None) for i in (1, 2))
    two = day_first, month_first
    if year_first is not None and others:
        two = year_first, others[0].string
    if None not in two:
        kinds = " and ".join(map(repr, two))
        return f'{kinds}: convert each kind by its own format. With format="mixed" pandas may take a day for a month'
    convert = f"pd.to_datetime({column}, utc=True), in polars .str.to_datetime()"
    if others:
        convert = f"pd.to_datetime({column}, utc=True, dayfirst={month_first is None})"
        convert += ", with dayfirst=False or format= as they are written" if two == (None, None) else ""
    elif all(re.fullmatch(r"(19|20)\d{6}", text) for text in texts):
        convert = f'pd.to_datetime({column}, utc=True, format="%Y%m%d")'
    elif all(map(_is_number, texts)):
        convert = f"pd.to_numeric({column})"
    return f"{text!r}: convert it, as with {column} = {convert}"


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _without_zone(dates, name):
    """(dates, their kind): those with a zone, and of pandas, in UTC, all others as they are."""
    has_zone = [getattr(date, "tzinfo", None) is not None for date in dates] if dates.dtype == object else []
    if any(has_zone) and not all(has_zone):
        n_without = len(dates) - sum(has_zone)
        raise ValueError(
            f"{n_without} of {len(dates)} events have a time without a zone in column {name!r}, the others have one: "
            "give all of them a zone, or none."
        )
    kind = WITH_ZONE if any(has_zone) else WITHOUT_ZONE
    if any(hasattr(cls, "as_unit") for cls in _types(dates)):
        dates = np.array([_as_datetime64(date) for date in dates], "M8[us]")
    elif kind == WITH_ZONE:
        dates = np.fromiter(((date - EPOCH) // MICROSECOND for date in dates), np.int64, len(dates)).view("M8[us]")
    return dates, kind


def _as_datetime64(date):
    """A date as NumPy has it: the arithmetic of pandas takes ten times as long."""
    if hasattr(date, "as_unit"):  # beyond microseconds an error
        return (date if date.unit in ("us", "ns") else date.as_unit("us")).to_datetime64()
    return np.datetime64((date - EPOCH) // MICROSECOND, "us") if getattr(date, "tzinfo", None) else date


def _microseconds(times, dtype, name):
    if times.dtype == object:
        return np.array(times.tolist(), dtype).astype(np.int64)
    microseconds = times.astype(dtype)
    # from a coarser unit NumPy wraps without a word
    if np.can_cast(times.dtype, dtype, "safe") and (microseconds.astype(times.dtype) != times).any():
        raise ValueError(f"Column {name!r} holds times of more than 290 000 years: pass numbers instead.")
    return microseconds.astype(np.int64)
