"""Checks of an estimator's parameters in one voice: what is wrong, what was passed, what is allowed.

A check is a function of (name, value) that raises, or returns the value as plain Python has it: a search
over a NumPy array passes np.int64(32) and np.False_. An estimator has a table of them, parameter to check.
"""

import math
import numbers
import os
from types import SimpleNamespace

import numpy as np
from sklearn.utils import check_random_state, check_scalar


def check_parameters(estimator, checks):
    """All parameters of an estimator, checked.

    Parameters
    ----------
    estimator : estimator
    checks : dict of str to callable
        Parameter to a check, as the functions of this module give; others are taken as they are.

    Returns
    -------
    SimpleNamespace
        Parameter to its plain value.

    Raises
    ------
    ValueError, TypeError
        Of the first parameter that does not pass its check.
    """
    values = estimator.get_params(deep=False)
    return SimpleNamespace(**values | {name: check(name, values[name]) for name, check in checks.items()})


def number(kind=numbers.Real, minimum=None, maximum=None, *, boundaries="both", auto=False):
    """Check for a finite number in a range, which becomes an int or a float.

    Parameters
    ----------
    kind : type, default=numbers.Real
    minimum, maximum : number, default=None
    boundaries : {"both", "left", "right", "neither"}, default="both"
        Which of them are allowed themselves.
    auto : bool, default=False
        Whether "auto" is allowed too.

    Returns
    -------
    callable

    Examples
    --------
    >>> from skvae.parameters import number
    >>> number(int, 1, auto=True)("batch_size", "all")
    Traceback (most recent call last):
        ...
    ValueError: batch_size must be a number or "auto", got 'all'.
    """

    def check(name, value):
        if auto and isinstance(value, str):
            if value != "auto":
                raise ValueError(f'{name} must be a number or "auto", got {value!r}.')
            return value
        check_scalar(value, name, kind, min_val=minimum, max_val=maximum, include_boundaries=boundaries)
        if not math.isfinite(value):  # NaN is neither below nor above a boundary
            raise ValueError(f"{name} must be finite, got {value!r}.")
        return int(value) if isinstance(value, numbers.Integral) else float(value)

    return check


def integer(minimum, *, auto=False):
    """Check for an int of at least so much; as `number`.

    Parameters
    ----------
    minimum : int
    auto : bool, default=False

    Returns
    -------
    callable
    """
    return number(numbers.Integral, minimum, auto=auto)


def share(name, value):
    """Check for a number between 0 and 1, neither of them.

    Parameters
    ----------
    name : str
    value : object

    Returns
    -------
    float
    """
    return number(minimum=0, maximum=1, boundaries="neither")(name, value)


def flag(name, value):
    """Check for a bool.

    Parameters
    ----------
    name : str
    value : object

    Returns
    -------
    bool
    """
    return bool(check_scalar(value, name, (bool, np.bool_)))


def flag_or_auto(name, value):
    """Check for a bool or "auto"; whatever equals True or False is taken for it.

    Parameters
    ----------
    name : str
    value : object

    Returns
    -------
    bool or str
    """
    if isinstance(value, str) and value == "auto":
        return value
    if isinstance(value, (numbers.Real, np.bool_)) and value in (True, False):
        return bool(value)
    raise ValueError(f'{name} must be "auto", True or False, got {value!r}.')


def piece(table, *methods, otherwise=""):
    """Check for a name in a table, or for an object with certain methods.

    Parameters
    ----------
    table : collection of str
    *methods : str
        What an object needs; without any, only names are allowed.
    otherwise : str, default=""
        How the error says what else is allowed, where "an object with ..." does not say it.

    Returns
    -------
    callable

    Examples
    --------
    >>> from skvae.parameters import piece
    >>> piece(["svd", "xavier"])("initialization", "zeros")
    Traceback (most recent call last):
        ...
    ValueError: initialization must be one of svd, xavier, got 'zeros'.
    """

    def check(name, value):
        is_piece = bool(methods) and not isinstance(value, str) and all(hasattr(value, method) for method in methods)
        if is_piece and isinstance(value, type):
            raise TypeError(f"{name} must be an object, got the class {value.__name__}: write {value.__name__}(...).")
        if is_piece:
            return value
        if isinstance(value, str) and value in table:
            return str(value)
        objects = otherwise or (f", or an object with {' and '.join(methods)}" if methods else "")
        raise ValueError(f"{name} must be one of {', '.join(sorted(table))}{objects}, got {value!r}.")

    return check


def layer_sizes(name, sizes):
    """Check for a tuple of positive ints.

    Parameters
    ----------
    name : str
    sizes : object

    Returns
    -------
    tuple of int
    """
    if not isinstance(sizes, (tuple, list, np.ndarray)) or not all(
        isinstance(n, numbers.Integral) and int(n) > 0 for n in sizes
    ):
        raise ValueError(f"{name} must be a tuple of positive ints, such as (600,) or (), got {sizes!r}.")
    return tuple(int(n) for n in sizes)


def path(name, value):
    """Check for the path of a file or folder, which becomes a str.

    Parameters
    ----------
    name : str
    value : object

    Returns
    -------
    str
    """
    path = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not path or not isinstance(path, str):
        raise TypeError(f'{name} must be a path such as "night.npz", or None, got {value!r}.')
    if path.startswith("~"):
        raise ValueError(f"{name} is {path!r}, in which nothing stands for ~: pass os.path.expanduser({path!r}).")
    return path


def optional(check):
    """Check that allows None too.

    Parameters
    ----------
    check : callable

    Returns
    -------
    callable
    """
    return lambda name, value: None if value is None else check(name, value)


def or_auto(check):
    """Check that allows "auto" too.

    Parameters
    ----------
    check : callable

    Returns
    -------
    callable
    """
    return lambda name, value: value if isinstance(value, str) and value == "auto" else check(name, value)


def random_state(name, value):
    """Check for a seed as scikit-learn takes them.

    Parameters
    ----------
    name : str
    value : object

    Returns
    -------
    int, RandomState or None
    """
    try:
        check_random_state(value)
    except ValueError as error:
        raise ValueError(f"{name} must be an int from 0 to 2**32 - 1, a RandomState or None: {error}") from error
    return value
