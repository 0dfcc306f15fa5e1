"""Ids of users and items: checked without a cast that could change them, sorted, and matched by value."""

import decimal
import operator
import uuid
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

# Types of ids -> their kind, in this order: a bool is an int too. Ids of one column are of one kind.
KINDS = {
    (bool, np.bool_): "booleans",
    (str,): "strings",
    (bytes, bytearray): "bytes",
    (int, float, np.integer, np.floating, decimal.Decimal): "numbers",
    (uuid.UUID,): "UUIDs",
}
COLLECTIONS = (list, tuple, set, frozenset, np.ndarray)  # that hold several ids, such as those of a basket
KINDS_OF_DTYPES = {"b": "booleans", "i": "numbers", "u": "numbers", "f": "numbers"}

# Fitted encoder -> (its item_ids_, their index): answers write nothing to the encoder
_indices: WeakKeyDictionary = WeakKeyDictionary()


# -- reading


def as_ids(values, name):
    """Ids of one kind, as they are.

    Parameters
    ----------
    values : array of shape (n,)
        Of any dtype, without missing values.
    name : str
        Where they are, for errors: "column 'user'".

    Returns
    -------
    array of shape (n,)
        Integers, floats and booleans in their dtype, also from an array of objects (int64, or
        uint64 above it); all else, such as integers that no dtype holds, decimals and strings, as
        objects.

    Raises
    ------
    TypeError
        Where values are of several kinds, or of one that cannot be ids.
    ValueError
        Where integers are stored as floats too large to hold their last digits.
    """
    if values.dtype.kind in "US":
        values = values.astype(object)  # strings are the same from every kind of table
    if values.dtype.kind in "iub":
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype.kind == "f":
        return _exact(values, name)
    if values.dtype.kind != "O":
        raise TypeError(
            f"Ids in {name} must be strings or numbers, got {values.dtype}: convert them, for example with astype(str)."
        )
    types = set(map(type, values))
    kind = _kind_of_types(types, values, name)
    if kind == "numbers":
        return _numbers(values, types, name)
    if kind == "booleans":
        return values.astype(bool)
    if kind == "strings" and types != {str}:  # those of NumPy or of an enum.StrEnum
        return np.fromiter(map(str.__str__, values), object, len(values))
    return np.fromiter(map(bytes, values), object, len(values)) if kind == "bytes" else values


def _kind_of_types(types, values, name):
    kinds = {cls: _kind_of_type(cls) for cls in types}
    if None in kinds.values():
        cls = next(cls for cls, kind in kinds.items() if kind is None)
        remedy = "convert them, for example with astype(str)"
        if issubclass(cls, COLLECTIONS):
            remedy = "a row must have one, as events.explode makes it of several, or astype(str) of the parts of one"
        raise TypeError(f"Ids in {name} must be strings or numbers, got {cls.__name__}: {remedy}.")
    if len(set(kinds.values())) > 1:
        examples = {kinds[type(value)]: value for value in values}
        raise TypeError(_mixed(name, examples))
    return next(iter(kinds.values()), None)


def _kind_of_type(cls):
    return next((kind for types, kind in KINDS.items() if issubclass(cls, types)), None)


def _numbers(values, types, name):
    """Numbers among objects in a dtype where one holds them all exactly, else as objects."""
    floats = [cls for cls in types if issubclass(cls, (float, np.floating))]
    integers = [cls for cls in types if issubclass(cls, (int, np.integer))]
    if any(issubclass(cls, decimal.Decimal) for cls in types):
        _check_finite([v for v in values if isinstance(v, decimal.Decimal) and not v.is_finite()], name)
    if floats:
        dtype = min(map(np.dtype, floats), key=lambda dtype: np.finfo(dtype).nmant)
        _exact(np.array([value for value in values if type(value) in floats], dtype), name)
    if len(integers) == len(types):
        for integer in (np.int64, np.uint64):
            try:
                return np.fromiter(map(operator.index, values), integer, len(values))
            except OverflowError:
                continue
        return np.fromiter(map(operator.index, values), object, len(values))
    if len(floats) + len(integers) == len(types):
        try:
            return _exact(values.astype(np.float64), name)
        except (OverflowError, ValueError):  # an integer that is no float
            pass
    plain = [operator.index(value) if type(value) in integers else value for value in values]
    return np.fromiter((float(v) if type(v) in floats else v for v in plain), object, len(plain))


def _check_finite(infinite, name):
    if len(infinite):
        raise ValueError(f"Ids in {name} must be finite, got {infinite[0]}: drop these rows.")


