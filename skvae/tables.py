"""Tables and columns of any library: read into arrays that hold the same values, and written back."""

from contextlib import suppress
from functools import partial

import numpy as np

MISSING_STRING = "nan"  # what NumPy makes of NaN beside strings, in arrays of 32 characters or more
RESULTS = ("rank", "score")  # columns of recommendations beside those of users and items


# -- reading


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
                f"{role}={name!r} is the name of a column that recommend adds: rename that of events, for example to "
                f"{other!r}, and use InteractionEncoder({role}={other!r})."
            )
        if name is not None:
            roles[name] = role


def read_columns(events, names):
    """Columns of a table as arrays, none with a missing value.

    Parameters
    ----------
    events : DataFrame, array of shape (n_events, n_columns), or tuple of arrays of shape (n_events,)
    names : dict of str to str
        Role -> name of a column; arrays have their columns in this order.

    Returns
    -------
    dict of str to array of shape (n_events,)
        Role -> column, in a dtype that holds its values exactly.

    Raises
    ------
    ValueError
        Where there is no event, a column is missing, or a value is missing.
    TypeError
        Where events is no table.
    ImportError
        Where events is a DataFrame and narwhals is not installed.
    """
    frame = _frame(events)
    columns = _array_columns(events, names) if frame is None else _frame_columns(frame, names)
    n_events = len(next(iter(columns.values())))
    if not n_events:
        raise ValueError("events has no rows: pass at least one event.")
    _check_none_missing({names[role]: values for role, values in columns.items()}, n_events)
    return columns


def read_list(values, name):
    """Values outside a table as an array, such as candidates.

    Parameters
    ----------
    values : array of shape (n,)
        An array or Series of any library, or an iterable.
    name : str
        What they are, for errors.

    Returns
    -------
    array of shape (n,)
        In a dtype that holds the values exactly.

    Raises
    ------
    ValueError
        Where a value is missing, or there are rows and columns.
    TypeError
        Where values is no array.
    """
    array = _array(values, name)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {array.shape}.")
    n_missing = _count_missing(array)
    if n_missing:
        raise ValueError(f"{n_missing} of {len(array)} {name} have no value: drop them.")
    return array


def _frame(events):
    """A DataFrame as that of narwhals; None for arrays."""
    if isinstance(events, (np.ndarray, tuple)):
        return None
    if not hasattr(type(events), "columns"):
        raise TypeError(
            "events must be a DataFrame, an array of shape (n_events, n_columns) or a tuple of arrays, got "
            f"{type(events).__name__}; a user-item matrix needs no InteractionEncoder."
        )
    try:
        import narwhals.stable.v2 as nw
    except ImportError as error:
        raise ImportError('events is a DataFrame, which needs narwhals: pip install "skvae[tables]".') from error
    try:
        return nw.from_native(events, eager_only=True)
    except TypeError as error:
        raise TypeError(
            f"events must be a DataFrame that is held in memory, got {type(events).__module__}.{type(events).__name__}:"
            " collect it first."
        ) from error
    except Exception as error:
        raise ValueError(f"events cannot be read, have two of its columns the same name? {error}") from error


def _frame_columns(frame, names):
    for role, name in names.items():
        if name not in frame.columns:
            raise ValueError(
                f"events has no column {name!r}, its columns are: {', '.join(map(str, frame.columns))}. "
                f'Say InteractionEncoder({role}="...").'
            )
    return {role: _series_values(frame.get_column(name)) for role, name in names.items()}


def _array_columns(events, names):
    if isinstance(events, np.ndarray) and events.ndim != 2:
        raise ValueError(f"An array of events must be two-dimensional, got shape {events.shape}.")
    columns = [
        _array(column, "Each column of events") for column in (events if isinstance(events, tuple) else events.T)
    ]
    shapes = [column.shape for column in columns]
    if len(columns) != len(names) or any(len(shape) != 1 or shape != shapes[0] for shape in shapes):
        raise ValueError(
            f"events must have the {len(names)} columns {', '.join(names)}, all equally long, got "
            f"{', '.join(map(str, shapes))}; weight and timestamp are read where these parameters name them."
        )
    return dict(zip(names, columns, strict=True))


