"""Tables and columns of any library, read into arrays that hold the same values."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .missing import check_no_event_lacks, count_missing

MOST_NAMES = 12  # of columns, in an error
PATH = r"[/\\]|\.(csv|tsv|txt|dat|parquet|feather|json|jsonl|gz|zip)$"  # rather than an id
ROWS = (tuple, list, Mapping)  # what a row may be
ROWS_PER_BATCH = 2**20  # of a data set, read at once


class Strings(NamedTuple):
    """A column of strings by its distinct values.

    Parameters
    ----------
    values : list of str
        Each once, in any order.
    codes : int array of shape (n_rows,)
        The index of each row's value.
    """

    values: list
    codes: np.ndarray

    @property
    def shape(self):
        """The shape of codes, a tuple of int."""
        return self.codes.shape


class Instants(NamedTuple):
    """A column of times with a zone.

    Parameters
    ----------
    values : datetime64 array of shape (n_rows,)
        In UTC.
    """

    values: np.ndarray

    @property
    def shape(self):
        """The shape of values, a tuple of int."""
        return self.values.shape


# -- reading


def tables_of(events, names):
    """The tables that events are: itself, those of an iterable, or the batches of a data set of pyarrow.

    Parameters
    ----------
    events : DataFrame, array, tuple of arrays, iterable of these, or pyarrow.dataset.Dataset
    names : dict of str to str
        Role -> name of a column: what is read of a data set.

    Yields
    ------
    DataFrame, array or tuple of arrays

    Raises
    ------
    ValueError
        Where events is an iterator that was gone through before.
    """
    if _is_dataset(events):
        yield from _batches(events, list(names.values()))
    elif is_series_of_tables(events):
        n_tables = 0
        for table in events:
            n_tables += 1
            check_no_row(table, events, names)
            yield table
        if not n_tables and not isinstance(events, Iterator):
            raise ValueError(f"events is an empty {type(events).__name__}: pass a table, which may have no rows.")
        if not n_tables:
            raise ValueError(
                f"events is a {type(events).__name__} that gives no table, as after it was read once: pass a "
                "list of tables or a data set, which can be read again, or create the iterator again."
            )
    else:
        yield events


def check_no_row(table, tables, names, name="events"):
    """Raise where what stands for a table is a row of one: of a database's cursor, say, or of a CSV reader.

    Parameters
    ----------
    table : object
        The first of tables.
    tables : iterable
    names : dict of str to str
        Role -> name of a column that a table would have.
    name : str, default="events"
        What the error calls tables.

    Raises
    ------
    TypeError
    """
    cells = list(table.values() if isinstance(table, Mapping) else table) if isinstance(table, ROWS) else []
    if cells and all(isinstance(cell, (str, bytes)) or not isinstance(cell, Iterable) for cell in cells):
        columns = "" if isinstance(table, Mapping) else f", columns={list(names.values())}"
        raise TypeError(
            f"{name} is a {type(tables).__name__} of rows, such as {table!r}: make a table of them, as "
            f"pd.DataFrame({name}{columns})."
        )


def is_series_of_tables(events):
    """Whether events comes table by table.

    Parameters
    ----------
    events : object

    Returns
    -------
    bool
    """
    if _is_dataset(events):
        return True
    is_one = isinstance(events, (tuple, str, bytes, Mapping)) or hasattr(events, "shape") or _has_columns(events)
    return isinstance(events, Iterable) and not is_one


def is_table(values):
    """Whether values are a table with columns, and not a list of ids.

    Parameters
    ----------
    values : object

    Returns
    -------
    bool
    """
    columns = values.values() if isinstance(values, Mapping) else values
    if isinstance(values, (tuple, Mapping)):
        return len(columns) > 0 and all(isinstance(v, Iterable) and not isinstance(v, (str, bytes)) for v in columns)
    return _has_columns(values) or getattr(values, "ndim", 1) == 2


def _has_columns(events):
    return hasattr(type(events), "columns")


def _is_dataset(events):
    dataset = sys.modules.get("pyarrow.dataset")  # who has one has imported it
    return dataset is not None and isinstance(events, dataset.Dataset)


def _batches(dataset, names):
    """Some columns of a data set of pyarrow, a table at a time; page checksums that a Parquet file has are verified."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    is_parquet = isinstance(getattr(dataset, "format", None), ds.ParquetFileFormat)
    options = {"fragment_scan_options": ds.ParquetFragmentScanOptions(page_checksum_verification=True)}
    batches: list[pa.RecordBatch] = []
    n_rows = n_read = 0
    for batch in dataset.to_batches(
        columns=names if {*names} <= {*dataset.schema.names} else None,
        batch_size=ROWS_PER_BATCH,
        batch_readahead=1,
        fragment_readahead=1,
        **options if is_parquet else {},
    ):
        batches.append(batch)
        n_rows, n_read = n_rows + batch.num_rows, n_read + 1
        if n_rows >= ROWS_PER_BATCH // 2:
            yield pa.Table.from_batches(batches)
            batches, n_rows = [], 0
    if batches:
        yield pa.Table.from_batches(batches)
    elif not n_read:
        yield dataset.schema.empty_table()


