"""The axes that displays draw in."""

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support


def new_axes(display, ax):
    """The axes to draw in: ax, or where it is None those of a new figure.

    Parameters
    ----------
    display : object
        Named in the error where matplotlib is missing.
    ax : matplotlib Axes or None

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Where matplotlib is not installed.
    """
    check_matplotlib_support(f"{type(display).__name__}.plot")
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots(layout="constrained")
        hide_spines(ax)
    return ax


def hide_spines(axes):
    """Hide the frame above and at the right.

    Parameters
    ----------
    axes : matplotlib Axes, or array of them of any shape
    """
    for each in np.ravel(axes):
        each.spines[["top", "right"]].set_visible(False)
