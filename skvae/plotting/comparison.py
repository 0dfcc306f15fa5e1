"""How far models are apart, beside how sure that is."""

import textwrap

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from ..comparison import Comparison
from .axes import CHARACTERS_OF_LINE, REFERENCE_COLOR, in_lines, metric_label, new_axes

INCHES, INCHES_OF_MODEL = 1.6, 0.4  # high


class ComparisonDisplay:
    """Differences of models to the one that they are compared with, with confidence intervals.

    That is the baseline of the comparison, or the best by its first metric, whichever metric is drawn.

    Where an interval does not hold 0 the difference is significant, taken by itself: the p-values of `skvae.compare`
    are adjusted for the number of models, the intervals are not.

    Use `from_comparison`. All parameters are stored as attributes.

    Parameters
    ----------
    means : dict of str to float
        Name of a model to the mean of what is drawn of it, the one to stand on top first.
    intervals : dict of str to tuple of (float, float)
        Name to the ends of its confidence interval.
    label : str
        Of the axis.
    reference : str or None, default=None
        The model whose mean is 0, which has no interval; None where means are scores.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    errorbar_ : matplotlib ErrorbarContainer
        Means and intervals.
    zero_line_ : matplotlib Line2D or None
        Where the reference is.

    Examples
    --------
    >>> from skvae import ComparisonDisplay, EASERecommender, PopularityRecommender, compare
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(n_users=300, n_items=50, random_state=0)
    >>> models = {"ease": EASERecommender().fit(X[:200]), "popular": PopularityRecommender().fit(X[:200])}
    >>> display = ComparisonDisplay.from_comparison(compare(models, X[200:]))
    >>> [tick.get_text() for tick in display.ax_.get_yticklabels()]
    ['ease', 'popular']
    """

    def __init__(self, *, means, intervals, label, reference=None):
        self.means = means
        self.intervals = intervals
        self.label = label
        self.reference = reference

    @classmethod
    def from_comparison(
        cls, comparison, *, metric=None, differences=True, confidence_level=0.95, ax=None, errorbar_kwargs=None
    ):
        """Draw what `skvae.compare` found.

        Parameters
        ----------
        comparison : skvae.Comparison
        metric : str, default=None
            One of the comparison; None: its first.
        differences : bool, default=True
            Of each user's score to that of the reference. False: scores, whose intervals are usually wider, as they
            hold how much users differ from each other.
        confidence_level : float, default=0.95
            As in `skvae.Evaluation.confidence_interval`.
        ax : matplotlib Axes, default=None
            None makes a new figure.
        errorbar_kwargs : dict, default=None
            Passed to matplotlib's ``errorbar``.

        Returns
        -------
        ComparisonDisplay

        Raises
        ------
        TypeError
            Where comparison is no `skvae.Comparison`, ax no Axes, or confidence_level no number.
        ValueError
            Where comparison does not have the metric, or confidence_level is not between 0 and 1.
        ImportError
            Where matplotlib is not installed.
        """
        check_matplotlib_support(f"{cls.__name__}.from_comparison")
        if not isinstance(comparison, Comparison):
            raise TypeError(f"comparison must be what skvae.compare gives, got {type(comparison).__name__}.")
        evaluations, reference = comparison.evaluations, comparison.reference
        has = [*evaluations[comparison.best].per_user]
        metric = has[0] if metric is None else metric
        if metric not in has:
            raise ValueError(f"metric must be one of {', '.join(map(repr, has))}, got {metric!r}.")
        if differences:
            of_reference = evaluations[reference]
            evaluations = {name: evaluation - of_reference for name, evaluation in evaluations.items()}
        intervals = {
            name: evaluation.confidence_interval(confidence_level)[metric] for name, evaluation in evaluations.items()
        }
        means = {name: evaluation[metric] for name, evaluation in evaluations.items()}
        label = f"{metric_label(metric)}, {100 * confidence_level:g} % confidence interval"
        display = cls(
            means=means,
            intervals=intervals,
            label=f"{label} of the difference to {reference}" if differences else label,
            reference=reference if differences else None,
        )
        return display.plot(ax, errorbar_kwargs=errorbar_kwargs)

    def plot(self, ax=None, *, errorbar_kwargs=None):
        """Draw the means and intervals, a line for each model.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a new figure.
        errorbar_kwargs : dict, default=None
            Passed to matplotlib's ``errorbar``.

        Returns
        -------
        ComparisonDisplay
            Itself.
        """
        self.ax_ = new_axes(self, ax)
        self.figure_ = self.ax_.figure
        names = [in_lines(name) for name in self.means]
        n_lines = 1 + max(name.count("\n") for name in names)
        if ax is None:
            self.figure_.set_figheight(INCHES + INCHES_OF_MODEL * len(names) * (1 + n_lines) / 2)
        means, places = np.array([*self.means.values()]), np.arange(len(self.means))
        ends = np.array([self.intervals[name] for name in self.means])
        lengths = np.nan_to_num(np.abs(ends.T - means))  # of one user there is no interval
        self.zero_line_ = None
        if self.reference is not None:
            self.zero_line_ = self.ax_.axvline(0, color=REFERENCE_COLOR, linewidth=0.8, zorder=0.5)
        kwargs = {"fmt": "o", "capsize": 3} | (errorbar_kwargs or {})
        self.errorbar_ = self.ax_.errorbar(means, places, xerr=lengths, **kwargs)
        self.ax_.set_yticks(places, names, parse_math=False)
        self.ax_.set(ylim=(len(places) - 0.5, -0.5), ylabel="model")
        # long names leave less of the figure for the axes
        width = CHARACTERS_OF_LINE if n_lines > 1 else 2 * CHARACTERS_OF_LINE
        self.ax_.set_xlabel(textwrap.fill(self.label, width), parse_math=False)
        return self
