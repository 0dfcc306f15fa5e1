"""The axes that displays draw in: made, named in a legend, and wide enough for what is drawn."""

import re
import textwrap

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

REFERENCE_COLOR = "0.4"
CHARACTERS_OF_LINE = 40  # of a name: from 60 on beside the axes, nothing would be left of them


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

    if isinstance(ax, np.ndarray):
        raise ValueError(f"ax holds {ax.size} Axes: pass one of them, as ax[0].")
    if ax is not None and not hasattr(ax, "plot"):
        raise TypeError(f"ax must be Axes of matplotlib, got {type(ax).__name__}: of a figure pass figure.gca().")
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


def draw_legend(ax, names, **kwargs):
    """A legend of all that has a label in ax, in which the names that a display gives stand as they are.

    matplotlib leaves out a label that begins with an underscore, and sets what stands between
    dollar signs as a formula: names of models and categories are neither hidden nor formulas.

    Parameters
    ----------
    ax : matplotlib Axes
    names : list of tuple of (artist or container, object)
        What the display drew, and its name. Names of earlier displays in ax are remembered.
    **kwargs
        Passed to matplotlib's ``legend``.
    """
    for artist, name in names:
        artist.skvae_name = str(name)
    labelled = {id(artist) for artist in ax.get_legend_handles_labels()[0]}
    artists = [
        artist
        for artist in (*ax.get_children(), *ax.containers)
        if id(artist) in labelled or hasattr(artist, "skvae_name")
    ]
    if not artists:
        return
    # the texts are set afterwards: matplotlib 3.9 drops an underscore also where labels are passed
    legend = ax.legend(artists, ["name"] * len(artists), **kwargs)
    for text, artist in zip(legend.get_texts(), artists, strict=True):
        if hasattr(artist, "skvae_name"):
            text.set(text=in_lines(artist.skvae_name), parse_math=False)
        else:
            text.set_text(artist.get_label())


def in_lines(name):
    """A long name in several lines, such as that of a Pipeline with its parameters.

    Parameters
    ----------
    name : object

    Returns
    -------
    str
        As it is where it is short.
    """
    name = str(name)
    return name if len(name) <= CHARACTERS_OF_LINE else textwrap.fill(name, CHARACTERS_OF_LINE)


def legend_place(ax, is_beside):
    """Arguments of a legend that say where it stands.

    Parameters
    ----------
    ax : matplotlib Axes
    is_beside : bool
        Right of the axes where the figure makes room for it: without a layout engine it would be
        cut off there.

    Returns
    -------
    dict of str to object
    """
    if is_beside and ax.figure.get_layout_engine() is not None:
        return {"loc": "center left", "bbox_to_anchor": (1, 0.5)}
    return {"loc": "best"}


def show_all_heights(ax, containers):
    """Have the y-axis hold zero and everything drawn, with a line at zero where something is below.

    Parameters
    ----------
    ax : matplotlib Axes
    containers : list of matplotlib Container
        What was drawn: the axis begins at zero where nothing is below.

    Returns
    -------
    matplotlib Line2D or None
        The line at zero.
    """
    lowest, highest = ax.dataLim.intervaly
    # an error bar may end at -1e-18 instead of 0
    is_below = lowest < -1e-9 * max(abs(lowest), abs(highest))
    line = ax.axhline(0, color=REFERENCE_COLOR, linewidth=0.8, zorder=0.5) if is_below else None
    if not is_below:  # no margin under zero
        for artist in (artist for container in containers for artist in container.get_children()):
            artist.sticky_edges.y.append(0)
    ax.update_datalim([(0, 0)], updatex=False)
    ax.autoscale_view(scalex=False)
    # limits that somebody set are kept, but for what they would cut off
    lower, upper = ax.get_ybound()
    ax.set_ybound(min(lower, lowest), max(upper, highest))
    return line


def metric_label(metric):
    """What a metric is called in a picture: "ndcg@100" NDCG@100, "hit_rate@10" Hit rate@10.

    Parameters
    ----------
    metric : object
        One of one's own is called what it is.

    Returns
    -------
    str
    """
    match = re.fullmatch(r"(\w+)@(\d+)", str(metric))
    if match is None:
        return str(metric)
    name = match[1].upper() if match[1] in ("ndcg", "map", "mrr") else match[1].replace("_", " ").capitalize()
    return f"{name}@{match[2]}"
