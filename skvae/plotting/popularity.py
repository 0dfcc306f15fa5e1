"""Where recommendations go: to the most popular items, or beyond."""

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from ..columns import column_names
from ..matrix import count_users, row_sliceable
from ..matrix_checks import check_not_masked
from ..ranking import recommend
from .axes import REFERENCE_COLOR, draw_legend, new_axes

LARGEST_COUNT = 2.0**53  # of an item, which float64 has exactly


class PopularityDisplay:
    """How much of what is recommended, and of what users have, goes to the most popular items.

    Items are in order of popularity; the curve at rank r is the share of the recommendations that
    goes to the r most popular items (a concentration, or Lorenz, curve). A model whose curve is
    above that of the interactions recommends popular items more than users choose them.

    Use `from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    recommendations : int array of shape (n_items,)
        Recommendations of each item, the most popular item first.
    interactions : int array of shape (n_items,)
        Users of each item, in the same order: it never rises.
    name : str or None, default=None
        Of the model, for the legend, where it stands as it is.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D
        Share of the recommendations.
    interactions_line_ : matplotlib Line2D or None
        Share of the interactions.

    Examples
    --------
    >>> from skvae import PopularityDisplay, PopularityRecommender
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(n_users=100, n_items=50, random_state=0)
    >>> display = PopularityDisplay.from_estimator(PopularityRecommender().fit(X), X, k=5)
    >>> print(f"{display.coverage:.0%} of the items are recommended to anyone")
    18% of the items are recommended to anyone
    """

    def __init__(self, *, recommendations, interactions, name=None):
        self.recommendations = recommendations
        self.interactions = interactions
        self.name = name

    @property
    def coverage(self):
        """Share of the items that are recommended to anyone, float."""
        return float(np.mean(self.recommendations > 0))

    @classmethod
    def from_estimator(
        cls, estimator, X, *, k=10, item_counts=None, name=None, ax=None, plot_interactions=True, line_kwargs=None
    ):
        """Recommend to the users of X, and draw where the recommendations go.

        Parameters
        ----------
        estimator : fitted estimator with a ``decision_function``
            A Pipeline or a search too.
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            The users who get recommendations.
        k : int, default=10
            Recommendations per user.
        item_counts : array of shape (n_items,), default=None
            Popularity: interactions of each item, such as ``item_counts_`` of a
            PopularityRecommender fitted on the training users. None counts those in X.
        name : str, default=None
            Of the model, for the legend; None for its class name.
        ax : matplotlib Axes, default=None
            Such as ``ax_`` of another model's display; None makes a new figure.
        plot_interactions : bool, default=True
            Draw the curve of the interactions too; False for a second model in the same Axes.
        line_kwargs : dict, default=None
            Passed to matplotlib's ``plot`` for the curve of the recommendations.

        Returns
        -------
        PopularityDisplay

        Raises
        ------
        ValueError
            Where item_counts has another length than X has items, or holds anything but finite
            numbers of at least 0, or there is no interaction to rank the items by.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        X = row_sliceable(X)
        items, _ = recommend(estimator, X, k)
        recommendations = np.bincount(items[items >= 0], minlength=X.shape[1])
        interactions = count_users(X) if item_counts is None else _check_item_counts(item_counts, X)
        if not interactions.any():
            raise ValueError("No item has an interaction: the items cannot be ranked by popularity.")
        order = np.argsort(-interactions, kind="stable")
        name = type(estimator).__name__ if name is None else name
        display = cls(recommendations=recommendations[order], interactions=interactions[order], name=name)
        return display.plot(ax, plot_interactions=plot_interactions, line_kwargs=line_kwargs)

    def plot(self, ax=None, *, plot_interactions=True, line_kwargs=None):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a new figure.
        plot_interactions : bool, default=True
            Draw the curve of the interactions too.
        line_kwargs : dict, default=None
            Passed to matplotlib's ``plot`` for the curve of the recommendations.

        Returns
        -------
        PopularityDisplay
            Itself.
        """
        self.ax_ = new_axes(self, ax)
        self.figure_ = self.ax_.figure
        ranks = np.arange(1, len(self.interactions) + 1)
        self.interactions_line_ = None
        if plot_interactions:
            shares = _cumulative_shares(self.interactions)
            (self.interactions_line_,) = self.ax_.plot(ranks, shares, "--", color=REFERENCE_COLOR, label="interactions")
        name = "recommendations" if self.name in (None, "") else self.name
        label = f"{name}, coverage {self.coverage:.1%}"
        kwargs = {"label": label} | (line_kwargs or {})
        (self.line_,) = self.ax_.plot(ranks, _cumulative_shares(self.recommendations), **kwargs)
        self.ax_.set_xscale("log")
        self.ax_.xaxis.set_major_formatter("{x:g}")
        self.ax_.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        self.ax_.set(
            xlim=(1, max(len(ranks), self.ax_.dataLim.x1, 2)),
            ylim=(0, 1.02),
            xlabel="most popular items, up to this rank",
            ylabel="share that goes to these items",
        )
        names = [] if "label" in (line_kwargs or {}) else [(self.line_, label)]
        draw_legend(self.ax_, names, frameon=False, loc="lower right")
        return self


def _check_item_counts(item_counts, X):
    """Counts as int64 where they are integers, else float64."""
    check_not_masked(item_counts, "item_counts")
    counts, n_items = np.asarray(item_counts), X.shape[1]
    if counts.shape != (n_items,):
        raise ValueError(f"item_counts has shape {counts.shape}, X has {n_items} items: they must agree.")
    names, columns = item_counts.index.tolist() if hasattr(item_counts, "iloc") else None, column_names(X)
    if names and columns and names != columns and {*names} == {*columns}:
        raise ValueError("item_counts has the items of X in another order: pass item_counts[X.columns].")
    if counts.dtype.kind == "c":
        raise ValueError(f"item_counts must hold real numbers, got dtype {counts.dtype}.")
    try:
        # signed, so that a negative can be taken to sort by; larger ones would wrap
        is_small = counts.dtype.kind in "iub" and counts.max(initial=0) <= LARGEST_COUNT
        counts = counts.astype(np.int64 if is_small else np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"item_counts must hold numbers, got dtype {counts.dtype}: {error}.") from error
    wrong = np.flatnonzero(~((counts >= 0) & (counts <= LARGEST_COUNT)))
    if len(wrong):
        raise ValueError(
            f"item_counts must be from 0 to {LARGEST_COUNT:g} and not NaN, got {counts[wrong[0]]} for item {wrong[0]}."
        )
    return counts


def _cumulative_shares(counts):
    total = np.sum(counts)
    return np.cumsum(counts) / (total if total > 0 else 1)