def read_columns(table, names, *, name, optional, ids):
    """Columns of a table as arrays, none with a missing value.

    Parameters
    ----------
    table : DataFrame, array of shape (n_events, n_columns), or tuple or dict of arrays of shape (n_events,)
    names : dict of str to str
        Role -> name of a column; an array or a tuple has its columns in this order.
    name : str
        What errors call the table.
    optional : tuple of str
        The last of the roles, whose columns may be missing.
    ids : tuple of str
        Roles whose strings may come by their distinct values, which is quicker.

    Returns
    -------
    dict of str to array of shape (n_events,), Strings or Instants
        Role -> column, in a dtype that holds its values exactly.

    Raises
    ------
    ValueError
        Where a column is missing, or a value is missing.
    TypeError
        Where table is no table.
    ImportError
        Where table is a DataFrame and narwhals is not installed.
    """
    frame = frame_of(table, name)
    if frame is None:
        columns = _array_columns(table, names, name, optional, ids)
    else:
        columns = _frame_columns(frame, names, name, optional, ids)
    arrays = {names[role]: column for role, column in columns.items() if isinstance(column, np.ndarray)}
    enough = [column for role, column in names.items() if role not in optional] if optional else ()
    check_no_event_lacks(arrays, name if name == "events" else f"rows of {name}", enough)
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
    if isinstance(values, (str, bytes, int, float)):
        raise TypeError(f"{name} must be an array or a list of ids, such as [{values!r}], got {values!r}.")
    if isinstance(values, Mapping) and any(value is not None for value in values.values()):
        raise TypeError(f"{name} must be an array or a list of ids, got {type(values).__name__} with values.")
    array = _array(values, name)
    array = array.values if isinstance(array, Instants) else array
    if array.ndim != 1:
        raise ValueError(
            f"{name} must be one-dimensional, got shape {array.shape}: of a table pass the column with the ids."
        )
    n_missing = count_missing(array)
    if n_missing:
        raise ValueError(f"{n_missing} of {len(array)} {name} have no value: drop them.")
    return array


def column_as_table(values, name):
    """A column of a DataFrame as a table of that library; what is none, as a tuple.

    Parameters
    ----------
    values : array or Series
    name : str
        Of the column in the table.

    Returns
    -------
    DataFrame or tuple
    """
    series = _series(values)
    return (values,) if series is None else series.alias(name).to_frame().to_native()


def frame_of(table, name="events"):
    """A DataFrame as that of narwhals.

    Parameters
    ----------
    table : DataFrame, array or tuple of arrays
    name : str, default="events"
        What errors call it.

    Returns
    -------
    narwhals.DataFrame or None
        None for arrays.

    Raises
    ------
    TypeError, ValueError, ImportError
        As in `read_columns`.
    """
    if isinstance(table, (np.ndarray, tuple, Mapping)):
        return None
    pyarrow = sys.modules.get("pyarrow")  # who has a batch has imported it
    if pyarrow is not None and isinstance(table, pyarrow.RecordBatch):
        table = pyarrow.Table.from_batches([table])
    if not _has_columns(table):
        raise TypeError(
            f"{name} must be a DataFrame, an array of shape (n_events, n_columns), or a tuple or dict of arrays, got "
            f"{type(table).__name__}; {_way_to_a_table(table)}."
        )
    try:
        import narwhals.stable.v2 as nw
    except ImportError as error:
        raise ImportError(f'{name} is a DataFrame, which needs narwhals: pip install "skvae[tables]".') from error
    try:
        return nw.from_native(table, eager_only=True)
    except TypeError as error:
        raise TypeError(
            f"{name} must be a DataFrame that is held in memory, got {type(table).__module__}.{type(table).__name__}:"
            " collect it first, as polars' .collect(), dask's .compute() or duckdb's .to_arrow_table() do."
        ) from error
    except Exception as error:
        raise ValueError(f"{name} cannot be read, have two of its columns the same name? {error}") from error


def _way_to_a_table(found):
    one = found[0] if isinstance(found, list) and found else found
    if isinstance(one, Path) or (isinstance(one, str) and re.search(PATH, one)):
        return "read it first, as pd.read_csv(path), or by pyarrow.dataset.dataset(path) a folder in parts"
    if isinstance(one, (str, bytes, int, np.integer)):  # of a list, which is read a table at a time
        return "of one user's items ([user] * len(items), items) is a table"
    return "a user-item matrix needs no InteractionEncoder"


def _frame_columns(frame, names, table, optional, ids):
    index = getattr(getattr(frame.to_native(), "index", None), "names", ())
    present = _present(names, frame.columns, table, optional, index)
    columns = {role: frame.get_column(name) for role, name in present.items()}
    return {role: (_strings(s) if role in ids else None) or _series_values(s) for role, s in columns.items()}