def _array(column, name):
    """The values of an array, a Series or a list; a missing one is None, NaN, NaT or NA."""
    if isinstance(column, np.ndarray):
        return _filled(column)
    series = _series(column)
    if series is not None:
        return _series_values(series)
    if hasattr(column, "to_pylist"):
        column = column.to_pylist()  # NumPy would get floats from pyarrow where an integer is missing
    if hasattr(column, "__array__"):
        return _filled(np.asarray(column))
    if isinstance(column, (str, bytes)) or not hasattr(column, "__iter__"):
        raise TypeError(f"{name} must be an array or a list, got {column!r}.")
    return np.fromiter(column, object)  # NumPy itself would make strings of numbers beside strings


def _filled(array):
    """A plain array, None for what is masked."""
    if np.ma.isMaskedArray(array):
        mask, array = np.ma.getmaskarray(array), array.data
        array = np.where(mask, None, array.astype(object)) if mask.any() else array
    # among variable-width strings a missing value may be any object
    return array.astype(object) if array.dtype.kind == "T" else array


def _series(column):
    """A Series as that of narwhals; None for what is none."""
    try:
        import narwhals.stable.v2 as nw
    except ImportError:
        return None
    series = nw.from_native(column, series_only=True, pass_through=True)
    return series if isinstance(series, nw.Series) else None


def _series_values(series):
    native = series.to_native()
    if getattr(getattr(native, "dtype", None), "tz", None) is not None and not series.null_count():
        return np.asarray(native, "datetime64[us]")  # pandas would give a Timestamp each
    array = None if _is_listed(series) else _series_array(series)
    if array is None:
        return np.fromiter(series.to_list(), object)
    if array.ndim != 1:
        raise TypeError(f"Column {series.name!r} must hold one value in each row, got {series.dtype}.")
    return _filled(array)


def _is_listed(series):
    """Whether an array of a column would hold other values: floats for integers, or what an extension stores."""
    try:
        return str(series.dtype) in ("Int128", "UInt128", "Unknown") or series.null_count() > 0
    except (ArithmeticError, UnicodeError):  # from a signalling NaN or half a character in pandas
        return True


def _series_array(series):
    try:
        return series.to_numpy()
    except Exception:  # from categories with unsigned numbers in old pyarrow
        return None


# -- missing values


def _check_none_missing(columns, n_events):
    counts = {name: _count_missing(array) for name, array in columns.items()}
    missing = [(name, count) for name, count in counts.items() if count]
    if missing:
        (first, n_first), *others = missing
        also = "".join(f", {count} in column {name!r}" for name, count in others)
        hint = ""
        if any(columns[name].dtype.kind == "U" for name, _ in missing):
            hint = f" ({MISSING_STRING!r} is what NumPy makes of NaN beside strings, unless dtype=object)"
        raise ValueError(
            f"{n_first} of {n_events} events have no value in column {first!r}{also}{hint}: fill or drop them."
        )


def _count_missing(array):
    kind = array.dtype.kind
    if kind in "fc":
        return np.count_nonzero(np.isnan(array))
    if kind in "mM":
        return np.count_nonzero(np.isnat(array))
    if kind == "U" and array.dtype.itemsize >= np.dtype("U32").itemsize:
        return np.count_nonzero(array == MISSING_STRING)
    if kind != "O" or set(map(type, array.flat)) <= {str, bytes, int, bool}:
        return 0
    return sum(map(_is_missing, array.flat))


def _is_missing(value):
    if value is None or value is np.ma.masked or type(value).__name__ == "NAType":  # that of pandas
        return True
    try:
        return bool(value != value)  # NaN and NaT
    except ArithmeticError:  # a signalling NaN among decimals
        return True
    except Exception:  # an array, or whatever else is no id and no number: its reader says so
        return False


# -- writing


