"""How training went: loss, validation score and beta of each epoch."""

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from ..scoring import VALIDATION_METRIC
from .axes import draw_legend, hide_spines, metric_label


class TrainingCurveDisplay:
    """Loss, validation score and beta of each epoch.

    Use `from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    curves : dict of str to array of shape (n_epochs,)
        Label of the y-axis to one value per epoch, from epoch 1.
    best_iter : int or None, default=None
        Epoch, from 1, whose weights were kept; None where nothing was validated.
    name : str or None, default=None
        Of the model, for the legend, where it stands as it is.

    Attributes
    ----------
    axes_ : array of matplotlib Axes, of shape (n_curves,)
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        A curve in each of the axes.
    best_lines_ : list of matplotlib Line2D
        The dashed line at ``best_iter`` in each of the axes; empty where it is None.

    Examples
    --------
    >>> from skvae import MultVAERecommender, TrainingCurveDisplay
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(n_users=200, n_items=50, random_state=0)
    >>> model = MultVAERecommender(8, hidden_layer_sizes=(), max_iter=10, random_state=0)
    >>> display = TrainingCurveDisplay.from_estimator(model.fit(X[:150], X_val=X[150:]))
    >>> [ax.get_ylabel() for ax in display.axes_]
    ['loss per user (nats)', 'validation NDCG@100', 'beta']
    """

    def __init__(self, *, curves, best_iter=None, name=None):
        self.curves = curves
        self.best_iter = best_iter
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, *, curves=None, name=None, ax=None, line_kwargs=None):
        """Draw the training of a fitted autoencoder.

        Parameters
        ----------
        estimator : fitted MultVAERecommender or MultDAERecommender
        curves : list of {"loss", "validation", "beta"}, default=None
            Which to draw; None for all that the model has: validation where there were validation
            users, beta where it was ever above 0.
        name : str, default=None
            Of the model, for the legend; None for its class name.
        ax : array of matplotlib Axes, one for each curve, default=None
            Such as ``axes_`` of another model's display; None makes a new figure.
        line_kwargs : dict, default=None
            Passed to matplotlib's ``plot`` for the curves.

        Returns
        -------
        TrainingCurveDisplay

        Raises
        ------
        ValueError
            Where a curve is asked for that the model does not have.
        TypeError
            Where the estimator is trained without epochs.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        if not hasattr(estimator, "loss_curve_"):
            raise TypeError(
                f"{type(estimator).__name__} has no training curve: pass a fitted MultVAERecommender or "
                "MultDAERecommender, of a Pipeline its last step, of a search its best_estimator_."
            )
        values = {
            "loss": ("loss per user (nats)", estimator.loss_curve_),
            "validation": (f"validation {metric_label(VALIDATION_METRIC)}", _one_score_an_epoch(estimator)),
            "beta": ("beta", estimator.beta_curve_ if any(estimator.beta_curve_) else None),
        }
        if curves is None:
            curves = [curve for curve, (_, points) in values.items() if points is not None]
        _check_curves(curves, values)
        display = cls(
            curves={values[curve][0]: np.asarray(values[curve][1]) for curve in curves},
            best_iter=getattr(estimator, "best_iter_", None) if values["validation"][1] is not None else None,
            name=type(estimator).__name__ if name is None else name,
        )
        return display.plot(ax, line_kwargs=line_kwargs)

    def plot(self, ax=None, *, line_kwargs=None):
        """Draw the curves one above the other.

        Parameters
        ----------
        ax : array of matplotlib Axes, one for each curve, default=None
            None makes a new figure.
        line_kwargs : dict, default=None
            Passed to matplotlib's ``plot`` for the curves.

        Returns
        -------
        TrainingCurveDisplay
            Itself.

        Raises
        ------
        ValueError
            Where ax holds another number of Axes.
        """
        self.axes_ = self._axes(ax)
        self.figure_ = self.axes_[0].figure
        self.lines_, self.best_lines_ = [], []
        best = "" if self.best_iter is None else f", best epoch {self.best_iter}"
        name = f"{'model' if self.name in (None, '') else self.name}{best}"
        for axes, (label, values) in zip(self.axes_, self.curves.items(), strict=True):
            epochs = np.arange(1, len(values) + 1)
            # one epoch alone is no line
            kwargs = {"label": name} | ({"marker": "o"} if len(values) == 1 else {}) | (line_kwargs or {})
            self.lines_ += axes.plot(epochs, values, **kwargs)
            if self.best_iter is not None:
                self._mark_best(axes, self.lines_[-1])
            axes.set_ylabel(label)
        self.axes_[-1].set_xlabel("epoch")
        names = [] if "label" in (line_kwargs or {}) else [(self.lines_[0], name)]
        draw_legend(self.axes_[0], names, frameon=False)
        return self

    def _axes(self, ax):
        """The Axes of each curve, object array; of a new figure where ax is None."""
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator

        n_curves = len(self.curves)
        if ax is None:
            size = (6.4, 1 + 1.8 * n_curves)
            _, ax = plt.subplots(n_curves, sharex=True, figsize=size, layout="constrained", squeeze=False)
            ax[-1, 0].xaxis.set_major_locator(MaxNLocator(integer=True))
            hide_spines(ax)
        axes = np.ravel(np.asarray(ax, dtype=object))
        if len(axes) != n_curves:
            raise ValueError(
                f"ax holds {len(axes)} Axes for {n_curves} curves: pass plt.subplots({n_curves})[1], or fewer curves."
            )
        return axes

    def _mark_best(self, axes, line):
        """A dashed line at the best epoch, and a dot on the curve; 0 is before the first epoch."""
        color = line.get_color()
        self.best_lines_.append(axes.axvline(self.best_iter, color=color, linestyle="--", linewidth=1, alpha=0.6))
        if 1 <= self.best_iter <= len(line.get_ydata()):
            axes.plot(self.best_iter, line.get_ydata()[self.best_iter - 1], "o", color=color)


def _one_score_an_epoch(estimator):
    """The validation scores, or None where there are none or only those of some epochs."""
    scores = getattr(estimator, "validation_scores_", None)
    return scores if scores is not None and len(scores) == len(estimator.loss_curve_) else None


def _check_curves(curves, values):
    remedies = {
        "validation": "validation_scores_ does not have one score per epoch: fit with X_val or early_stopping=True",
        "beta": "beta_curve_ is 0 in every epoch: only a MultVAERecommender with anneal_cap above 0 has a KL weight",
    }
    if isinstance(curves, str) or not len(curves):
        raise ValueError(f"curves must be a list of {', '.join(values)}, got {curves!r}.")
    for curve in curves:
        if curve not in values:
            raise ValueError(f"curves must be of {', '.join(values)}, got {curve!r}.")
        if values[curve][1] is None:
            raise ValueError(f'There is no curve "{curve}", {remedies[curve]}.')
