"""How well a model ranks for users with few to many interactions."""

from collections.abc import Mapping

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from ..evaluation import Evaluation
from ..hiding import hide_items
from ..scoring import VALIDATION_METRIC, score_users
from .axes import draw_legend, legend_place, metric_label, new_axes, show_all_heights

MODEL_WIDTH = 0.12  # of the distance between two groups; less where all models would need more than 0.8 of it
MODELS_WITHIN = 5  # names that leave room for the points in the axes


class ActivityDisplay:
    """A metric in groups of users with few to many interactions, with standard errors.

    Use `from_estimator`, or `from_evaluations` for several models. All parameters are stored as
    attributes.

    Parameters
    ----------
    groups : dict of str to list of skvae.evaluation.ActivityGroup
        Name of a model to its groups, of the same users for each model. Names stand in the legend
        as they are.
    metric : str, default="ndcg@100"
        The metric drawn.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    errorbars_ : list of matplotlib ErrorbarContainer
        One for each model: means and standard errors.
    zero_line_ : matplotlib Line2D or None
        Where a mean or an error bar is below zero, as of a difference of two models.

    Examples
    --------
    >>> from skvae import ActivityDisplay, PopularityRecommender
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(n_users=300, n_items=100, random_state=0)
    >>> model = PopularityRecommender().fit(X[:150])
    >>> display = ActivityDisplay.from_estimator(model, X[150:], n_groups=3)
    >>> [tick.get_text() for tick in display.ax_.get_xticklabels()]
    ['4 to 8', '9', '10 to 18']
    """

    def __init__(self, *, groups, metric=VALIDATION_METRIC):
        self.groups = groups
        self.metric = metric

    @classmethod
    def from_estimator(
        cls, estimator, X, y=None, *, metric=VALIDATION_METRIC, n_groups=5, name=None, ax=None, errorbar_kwargs=None
    ):
        """Hide items of every user, recommend, score, and draw by activity.

        Parameters
        ----------
        estimator : fitted estimator with a ``decision_function``
            A Pipeline or a search too.
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            Users that fit never saw, or with y their fold-in.
        y : matrix of shape (n_users, n_items), default=None
            The held-out matrix; None hides items of X, as `skvae.evaluate` does.
        metric : str, default="ndcg@100"
            As in `skvae.RankingScorer`.
        n_groups : int, default=5
            Groups of about equally many users, as in `skvae.Evaluation.by_activity`.
        name : str, default=None
            Of the model, for the legend; None for its class name.
        ax : matplotlib Axes, default=None
            None makes a new figure.
        errorbar_kwargs : dict, default=None
            Passed to matplotlib's ``errorbar``.

        Returns
        -------
        ActivityDisplay

        Raises
        ------
        ValueError
            Where no user has a held-out item, or the metric is unknown.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        if not isinstance(metric, str):
            raise TypeError(f'metric must be the name of one metric, such as "ndcg@100", got {metric!r}.')
        fold_in, held_out = hide_items(X, y, model=estimator)
        evaluation = Evaluation(score_users(estimator, fold_in, held_out, metric))
        name = type(estimator).__name__ if name is None else name
        return cls.from_evaluations(
            {name: evaluation}, fold_in, metric=metric, n_groups=n_groups, ax=ax, errorbar_kwargs=errorbar_kwargs
        )

    @classmethod
    def from_evaluations(cls, evaluations, X, *, metric=VALIDATION_METRIC, n_groups=5, ax=None, errorbar_kwargs=None):
        """Draw evaluations of several models on the same users side by side.

        Parameters
        ----------
        evaluations : dict of str to skvae.Evaluation
            Name of each model to what `skvae.evaluate` gave, or to the difference of two such.
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            The users evaluated, whose interactions are counted: as a whole, or their fold-in, which is
            `skvae.fold_in_split` of what evaluate got, or that itself where evaluate got y.
        metric : str, default="ndcg@100"
            One that was evaluated.
        n_groups : int, default=5
            Groups of about equally many users, as in `skvae.Evaluation.by_activity`.
        ax : matplotlib Axes, default=None
            None makes a new figure.
        errorbar_kwargs : dict, default=None
            Passed to matplotlib's ``errorbar``.

        Returns
        -------
        ActivityDisplay

        Raises
        ------
        ValueError
            Where a metric was not evaluated, or models were evaluated on different users or hidden items.
        """
        check_matplotlib_support(f"{cls.__name__}.from_evaluations")
        if not isinstance(evaluations, Mapping) or not evaluations:
            is_comparison = hasattr(evaluations, "evaluations")
            got = "a Comparison: pass its evaluations" if is_comparison else f"{type(evaluations).__name__}"
            raise TypeError(f"evaluations must be a dict of model name to Evaluation, got {got}.")
        for name, evaluation in evaluations.items():
            if metric not in evaluation.per_user:
                raise ValueError(
                    f"metric={metric!r} was not evaluated for {name}: it has {', '.join(evaluation.per_user)}."
                )
        chosen = [_of_metric(evaluation, metric) for evaluation in evaluations.values()]
        for other in chosen[1:]:
            _ = chosen[0] - other  # raises where they are of other users, hidden items or metrics
        groups = {name: one.by_activity(X, n_groups) for name, one in zip(evaluations, chosen, strict=True)}
        return cls(groups=groups, metric=metric).plot(ax, errorbar_kwargs=errorbar_kwargs)

    def plot(self, ax=None, *, errorbar_kwargs=None):
        """Draw means with standard-error bars, the models side by side in each group.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a new figure.
        errorbar_kwargs : dict, default=None
            Passed to matplotlib's ``errorbar``.

        Returns
        -------
        ActivityDisplay
            Itself.
        """
        self.ax_ = new_axes(self, ax)
        self.figure_ = self.ax_.figure
        kwargs = {"fmt": "o", "capsize": 3} | (errorbar_kwargs or {})
        width = min(MODEL_WIDTH, 0.8 / len(self.groups))
        offsets = width * (np.arange(len(self.groups)) - (len(self.groups) - 1) / 2)
        self.errorbars_ = []
        for offset, (name, groups) in zip(offsets, self.groups.items(), strict=True):
            means = [group.evaluation.mean[self.metric] for group in groups]
            errors = [group.evaluation.standard_error[self.metric] for group in groups]
            places = np.arange(len(groups)) + offset
            self.errorbars_.append(self.ax_.errorbar(places, means, errors, **({"label": str(name)} | kwargs)))
        ranges = [_range(group) for group in next(iter(self.groups.values()))]
        self.ax_.set_xticks(range(len(ranges)), ranges)
        self.ax_.set(
            xlim=(-0.5, max(len(ranges) - 0.5, self.ax_.dataLim.x1)),
            xlabel="interactions of a user",
            ylabel=f"{metric_label(self.metric)}, mean and standard error",
        )
        self.ax_.yaxis.label.set_parse_math(False)
        self.zero_line_ = show_all_heights(self.ax_, self.errorbars_)
        names = [] if "label" in kwargs else list(zip(self.errorbars_, self.groups, strict=True))
        place = legend_place(self.ax_, is_beside=len(self.groups) > MODELS_WITHIN)
        draw_legend(self.ax_, names, frameon=False, **place)
        return self


def _of_metric(evaluation, metric):
    """What an evaluation says of one of its metrics."""
    others = {f"metric {name}" for name in evaluation.per_user if name != metric}
    evaluated = {what: fingerprint for what, fingerprint in evaluation.evaluated.items() if what not in others}
    return Evaluation({metric: evaluation.per_user[metric]}, evaluated)


def _range(group):
    return str(group.most) if group.fewest == group.most else f"{group.fewest} to {group.most}"
