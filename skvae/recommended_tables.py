"""Recommendations to the users of a table, as a table of the kind that came in."""

import numbers
from collections.abc import Set
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from .columns import label, names_of_model
from .core.user_warnings import warn_user
from .events import Names, read_events, read_ids
from .ids import Ids, columns_of, item_index, rows_of
from .matrix import as_csr, count_interactions
from .merging import matrix_of
from .ranking import recommend
from .tables import check_no_row, frame_of, is_table
from .wrappers import steps_and_model


def check_same_items(model, encoder):
    """Raise where a model was fitted on another number of items than an encoder has.

    Parameters
    ----------
    model : fitted estimator
        Without ``n_features_in_`` nothing is compared.
    encoder : fitted InteractionEncoder

    Raises
    ------
    ValueError
    """
    n_fitted, n_items = getattr(model, "n_features_in_", None), len(encoder.item_ids_)
    if n_fitted is None or n_fitted == n_items:
        _check_no_other_order(model, encoder)
        return
    remedy = "recommend with the encoder that made the matrix of its fit."
    if n_fitted < n_items:
        added = "fit the model again on the matrix of encoder.transform"
        if hasattr(model, "add_items"):
            added = f"model.add_items({n_items - n_fitted}) adds them to the model"
        remedy = (
            "where a split dropped columns, encoder.keep_items(split.items) drops the same; where encoder.partial_fit "
            f"added new items, {added}. Where the encoder was fitted anew its columns are other items, and the model "
            "has to be fitted again."
        )
    raise ValueError(f"{type(model).__name__} was fitted on {n_fitted} items, the encoder has {n_items}: {remedy}")


def recommended_table(encoder, model, found, X, k, *, users, exclude_seen, candidates, exclude):
    """What `skvae.InteractionEncoder.recommend` returns.

    Parameters
    ----------
    encoder : fitted InteractionEncoder
    model : fitted estimator with a ``decision_function``
    found : Gathered
        The users' events.
    X : csr_array of shape (n_users, n_items)
        Their interactions.
    k, users, exclude_seen, candidates, exclude :
        As in `skvae.InteractionEncoder.recommend`.

    Returns
    -------
    DataFrame, or dict of str to array
    """
    if found.lacks_weights and X.nnz:
        _check_events_count(encoder, model, X)
    excluded = None
    if exclude_seen and X.nnz < len(found.cells.pairs):  # of some, the weight is too low
        excluded = matrix_of(found.cells, np.ones(len(found.cells.pairs), np.float32), found.shape)
    asked = Ids(found.user_ids, np.arange(len(found.user_ids))) if users is None else read_ids(users, "users")
    if users is not None:
        rows = rows_of(asked, found.user_ids, "in events")
        X, excluded = rows_or_empty(X, rows), None if excluded is None else rows_or_empty(excluded, rows)
    if candidates is not None:
        columns = _columns_of_ids(candidates, "candidates", encoder)
        candidates = columns[columns >= 0]
        if len(columns) and not len(candidates):
            warn_user("candidates holds no id that the encoder knows: nobody is recommended anything.")
    if is_table(exclude):
        of_users = _cells_of_users(exclude, asked, encoder)
        excluded = of_users if excluded is None else excluded + of_users
    elif exclude is not None:
        if isinstance(exclude, (list, tuple)) and any(map(is_table, exclude)):
            raise TypeError(
                "exclude is a table of users and items, or item ids that nobody may get, not a list of both: pass the "
                "table, and leave the other items out of candidates."
            )
        if isinstance(exclude, (list, tuple)) and len(exclude):
            check_no_row(exclude[0], exclude, {"user": encoder.user, "item": encoder.item}, "exclude")
        allowed = np.arange(len(encoder.item_ids_)) if candidates is None else candidates
        candidates = np.setdiff1d(allowed, _columns_of_ids(exclude, "exclude", encoder))
    if isinstance(k, numbers.Integral):
        k = min(int(k), len(encoder.item_ids_))  # a table has no row for what is not left
    items, scores = recommend(model, X, k, exclude_seen=exclude_seen, exclude=excluded, candidates=candidates)
    is_item = items >= 0
    event_rows = found.first_events if users is None else None
    result = {
        encoder.user: Chosen(asked.distinct, np.repeat(asked.positions, is_item.sum(axis=1)), event_rows),
        "rank": np.broadcast_to(np.arange(1, k + 1), items.shape)[is_item],
        encoder.item: Chosen(encoder.item_ids_, items[is_item]),
        "score": scores[is_item],
    }
    return table_like(found.table, result, encoder.user, encoder.item, item_index(encoder))