def table_like(events, columns, user, item, event_rows, item_index):
    """Columns as a table of the kind of events.

    Parameters
    ----------
    events : DataFrame, array or tuple of arrays
    columns : dict of str to array of shape (n_rows,)
        With those of users and items, ids as `skvae.ids.as_ids` gives them.
    user, item : str
        Names of the columns of users and of items, in columns and in events.
    event_rows : int array of shape (n_rows,)
        For each row an event of its user.
    item_index : dict
        All items that there are, from `skvae.ids.item_index`.

    Returns
    -------
    DataFrame, or dict of str to array
        A DataFrame of the same library. Users are in the type that they have in events; items in
        the dtype of columns[item]. Where the library has several types for the same ids
        (nullable or not, decimals, categories), that of events, unless it has no place for an item.
        For arrays, columns as they are.

    Raises
    ------
    TypeError, ImportError
        As in `read_columns`; also where the library has no column for the ids of items.
    """
    frame = _frame(events)
    if frame is None:
        return columns
    import narwhals.stable.v2 as nw

    numbers = {name: values for name, values in columns.items() if name not in (user, item)}
    series = {name: nw.new_series(name, values, backend=frame.implementation) for name, values in numbers.items()}
    series[user] = _rows_of(frame.get_column(user), event_rows)
    series[item] = _series_like(frame.get_column(item), columns[item], item_index)
    return nw.from_dict({name: nw.maybe_reset_index(series[name]) for name in columns}).to_native()


def _rows_of(series, rows):
    """Rows of a column, in its type."""
    import narwhals.stable.v2 as nw

    try:
        return series[rows]
    except Exception:  # from its views of strings and bytes pyarrow cannot take
        values = series.to_list()
        sample, *taken = (values[row] for row in [0, *rows])
        return nw.new_series(series.name, [sample, *taken], backend=series.implementation)[1:]


def _series_like(column, ids, item_index):
    """Ids as a column of the library that a column has, and in its type where this has a place for every item."""
    import narwhals.stable.v2 as nw

    # one of the items first says what they are, where there are no others
    values = np.concatenate([np.fromiter([next(iter(item_index))], ids.dtype), ids])
    if ids.dtype == object:
        series = _objects_as_series(column, values)
    else:  # not every library has half floats
        values = values.astype(np.float32) if ids.dtype == np.float16 else values
        series = nw.new_series(column.name, values, backend=column.implementation)
    with suppress(Exception):  # where there is no such cast
        cast = _cast(series, column, item_index)
        if cast.to_list() == series.to_list():
            series = cast
    return series[1:]


def _objects_as_series(column, objects):
    import narwhals.stable.v2 as nw

    library, values = column.implementation, objects.tolist()
    data = objects if library.is_pandas_like() else values
    attempts = [partial(nw.new_series, column.name, data, backend=library)]
    if library.is_polars():
        polars = library.to_native_namespace()
        attempts += [
            partial(polars.Series, column.name, values, type_) for type_ in (column.to_native().dtype, polars.Object)
        ]
    for attempt in attempts:
        try:
            series = nw.from_native(attempt(), series_only=True)
            if series.to_list() == values:
                return series
        except Exception:
            continue
    raise TypeError(
        f"No column of {library.value} holds the ids of all items, such as {values[0]!r}: pass events as a tuple of "
        "arrays."
    )


def _cast(series, column, item_index):
    """A series in the type of a column, or in one near to it; numbers stay in theirs."""
    import narwhals.stable.v2 as nw

    form, library = column.dtype, series.implementation
    is_category = isinstance(form, (nw.Categorical, nw.Enum))
    if is_category and series.dtype == nw.String:
        categories = column.cat.get_categories().to_list()
        has_all = len(categories) >= len(item_index) and set(item_index) <= set(categories)
        if not has_all and isinstance(form, nw.Enum):
            return series
        if not has_all or not library.is_pandas_like():
            return series.cast(form)
    elif type(form) is not type(series.dtype):
        is_object = series.dtype in (nw.Object, nw.Binary)
        if not is_object or is_category or form.is_integer() or form.is_float():
            return series
    native, like = series.to_native(), column.to_native()
    if library.is_pandas_like():
        return nw.from_native(native.astype(like.dtype), series_only=True)
    return nw.from_native(native.cast(like.dtype if library.is_polars() else like.type), series_only=True)
