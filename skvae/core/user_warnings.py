"""What the user is told: warnings that point at a line of their program, however deep they come from, and reports."""

import sys
import warnings
from contextlib import contextmanager
from contextvars import ContextVar

OURS = {"skvae", "sklearn", "joblib", "contextlib"}  # packages between a user's call and a warning
_MUTED: ContextVar[tuple[type, ...]] = ContextVar("categories that nobody is warned of", default=())


def warn_user(message, category=UserWarning):
    """Warn of the last line outside skvae, and outside what calls skvae for the user, such as a search.

    Parameters
    ----------
    message : str
    category : type, default=UserWarning
    """
    if issubclass(category, _MUTED.get()):
        return
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


@contextmanager
def muted(category):
    """Tell the user nothing of a category, in this thread alone, which `warnings.catch_warnings` cannot.

    Parameters
    ----------
    category : type
    """
    token = _MUTED.set((category,))
    try:
        yield
    finally:
        _MUTED.reset(token)


def report(line):
    """Print a line of a fit, which no encoding of the output may end.

    Parameters
    ----------
    line : str
    """
    try:
        print(line)
    except UnicodeEncodeError:
        print(line.encode("ascii", "backslashreplace").decode())
