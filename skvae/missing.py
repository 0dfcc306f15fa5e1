"""What stands for no value, in a table or a matrix of any library."""

import numpy as np


def is_missing(value):
    """Whether a value stands for none: None, NaN, NaT, NA or masked.

    Parameters
    ----------
    value : object

    Returns
    -------
    bool
    """
    if value is None or value is np.ma.masked or type(value).__name__ == "NAType":  # that of pandas
        return True
    try:
        return bool(value != value)  # NaN and NaT
    except ArithmeticError:  # a signalling NaN among decimals
        return True
    except Exception:  # an array, or whatever else is no id and no number: its reader says so
        return False


MISSING_STRING = "nan"  # what NumPy makes of NaN beside strings, in arrays of 32 characters or more


def check_no_event_lacks(columns, rows="events", enough=()):
    """Raise where an event has no value in a column, with all such columns.

    Parameters
    ----------
    columns : dict of str to array of shape (n_events,)
        Name of the column -> its values.
    rows : str, default="events"
        What the error calls the rows.
    enough : list of str, default=()
        Columns that would do alone.

    Raises
    ------
    ValueError
    """
    counts = {name: count_missing(column) for name, column in columns.items()}
    missing = [(name, count) for name, count in counts.items() if count]
    if missing:
        (first, n_first), *others = missing
        also = "".join(f", {count} in column {name!r}" for name, count in others)
        hint = ""
        if any(columns[name].dtype.kind == "U" for name, _ in missing):
            hint = f" ({MISSING_STRING!r} is what NumPy makes of NaN beside strings, unless dtype=object)"
        remedy = "fill or drop them"
        if enough and not {*enough} & dict(missing).keys():
            remedy = f"fill them, or pass the columns {' and '.join(map(repr, enough))} alone"
        raise ValueError(
            f"{n_first} of {len(columns[first])} {rows} have no value in column {first!r}{also}{hint}: {remedy}."
        )


def count_missing(array):
    """How many values of an array stand for none.

    Parameters
    ----------
    array : array of any shape and dtype

    Returns
    -------
    int
    """
    kind = array.dtype.kind
    if kind in "fcmM":
        return np.count_nonzero(np.isnan(array))
    if kind == "U" and array.dtype.itemsize >= np.dtype("U32").itemsize:
        return np.count_nonzero(array == MISSING_STRING)
    if kind != "O" or set(map(type, array.flat)) <= {str, bytes, int, bool}:
        return 0
    return sum(map(is_missing, array.flat))