def _exact(values, name):
    """Floats in their dtype; an error where they may stand for several integers."""
    given, values = values, values.astype(values.dtype.newbyteorder("="), copy=False)
    if np.finfo(values.dtype).nmant > np.finfo(np.float64).nmant:
        values = values.astype(np.float64)  # no table has a longdouble
    digits = np.finfo(values.dtype).nmant + 1
    lost = (np.abs(values) >= 2.0**digits) | (values != given)
    _check_finite(values[np.isinf(values)], name)
    if lost.any():
        raise ValueError(
            f"Ids in {name} are {given.dtype}, such as {given[lost][0]!s}, and from 2**{digits} on different integers "
            "are the same float: read them as integers or as strings."
        )
    return values


# -- what is the same id


class Ids(NamedTuple):
    """A column of ids.

    Parameters
    ----------
    distinct : array of shape (n_distinct,)
        Each id once, ascending, as `as_ids` gives them.
    positions : int64 array of shape (n,)
        The index of each row's id among them.
    """

    distinct: np.ndarray
    positions: np.ndarray


class _Numbers(dict):
    """Value -> how many others came before it."""

    def __missing__(self, value):
        number = self[value] = len(self)
        return number


def distinct_ids(ids):
    """A column by its distinct ids.

    Parameters
    ----------
    ids : array of shape (n,)
        As `as_ids` gives them.

    Returns
    -------
    Ids
    """
    if ids.dtype == object:
        numbers = _Numbers()
        codes = np.fromiter(map(numbers.__getitem__, ids.tolist()), np.int64, len(ids))
        return distinct_strings(list(numbers), codes)
    if ids.dtype.kind in "iu" and len(ids):
        least, n_values = ids.min(), int(ids.max()) - int(ids.min()) + 1
        if n_values <= len(ids):  # a table of them all is quicker than a sort
            offsets = (ids - least if ids.dtype.kind == "u" else ids.astype(np.int64) - int(least)).astype(np.int64)
            present = np.zeros(n_values, bool)
            present[offsets] = True
            distinct = ids.dtype.type(least) + np.flatnonzero(present).astype(ids.dtype)
            return Ids(distinct, (np.cumsum(present) - 1)[offsets])
    distinct, _, positions = np.unique(ids, return_index=True, return_inverse=True)  # with an index its sort is radix
    return Ids(distinct, positions)


def distinct_strings(values, codes):
    """A column by its distinct ids, where these are known, in any order.

    Parameters
    ----------
    values : list of length n_values
        Each once; some may be in no row.
    codes : int array of shape (n,)
        The index of each row's value.

    Returns
    -------
    Ids
        Of dtype object.
    """
    used = np.flatnonzero(np.bincount(codes, minlength=len(values))).tolist()
    ascending = sorted(used, key=values.__getitem__)
    places = np.zeros(len(values), np.int64)
    places[ascending] = np.arange(len(ascending))
    return Ids(np.fromiter(values, object, len(values))[ascending], places[codes])


class IdNumbers:
    """Numbers of the ids of one table after another, in the order in which they come.

    Parameters
    ----------
    name : str
        Where the ids are, for errors: "column 'user'".
    """

    def __init__(self, name):
        self.name = name
        self._parts, self._index = [], {}

    def of(self, ids):
        """The number of each row's id.

        Parameters
        ----------
        ids : Ids
            Of the next table.

        Returns
        -------
        int64 array of shape (n,)

        Raises
        ------
        TypeError
            Where ids are of another kind than those of the tables before.
        """
        if not len(ids.distinct):
            return ids.positions
        if not self._parts:
            self._parts.append(ids.distinct)
            return ids.positions
        if not self._index:
            self._index = _index(self._parts[0])
        _check_same_kind(self.name, self._parts[0], ids.distinct)
        index, n_known = self._index, len(self._index)
        each = (index.setdefault(value, len(index)) for value in ids.distinct.tolist())
        numbers = np.fromiter(each, np.int64, len(ids.distinct))
        self._parts.append(ids.distinct[numbers >= n_known])
        return numbers[ids.positions]

    def ascending(self):
        """All ids, and where each number went.

        Returns
        -------
        ids : array of shape (n_ids,)
            Ascending.
        places : int64 array of shape (n_ids,), or None
            The index of each number's id; None where they are ascending already.
        """
        if len(self._parts) < 2:
            return (self._parts[0] if self._parts else np.zeros(0, np.int64)), None
        ids = joined_ids(*self._parts)
        order = np.argsort(ids, kind="stable")
        places = np.empty(len(ids), np.int64)
        places[order] = np.arange(len(ids))
        return ids[order], places


def _check_same_kind(name, one, other):
    kinds = {_kind(ids): ids[:1].tolist()[0] for ids in (one, other) if len(ids)}
    if len(kinds) > 1:
        raise TypeError(_mixed(name, kinds))


def _mixed(name, examples):
    mixed = " and ".join(f"{kind} ({examples[kind]!r})" for kind in sorted(examples))
    return (
        f"Ids in {name} must be all strings or all numbers, got {mixed}: convert them to one type, for example with "
        "astype(str)."
    )


