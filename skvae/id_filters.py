"""Which items an answer by ids may hold: the candidates and exclude of `skvae.InteractionEncoder.recommend`."""

from collections.abc import Iterable, Mapping, Set
from itertools import chain

import numpy as np
import scipy.sparse as sp

from .core.user_warnings import warn_user
from .events import Names, read_events, read_ids
from .ids import columns_of, rows_of
from .tables import check_no_row, is_table


def filters(candidates, exclude, asked, encoder):
    """What of an encoder's items the users who are asked for may get.

    Parameters
    ----------
    candidates : array of item ids, or None
    exclude : array of item ids, table of users and items, dict of user to item ids, or None
    asked : Ids
        The users.
    encoder : InteractionEncoder

    Returns
    -------
    excluded : csr_array of shape (n_users, n_items), or None
        What each user may not get.
    candidates : int64 array, or None
        The only columns that may come.
    """
    if isinstance(exclude, Mapping) or is_table(exclude):
        return _cells_of_users(exclude, asked, encoder), allowed_items(candidates, None, encoder)
    return None, allowed_items(candidates, exclude, encoder)


def allowed_items(candidates, exclude, encoder):
    """The columns of an encoder that may come.

    Parameters
    ----------
    candidates, exclude : array of item ids, or None
    encoder : InteractionEncoder

    Returns
    -------
    int64 array, or None
        None: all of them.

    Raises
    ------
    ValueError, TypeError
        Where exclude holds rows of events, or tables.
    """
    if candidates is not None:
        columns = _columns_of_ids(candidates, "candidates", encoder)
        candidates = np.unique(columns[columns >= 0])
        n_unknown = np.count_nonzero(columns < 0)
        if len(columns) and not len(candidates):
            warn_user("candidates holds no id that the encoder knows: nothing comes.")
        elif 2 * n_unknown > len(columns) and encoder.handle_unknown != "ignore":
            warn_user(
                f"{n_unknown} of {len(columns)} candidates are unknown to the encoder, and do not come. "
                'handle_unknown="ignore" silences this warning.'
            )
    if exclude is None:
        return candidates
    if isinstance(exclude, (list, tuple)) and any(map(is_table, exclude)):
        raise TypeError(
            "exclude is a table of users and items, or item ids that nobody may get, not a list of both: pass the "
            "table, and leave the other items out of candidates."
        )
    if isinstance(exclude, (list, tuple)) and len(exclude):
        check_no_row(exclude[0], exclude, {"user": encoder.user, "item": encoder.item}, "exclude")
    allowed = np.arange(len(encoder.item_ids_)) if candidates is None else candidates
    excluded = _columns_of_ids(exclude, "exclude", encoder)
    _warn_of_nothing_excluded(excluded, encoder)
    return allowed[np.isin(allowed, excluded, invert=True)]


def _warn_of_nothing_excluded(columns, encoder):
    if len(columns) and columns.max() < 0 and encoder.handle_unknown != "ignore":
        warn_user(
            "exclude holds no item that the encoder knows, and leaves out nothing: are its ids of the type and "
            f'spelling of encoder.item_ids_, such as {encoder.item_ids_[:1].tolist()[0]!r}? handle_unknown="ignore" '
            "silences this warning."
        )


def _columns_of_ids(item_ids, name, encoder):
    """Columns of item ids, -1 of those that the encoder does not know."""
    return columns_of(read_ids(list(item_ids) if isinstance(item_ids, Set) else item_ids, name), encoder)


def _cells_of_users(table, users, encoder):
    """A table of users and items, or items by their user, as a matrix with the rows of users."""
    if isinstance(table, Mapping) and {encoder.user, encoder.item}.isdisjoint(table):
        for user, items in table.items():
            if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Iterable):
                raise TypeError(f"exclude[{user!r}] must be a list of item ids, got {items!r}.")
        lists = list(map(list, table.values()))
        table = np.repeat(np.fromiter(table, object), list(map(len, lists))), np.fromiter(chain(*lists), object)
    read = read_events(table, Names(encoder.user, encoder.item), name="exclude")
    rows, columns = rows_of(read.users, users.distinct, "in events"), columns_of(read.items, encoder)
    _warn_of_nothing_excluded(columns, encoder)
    known = (rows >= 0) & (columns >= 0)
    ones = np.ones(np.count_nonzero(known), np.float32)
    shape = len(users.distinct), len(encoder.item_ids_)
    return sp.csr_array((ones, (rows[known], columns[known])), shape=shape)[users.positions]