def _present(names, columns, table, optional, index=()):
    """The names that a table has, by their role; all others must be optional."""
    present = {role: name for role, name in names.items() if name in columns}
    missing = [role for role in names if role not in present and role not in optional]
    if not missing:
        return present
    lacking = ("s " if len(missing) > 1 else " ") + " and ".join(repr(names[role]) for role in missing)
    remedy = _remedy(missing, names, columns, table, index)
    raise ValueError(f"{table} has no column{lacking}, its columns are: {_listed([*columns])}. {remedy}")


def _remedy(missing, names, columns, table, index):
    if table != "events":
        return "Rename " + " and ".join(f"that of {role}s to {names[role]!r}" for role in missing) + "."
    if {*index} & {names[role] for role in missing}:
        return f"Its index has {_listed(index)}: make columns of it, as events.reset_index()."
    named = "Say InteractionEncoder(" + ", ".join(f'{role}="..."' for role in missing) + ")"
    if isinstance(columns, Mapping):
        return f"{named}, or add arrays of these names."
    if len(columns) <= MOST_NAMES and not any(isinstance(name, str) for name in columns):
        renamed = dict(zip(columns, names.values(), strict=False))
        return f"Name its columns, such as events.rename(columns={renamed})."
    if {*missing} <= {"weight", "timestamp"}:
        added = ", ".join(f"{names[role]}=..." for role in missing)
        below = " A weight below the threshold is no interaction." if "weight" in missing else ""
        return f"{named}, or add what is missing, as events.assign({added}).{below}"
    return f"{named}."


def _listed(names):
    first = ", ".join(map(str, names[:MOST_NAMES]))
    return first if len(names) <= MOST_NAMES else f"{first} and {len(names) - MOST_NAMES} more"


def _array_columns(table, names, name, optional, ids):
    if isinstance(table, Mapping):
        names = _present(names, table, name, optional)
        table = tuple(table[column] for column in names.values())
    if isinstance(table, np.ndarray) and table.dtype.names:
        raise TypeError(f"{name} is an array of records: make a DataFrame of it, as pd.DataFrame({name}).")
    if isinstance(table, np.ndarray) and table.ndim != 2:
        raise ValueError(f"An array of {name} must be two-dimensional, got shape {table.shape}.")
    given = table if isinstance(table, tuple) else table.T
    are_ids = [role in ids for role in names] + [False] * len(given)
    columns = [_array(column, f"Each column of {name}", is_id) for column, is_id in zip(given, are_ids, strict=False)]
    shapes = [column.shape for column in columns]
    n_needed = sum(role not in optional for role in names)
    is_short = not n_needed <= len(columns) <= len(names)
    if is_short or any(len(shape) != 1 or shape != shapes[0] for shape in shapes):
        raise ValueError(
            f"{name} must have the {len(names)} columns {', '.join(names)}, all equally long, got "
            f"{', '.join(map(str, shapes))}; weight and timestamp are read where these parameters name them."
        )
    return dict(zip(names, columns, strict=False))


def _array(column, name, is_id=False):
    """The values of an array, a Series or a list; a missing one is None, NaN, NaT or NA. Ids may be Strings."""
    if isinstance(column, np.ndarray):
        return _filled(column)
    series = _series(column)
    if series is not None:
        return (_strings(series) if is_id else None) or _series_values(series)
    if hasattr(column, "to_pylist"):
        column = column.to_pylist()  # NumPy would get floats from pyarrow where an integer is missing
    if hasattr(column, "__array__"):
        return _filled(np.asarray(column))
    if isinstance(column, (str, bytes, set, frozenset)) or not hasattr(column, "__iter__"):
        got = "a set, which has no order" if isinstance(column, (set, frozenset)) else repr(column)
        raise TypeError(f"{name} must be an array or a list, got {got}.")
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


def _strings(series):
    """A column of strings as pyarrow numbers them; None where it is none, lacks a value, or there is no pyarrow."""
    import narwhals.stable.v2 as nw

    if not isinstance(series.dtype, (nw.String, nw.Categorical, nw.Enum)):
        return None
    try:
        array = series.to_arrow()
        coded = array if hasattr(array, "dictionary") else array.dictionary_encode()
        if coded.null_count or coded.dictionary.null_count or "string" not in str(coded.dictionary.type):
            return None
        dictionary, codes = coded.dictionary, coded.indices.to_numpy()
        if len(dictionary) > len(codes):  # categories of a catalogue, of which a few rows have few
            used, codes = np.unique(codes, return_inverse=True)
            dictionary = dictionary.take(used)
        values = dictionary.to_pylist()
        return Strings(values, codes) if len({*values}) == len(values) else None
    except Exception:  # from objects of several kinds, and half characters
        return None


def _series_values(series):
    native, has_zone = series.to_native(), getattr(series.dtype, "time_zone", None) is not None
    if getattr(getattr(native, "dtype", None), "tz", None) is not None and not series.null_count():
        return Instants(np.asarray(native, "datetime64[us]"))  # pandas would give a Timestamp each
    array = None if _is_listed(series) else _series_array(series)
    if array is None:
        return np.fromiter(series.to_list(), object)
    if array.ndim != 1:
        raise TypeError(f"Column {series.name!r} must hold one value in each row, got {series.dtype}.")
    return Instants(array) if has_zone and array.dtype.kind == "M" else _filled(array)


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
