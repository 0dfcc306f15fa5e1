"""Checks of an estimator's parameters in one voice: what is wrong, what was passed, what is allowed.

A check is a function of (name, value) that raises; an estimator has a table of them, parameter to check.
"""

import numbers

import numpy as np
from sklearn.utils import check_scalar


def check_parameters(estimator, checks):
    """Raise for the first parameter that does not pass its check.

    Parameters
    ----------
    estimator : object with these parameters as attributes
    checks : dict of str to callable
        Parameter to a check, as the functions of this module give.

    Raises
    ------
    ValueError, TypeError
    """
    for name, check in checks.items():
        check(name, getattr(estimator, name))


def number(kind=numbers.Real, minimum=None, maximum=None, *, boundaries="both", auto=False):
    """Check for a number in a range.

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
            return
        check_scalar(value, name, kind, min_val=minimum, max_val=maximum, include_boundaries=boundaries)

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
    """
    check_scalar(value, name, numbers.Real, min_val=0, max_val=1, include_boundaries="neither")


def flag(name, value):
    """Check for a bool.

    Parameters
    ----------
    name : str
    value : object
    """
    check_scalar(value, name, (bool, np.bool_))


def choice(*choices):
    """Check for one of several strings.

    Parameters
    ----------
    *choices : str

    Returns
    -------
    callable

    Examples
    --------
    >>> from skvae.parameters import choice
    >>> choice("svd", "xavier")("initialization", "zeros")
    Traceback (most recent call last):
        ...
    ValueError: initialization must be one of svd, xavier, got 'zeros'.
    """
    return piece(choices)


def piece(table, *methods, otherwise=""):
    """Check for a name in a table, or for an object with certain methods.

    Parameters
    ----------
    table : iterable of str
    *methods : str
        What an object needs; without any, only names are allowed.
    otherwise : str, default=""
        How the error says what else is allowed, where "an object with ..." does not say it.

    Returns
    -------
    callable
    """

    def check(name, value):
        is_piece = bool(methods) and not isinstance(value, str) and all(hasattr(value, method) for method in methods)
        if is_piece or (isinstance(value, str) and value in table):
            return
        objects = otherwise or (f", or an object with {' and '.join(methods)}" if methods else "")
        raise ValueError(f"{name} must be one of {', '.join(sorted(table))}{objects}, got {value!r}.")

    return check


def layer_sizes(name, sizes):
    """Check for a tuple of positive ints.

    Parameters
    ----------
    name : str
    sizes : object
    """
    if not isinstance(sizes, (tuple, list)) or not all(isinstance(n, numbers.Integral) and int(n) > 0 for n in sizes):
        raise ValueError(f"{name} must be a tuple of positive ints, such as (600,) or (), got {sizes!r}.")


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
