"""What the user is told: warnings that point at a line of their program, however deep they come from, and reports."""

import sys
import warnings

OURS = {"skvae", "sklearn", "joblib", "contextlib"}  # packages between a user's call and a warning


def warn_user(message, category=UserWarning):
    """Warn of the last line outside skvae, and outside what calls skvae for the user, such as a search.

    Parameters
    ----------
    message : str
    category : type, default=UserWarning
    """
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


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
