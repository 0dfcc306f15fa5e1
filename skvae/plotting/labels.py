"""Labels of points, of whatever container and kind: numbers or categories, some of them missing."""

import math
from collections.abc import Iterable, Mapping, Set
from typing import NamedTuple

import numpy as np

from ..missing import is_missing


class Labels(NamedTuple):
    """What labels say of each point.

    Parameters
    ----------
    numbers : float64 array of shape (n_points,) or None
        NaN where missing; None where the labels are categories.
    categories : object array of shape (n_points,) or None
        str, "" where missing; None where the labels are numbers.
    missing : bool array of shape (n_points,)
        True where there is no label.
    """

    numbers: np.ndarray | None
    categories: np.ndarray | None
    missing: np.ndarray


def label_array(labels, n_points, noun):
    """Labels as a one-dimensional array, with missing ones in the spelling that they came in.

    Parameters
    ----------
    labels : array, Series of any library, list or other iterable of shape (n_points,)
    n_points : int
    noun : str
        What has these labels, "users" or "items", for the error.

    Returns
    -------
    array of shape (n_points,)
        Of dtype object where labels is no array.

    Raises
    ------
    ValueError
        Where labels are not one-dimensional, or not one for each point.
    """
    kind, shape = type(labels).__name__, getattr(labels, "shape", None)
    if isinstance(labels, np.ma.MaskedArray):
        is_masked, labels = np.ma.getmaskarray(labels), np.array(labels.data, object)
        labels[is_masked] = None
    elif hasattr(labels, "to_pylist"):  # pyarrow, whose own scalars are not what they hold
        labels = labels.to_pylist()
    elif hasattr(labels, "__dlpack__"):
        labels = np.asarray(labels)
    is_row = isinstance(labels, Iterable) and not isinstance(labels, (str, bytes, Mapping, Set))
    if not is_row or (shape is not None and len(shape) != 1):
        raise ValueError(
            f"labels must be one-dimensional, one label for each of the {n_points} {noun}, got "
            f"{kind}{'' if shape is None else f' of shape {shape}'}."
        )
    array = labels if isinstance(labels, np.ndarray) else _objects(list(labels))
    if array.shape != (n_points,):
        raise ValueError(f"labels has shape {array.shape} for {n_points} {noun}: pass one label for each.")
    return array


def _in_double(number):
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def read_labels(labels):
    """Which labels are missing, and the others as numbers or as categories.

    Labels are numbers where they are real numbers and one at least is a float, so that the
    integers of groups are categories.

    Parameters
    ----------
    labels : array of shape (n_points,)
        Missing are None, NaN, NaT and pandas.NA.

    Returns
    -------
    Labels

    Raises
    ------
    ValueError
        Where a number is infinite, or a label is itself a list or an array.
    """
    missing = np.fromiter(map(_is_missing, labels), bool, len(labels))
    if _are_numbers(labels[~missing]):
        numbers = np.full(len(labels), np.nan)
        numbers[~missing] = [_in_double(label) for label in labels[~missing]]
        if np.isinf(numbers).any():
            place = np.flatnonzero(np.isinf(numbers))[0]
            raise ValueError(
                f"labels holds {numbers[place]} at position {place}: a colour scale needs finite numbers, NaN where "
                "there is none."
            )
        return Labels(numbers, None, missing)
    names = ["" if is_missing else _name(label) for label, is_missing in zip(labels, missing, strict=True)]
    return Labels(None, _objects(names), missing)


def _objects(values):
    return np.fromiter(values, object, len(values))  # NumPy would look into tuples


def _is_missing(label):
    if isinstance(label, (list, tuple, dict, np.ndarray)) and label is not np.ma.masked:
        raise ValueError(f"labels must hold strings or numbers, one for each point, got the label {label!r}.")
    return is_missing(label)


def _are_numbers(labels):
    if labels.dtype.kind != "O":
        return labels.dtype.kind == "f" and len(labels) > 0
    are_real = all(isinstance(label, (int, float, np.integer, np.floating)) for label in labels)
    are_real = are_real and not any(isinstance(label, bool) for label in labels)
    return are_real and any(isinstance(label, (float, np.floating)) for label in labels)


def _name(label):
    return label.decode(errors="replace") if isinstance(label, bytes) else str(label)