def item_index(encoder):
    """The column of each item of an encoder, made once for its ``item_ids_``.

    Parameters
    ----------
    encoder : fitted InteractionEncoder

    Returns
    -------
    dict
        By Python's value of the id: 3, 3.0 and Decimal(3) are the same.
    """
    item_ids, cached = encoder.item_ids_, _indices.get(encoder)
    if cached is None or cached[0] is not item_ids:
        cached = _indices[encoder] = item_ids, _index(item_ids)
    return cached[1]


def columns_of(ids, encoder):
    """The column of each row's item.

    Parameters
    ----------
    ids : Ids
        Of items.
    encoder : fitted InteractionEncoder

    Returns
    -------
    int64 array of shape (n,)
        -1 for an item that has none.

    Raises
    ------
    ValueError
        Where ids are of another kind than those of the encoder: none could be the same item.
    """
    _check_comparable("Item", ids.distinct, encoder.item_ids_, "in fit")
    return _places(ids, item_index(encoder))


def rows_of(ids, user_ids, others):
    """The row of each user.

    Parameters
    ----------
    ids : Ids
        Of users.
    user_ids : array of shape (n_users,)
        Those of the rows.
    others : str
        Where user_ids are, for errors: "in events".

    Returns
    -------
    int64 array of shape (n,)
        -1 for a user that has none.

    Raises
    ------
    ValueError
        Where ids are of another kind than user_ids: none could be the same user.
    """
    _check_comparable("User", ids.distinct, user_ids, others)
    return _places(ids, _index(user_ids))


def rows_there(ids, user_ids):
    """The row of each user, all of whom must have one.

    Parameters
    ----------
    ids : Ids
        Of users.
    user_ids : array of shape (n_users,)
        Those of the rows, of a table of events.

    Returns
    -------
    int64 array of shape (n,)

    Raises
    ------
    ValueError
        Where a user has no event, or ids are of another kind.
    """
    rows = rows_of(ids, user_ids, "in events")
    if (rows < 0).any():
        example = ids.distinct[ids.positions[rows < 0][:1]].tolist()[0]
        raise ValueError(
            f"{np.count_nonzero(rows < 0)} of {len(rows)} users have no event in the table, such as {example!r}: "
            "pass the table that the matrix was made of, or users=encoder.user_ids_of(events) for the rows of "
            "transform(events)."
        )
    return rows


def _check_comparable(what, ids, others, where):
    if len(ids) and len(others) and _kind(ids) != _kind(others):
        raise ValueError(
            f"{what} ids are {_kind(ids)} here and were {_kind(others)} {where}, such as {ids[:1].tolist()[0]!r} and "
            f"{others[:1].tolist()[0]!r}: convert them to one type."
        )


def _kind(ids):
    return KINDS_OF_DTYPES.get(ids.dtype.kind) or _kind_of_type(type(ids[0]))


def _index(ids):
    return {value: place for place, value in enumerate(ids.tolist())}


def _places(ids, index):
    places = np.fromiter((index.get(value, -1) for value in ids.distinct.tolist()), np.int64, len(ids.distinct))
    return places[ids.positions]


def joined_ids(*parts):
    """Ids and then others of the same kind, all as they were.

    Parameters
    ----------
    *parts : array of shape (n_part,)
        As `as_ids` gives them.

    Returns
    -------
    array of shape (n,)
        In the dtype of the first where it holds all others, else in one that holds all.
    """
    cast = [_cast(part, parts[0].dtype) for part in parts]
    if not any(part is None for part in cast):
        return np.concatenate(cast)
    return as_ids(np.concatenate([part.astype(object) for part in parts]), "items")


def _cast(ids, dtype):
    """Ids in a dtype, None where that does not hold them."""
    if ids.dtype == dtype:
        return ids
    if object in (ids.dtype, dtype):
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        cast = ids.astype(dtype)
    return cast if cast.tolist() == ids.tolist() else None


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
    if np.ma.is_masked(indices):
        raise ValueError(f"Indices of {name}s must not be masked: fill them, with -1 for none, as indices.filled(-1).")
    try:
        indices = np.asarray(indices)
    except ValueError as error:
        raise ValueError(f"Indices of {name}s must be an array of integers, got rows of several lengths.") from error
    if indices.size and indices.dtype.kind not in "iu":
        raise ValueError(f"Indices of {name}s must be integers, got dtype {indices.dtype}.")
    outside = indices[(indices < -1) | (indices >= len(ids))]
    if len(outside):
        raise ValueError(f"There is no {name} {outside[0]}: indices go from 0 to {len(ids) - 1}, and -1 is none.")
    indices = indices.astype(np.int64)
    return np.append(ids.astype(object), [None])[indices] if (indices < 0).any() else ids[indices]
