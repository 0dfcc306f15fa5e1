"""Warnings that point at the line of the user's program, however deep in skvae they come from."""

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
