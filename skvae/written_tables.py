"""Tables of the kind that came in, with ids in the type that they have there."""

from contextlib import suppress
from functools import partial
from typing import NamedTuple

import numpy as np

from .tables import frame_of


class Chosen(NamedTuple):
    """A column of ids to write.

    Parameters
    ----------
    ids : array of shape (n_ids,)
        As `skvae.ids.as_ids` gives them.
    places : int64 array of shape (n_rows,)
        The index of each row's id.
    like : str
        Name of the column of the table whose type they get.
    item_index : dict or None
        Of items: all that there are, from `skvae.ids.item_index`. They keep the dtype of their ids; where the library
        has several types for the same ids (nullable or not, decimals, categories), they get that of the column, unless
        it has no place for an item. None: ids are all of the column, and have its type.
    rows : int64 array of shape (n_ids,), default=None
        For each id a row of the table that holds it, where there is one for all.
    """

    ids: np.ndarray
    places: np.ndarray
    like: str
    item_index: dict | None
    rows: np.ndarray | None = None


def table_like(table, columns):
    """Columns as a table of the kind of another.

    Parameters
    ----------
    table : DataFrame, array, tuple of arrays or dict of str to array
    columns : dict of str to array of shape (n_rows,), or Chosen

    Returns
    -------
    DataFrame, or dict of str to array
        A DataFrame of the same library; for arrays, columns as they are.

    Raises
    ------
    TypeError, ImportError
        As in `read_columns`; also where the library has no column for the ids of items.
    """
    frame = frame_of(table)
    if frame is None:
        return {name: c.ids[c.places] if isinstance(c, Chosen) else c for name, c in columns.items()}
    import narwhals.stable.v2 as nw

    series = {}
    for name, column in columns.items():
        if not isinstance(column, Chosen):
            series[name] = nw.new_series(name, column, backend=frame.implementation)
        elif column.rows is None:
            series[name] = _chosen(frame.get_column(column.like), column)
        else:
            series[name] = _rows_of(frame.get_column(column.like), column.rows[column.places])
    return nw.from_dict({name: nw.maybe_reset_index(one).alias(name) for name, one in series.items()}).to_native()


def _chosen(column, chosen):
    """Ids as a column like another; each is made once."""
    if not len(chosen.ids):
        return column.head(0)
    used = np.bincount(chosen.places, minlength=len(chosen.ids)) > 0
    index = dict.fromkeys(chosen.ids.tolist()) if chosen.item_index is None else chosen.item_index
    series = _series_like(column, chosen.ids[used], index, cast_numbers=chosen.item_index is None)
    return _rows_of(series, (np.cumsum(used) - 1)[chosen.places]) if len(chosen.places) else series


def _rows_of(series, rows):
    """Rows of a column, in its type."""
    import narwhals.stable.v2 as nw

    try:
        return series[rows]
    except Exception:  # from its views of strings and bytes pyarrow cannot take
        values = series.to_list()
        sample, *taken = (values[row] for row in [0, *rows])
        return nw.new_series(series.name, [sample, *taken], backend=series.implementation)[1:]


def _series_like(column, ids, index, cast_numbers):
    """Ids as a column of the library that a column has, and in its type where this has a place for all of an index."""
    import narwhals.stable.v2 as nw

    # one of all ids first says what they are, where there are no others
    values = np.concatenate([np.fromiter([next(iter(index))], ids.dtype), ids])
    if ids.dtype == object:
        series = _objects_as_series(column, values)
    else:  # not every library has half floats
        values = values.astype(np.float32) if ids.dtype == np.float16 else values
        series = nw.new_series(column.name, values, backend=column.implementation)
    with suppress(Exception):  # where there is no such cast
        cast = _cast(series, column, index, cast_numbers)
        if cast.to_list() == series.to_list():
            series = cast
    return series[1:]


def _objects_as_series(column, objects):
    import narwhals.stable.v2 as nw

    library, values = column.implementation, objects.tolist()
    data = objects if library.is_pandas_like() else values
    attempts = [partial(nw.new_series, column.name, data, backend=library)]
    if library.is_pandas():  # which has strings of pyarrow by itself, and no half characters in these
        attempts.append(partial(library.to_native_namespace().Series, data, name=column.name, dtype=object))
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


def _cast(series, column, index, cast_numbers):
    """A series in the type of a column, or in one near to it; numbers stay in theirs where these are not to be cast."""
    import narwhals.stable.v2 as nw

    form, library = column.dtype, series.implementation
    is_category = isinstance(form, (nw.Categorical, nw.Enum))
    if is_category and series.dtype == nw.String:
        categories = column.cat.get_categories().to_list()
        has_all = categories == [*index] or (len(categories) >= len(index) and set(index) <= set(categories))
        if not has_all and isinstance(form, nw.Enum):
            return series
        if library.is_pyarrow():
            with suppress(Exception):  # its numbers are too narrow for so many
                return nw.from_native(series.to_native().cast(column.to_native().type), series_only=True)
        if not has_all or not library.is_pandas_like():
            return series.cast(form)
    elif type(form) is not type(series.dtype) and not (
        cast_numbers and form.is_numeric() and series.dtype.is_numeric()
    ):
        is_object = series.dtype in (nw.Object, nw.Binary)
        if not is_object or is_category or form.is_integer() or form.is_float():
            return series
    native, like = series.to_native(), column.to_native()
    if library.is_pandas_like():
        return nw.from_native(native.astype(like.dtype), series_only=True)
    return nw.from_native(native.cast(like.dtype if library.is_polars() else like.type), series_only=True)