def _check_no_other_order(model, encoder):
    """Raise where a column of the table that a model was fitted on is called as the item of another column."""
    steps, recommender = steps_and_model(model)
    for member in _members_of(recommender) if steps is None else ():
        _check_no_other_order(member, encoder)
    names = names_of_model(model)
    if names is None or np.array_equal(names, encoder.item_ids_):
        return
    columns = {label(id): column for column, id in enumerate(encoder.item_ids_.tolist())}
    for column, name in enumerate(names):
        if columns.get(name, column) != column:
            raise ValueError(
                f"{type(model).__name__} was fitted on a table with {name!r} in column {column}, which is the "
                f"encoder's column {columns[name]}: fit it on the columns encoder.item_ids_, in this order."
            )


def _check_events_count(encoder, model, X):
    """Raise where the steps before a model drop the events of users, since these weigh 1 for want of a weight."""
    steps, recommender = steps_and_model(model)
    users = X[count_interactions(X) > 0]
    left = users if steps is None else as_csr(steps.transform(users))
    n_lost = np.count_nonzero(count_interactions(left) == 0)
    if n_lost:
        raise ValueError(
            f"events has no column {encoder.weight!r}, so that an event weighs 1, and of {n_lost} of {users.shape[0]} "
            f"users the steps before {type(recommender).__name__} leave no interaction: add the column, or let the "
            "encoder compare with the threshold, as InteractionEncoder(threshold=...), instead of a step."
        )
    for member in _members_of(recommender):
        _check_events_count(encoder, member, left)


def _members_of(model):
    """The members of a fitted blend; of another model none."""
    return [member for member in getattr(model, "_named_members", {}).values() if member != "drop"]


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


def _columns_of_ids(item_ids, name, encoder):
    """Columns of item ids, -1 of those that the encoder does not know."""
    return columns_of(read_ids(list(item_ids) if isinstance(item_ids, Set) else item_ids, name), encoder)


def _cells_of_users(table, users, encoder):
    """A table of users and items as a matrix with the rows of users."""
    read = read_events(table, Names(encoder.user, encoder.item), name="exclude")
    rows, columns = rows_of(read.users, users.distinct, "in events"), columns_of(read.items, encoder)
    known = (rows >= 0) & (columns >= 0)
    ones = np.ones(np.count_nonzero(known), np.float32)
    shape = len(users.distinct), len(encoder.item_ids_)
    return sp.csr_array((ones, (rows[known], columns[known])), shape=shape)[users.positions]


class Chosen(NamedTuple):
    """A column of ids to write.

    Parameters
    ----------
    ids : array of shape (n_ids,)
        As `skvae.ids.as_ids` gives them.
    places : int64 array of shape (n_rows,)
        The index of each row's id.
    event_rows : int64 array of shape (n_ids,), default=None
        For each id a row of the events that holds it, where there is one for all.
    """

    ids: np.ndarray
    places: np.ndarray
    event_rows: np.ndarray | None = None


def table_like(events, columns, user, item, item_index):
    """Columns as a table of the kind of events.

    Parameters
    ----------
    events : DataFrame, array or tuple of arrays
    columns : dict of str to array of shape (n_rows,), or Chosen
        With those of users and items.
    user, item : str
        Names of the columns of users and of items, in columns and in events.
    item_index : dict
        All items that there are, from `skvae.ids.item_index`.

    Returns
    -------
    DataFrame, or dict of str to array
        A DataFrame of the same library. Users are in the type that they have in events; items in
        the dtype of their ids. Where the library has several types for the same ids
        (nullable or not, decimals, categories), that of events, unless it has no place for an item.
        For arrays, columns as they are.

    Raises
    ------
    TypeError, ImportError
        As in `read_columns`; also where the library has no column for the ids of items.
    """
    frame = frame_of(events)
    if frame is None:
        return {name: c.ids[c.places] if isinstance(c, Chosen) else c for name, c in columns.items()}
    import narwhals.stable.v2 as nw

    numbers = {name: values for name, values in columns.items() if name not in (user, item)}
    series = {name: nw.new_series(name, values, backend=frame.implementation) for name, values in numbers.items()}
    users = columns[user]
    if users.event_rows is None:
        every = dict.fromkeys(users.ids.tolist())
        series[user] = _chosen(frame.get_column(user), users, every, cast_numbers=True)
    else:
        series[user] = _rows_of(frame.get_column(user), users.event_rows[users.places])
    series[item] = _chosen(frame.get_column(item), columns[item], item_index)
    return nw.from_dict({name: nw.maybe_reset_index(series[name]) for name in columns}).to_native()


def _chosen(column, chosen, index, *, cast_numbers=False):
    """Ids as a column like another; each is made once."""
    if not len(chosen.ids):
        return column.head(0)
    used = np.bincount(chosen.places, minlength=len(chosen.ids)) > 0
    series = _series_like(column, chosen.ids[used], index, cast_numbers)
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
        has_all = len(categories) >= len(index) and set(index) <= set(categories)
        if not has_all and isinstance(form, nw.Enum):
            return series
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
