"""Displays, in the manner of scikit-learn's: what a fit and its recommendations look like.

Each ``Display.from_estimator`` computes and draws; the numbers are attributes, and ``plot`` draws
them again. Without ``ax`` a new figure is made with matplotlib, which is imported only then.
"""

import numbers
from collections.abc import Mapping

import numpy as np
from sklearn.utils import check_scalar
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from .evaluation import Evaluation
from .model_selection import count_interactions
from .ranking import item_indices, recommend, row_sliceable
from .scoring import hide_items, score_users

REFERENCE_COLOR = "0.4"
OTHER_COLOR = "0.8"
MAX_CATEGORIES = 10  # colours of matplotlib's cycle


class TrainingCurveDisplay:
    """Loss, validation score and beta of each epoch.

    Use `from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    curves : dict of str to array of shape (n_epochs,)
        Label of the y-axis to one value an epoch, from epoch 1.
    best_iter : int or None, default=None
        Epoch, from 1, whose weights were kept; None where nothing was validated.
    name : str or None, default=None
        Of the model, for the legend.

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
            "validation": ("validation NDCG@100", _one_score_an_epoch(estimator)),
            "beta": ("beta", estimator.beta_curve_ if any(estimator.beta_curve_) else None),
        }
        if curves is None:
            curves = [curve for curve, (_, points) in values.items() if points is not None]
        _check_curves(curves, values)
        display = cls(
            curves={values[curve][0]: np.asarray(values[curve][1]) for curve in curves},
            best_iter=estimator.best_iter_ if values["validation"][1] is not None else None,
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
        kwargs = {"label": f"{self.name or 'model'}{best}"} | (line_kwargs or {})
        for axes, (label, values) in zip(self.axes_, self.curves.items(), strict=True):
            epochs = np.arange(1, len(values) + 1)
            self.lines_ += axes.plot(epochs, values, **kwargs)
            if self.best_iter is not None:
                self._mark_best(axes, self.lines_[-1])
            axes.set_ylabel(label)
        self.axes_[-1].set_xlabel("epoch")
        self.axes_[0].legend(frameon=False)
        return self

    def _axes(self, ax):
        """One Axes for each curve, object array; of a new figure where ax is None."""
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator

        n_curves = len(self.curves)
        if ax is None:
            size = (6.4, 1 + 1.8 * n_curves)
            _, ax = plt.subplots(n_curves, sharex=True, figsize=size, layout="constrained", squeeze=False)
            ax[-1, 0].xaxis.set_major_locator(MaxNLocator(integer=True))
            _hide_spines(ax)
        axes = np.ravel(np.asarray(ax, dtype=object))
        if len(axes) != n_curves:
            raise ValueError(
                f"ax holds {len(axes)} Axes for {n_curves} curves: pass plt.subplots({n_curves})[1], or fewer curves."
            )
        return axes

    def _mark_best(self, axes, line):
        """A dashed line at the best epoch, and a dot on the curve."""
        color = line.get_color()
        self.best_lines_.append(axes.axvline(self.best_iter, color=color, linestyle="--", linewidth=1, alpha=0.6))
        axes.plot(self.best_iter, line.get_ydata()[self.best_iter - 1], "o", color=color)


def _one_score_an_epoch(estimator):
    """The validation scores, or None where there are none or only those of some epochs."""
    scores = estimator.validation_scores_
    return scores if scores is not None and len(scores) == len(estimator.loss_curve_) else None


def _check_curves(curves, values):
    remedies = {
        "validation": "validation_scores_ does not have a score an epoch: fit with X_val or early_stopping=True",
        "beta": "beta_curve_ is 0 in every epoch: only a MultVAERecommender with anneal_cap above 0 has a KL weight",
    }
    if isinstance(curves, str) or not len(curves):
        raise ValueError(f"curves must be a list of {', '.join(values)}, got {curves!r}.")
    for curve in curves:
        if curve not in values:
            raise ValueError(f"curves must be of {', '.join(values)}, got {curve!r}.")
        if values[curve][1] is None:
            raise ValueError(f'There is no curve "{curve}", {remedies[curve]}.')


class ActivityDisplay:
    """A metric in groups of users with few to many interactions, with standard errors.

    Use `from_estimator`, or `from_evaluations` for several models. All parameters are stored as
    attributes.

    Parameters
    ----------
    groups : dict of str to list of skvae.evaluation.ActivityGroup
        Name of a model to its groups, of the same users for each model.
    metric : str, default="ndcg@100"
        The metric drawn.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    errorbars_ : list of matplotlib ErrorbarContainer
        One for each model: means and standard errors.

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

    def __init__(self, *, groups, metric="ndcg@100"):
        self.groups = groups
        self.metric = metric

    @classmethod
    def from_estimator(
        cls, estimator, X, y=None, *, metric="ndcg@100", n_groups=5, name=None, ax=None, errorbar_kwargs=None
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
        fold_in, held_out = hide_items(X, y)
        evaluation = Evaluation(score_users(estimator, fold_in, held_out, metric))
        name = type(estimator).__name__ if name is None else name
        return cls.from_evaluations(
            {name: evaluation}, fold_in, metric=metric, n_groups=n_groups, ax=ax, errorbar_kwargs=errorbar_kwargs
        )

    @classmethod
    def from_evaluations(cls, evaluations, X, *, metric="ndcg@100", n_groups=5, ax=None, errorbar_kwargs=None):
        """Draw evaluations of several models on the same users side by side.

        Parameters
        ----------
        evaluations : dict of str to skvae.Evaluation
            Name of each model to what `skvae.evaluate` gave.
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            The fold-in of the users evaluated: `skvae.fold_in_split` of what evaluate got, or
            that itself where evaluate got y.
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
            Where a metric was not evaluated, or models were evaluated on different users.
        """
        check_matplotlib_support(f"{cls.__name__}.from_evaluations")
        if not isinstance(evaluations, Mapping) or not evaluations:
            raise TypeError(f"evaluations must be a dict of model name to Evaluation, got {evaluations!r}.")
        for name, evaluation in evaluations.items():
            if metric not in evaluation.per_user:
                raise ValueError(
                    f"metric={metric!r} was not evaluated for {name}: it has {', '.join(evaluation.per_user)}."
                )
        chosen = {name: Evaluation({metric: e.per_user[metric]}) for name, e in evaluations.items()}
        groups = {name: evaluation.by_activity(X, n_groups) for name, evaluation in chosen.items()}
        bounds = {tuple((g.fewest, g.most, g.evaluation.n_users) for g in groups[name]) for name in groups}
        if len(bounds) > 1:
            raise ValueError("The models were evaluated on different users: evaluate them with the same X and seed.")
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
        self.ax_ = _new_axes(self, ax)
        self.figure_ = self.ax_.figure
        kwargs = {"fmt": "o", "capsize": 3} | (errorbar_kwargs or {})
        offsets = 0.12 * (np.arange(len(self.groups)) - (len(self.groups) - 1) / 2)
        self.errorbars_ = []
        for offset, (name, groups) in zip(offsets, self.groups.items(), strict=True):
            means = [group.evaluation.mean[self.metric] for group in groups]
            errors = [group.evaluation.standard_error[self.metric] for group in groups]
            places = np.arange(len(groups)) + offset
            self.errorbars_.append(self.ax_.errorbar(places, means, errors, **({"label": name} | kwargs)))
        ranges = [_range(group) for group in next(iter(self.groups.values()))]
        self.ax_.set_xticks(range(len(ranges)), ranges)
        self.ax_.set(
            xlim=(-0.5, len(ranges) - 0.5),
            xlabel="interactions of a user in the fold-in",
            ylabel=f"{_metric_label(self.metric)}, mean and standard error",
        )
        self.ax_.set_ylim(bottom=0)
        self.ax_.legend(frameon=False)
        return self


def _range(group):
    return str(group.most) if group.fewest == group.most else f"{group.fewest} to {group.most}"


def _metric_label(metric):
    """ "ndcg@100" as NDCG@100, "hit_rate@10" as Hit rate@10."""
    name, _, k = metric.partition("@")
    name = name.upper() if name in ("ndcg", "map", "mrr") else name.replace("_", " ").capitalize()
    return f"{name}@{k}" if k else name


class LatentSpaceDisplay:
    """Codes of users, or vectors of items, in their two principal components.

    Use `from_estimator` for users and `from_item_vectors` for items. All parameters are stored as
    attributes.

    Parameters
    ----------
    components : array of shape (n_points, 2)
        First and second principal component of each point.
    explained_variance_ratio : array of shape (2,)
        Share of the variance of all points along each.
    labels : array of shape (n_points,) or None, default=None
        Colour of the points: numbers (float) give a colour scale, anything else categories.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    scatters_ : dict of str to matplotlib PathCollection
        The points of each category; of all points as "" without categories.
    colorbar_ : matplotlib Colorbar or None
        Of numeric labels.

    Examples
    --------
    >>> from skvae import LatentSpaceDisplay, MultDAERecommender
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(n_users=200, n_items=40, n_groups=4, random_state=0)
    >>> model = MultDAERecommender(8, max_iter=20, random_state=0).fit(X)
    >>> groups = [f"group {item % 4}" for item in range(40)]
    >>> display = LatentSpaceDisplay.from_item_vectors(model, labels=groups)
    >>> list(display.scatters_)
    ['group 0', 'group 1', 'group 2', 'group 3']
    """

    def __init__(self, *, components, explained_variance_ratio, labels=None):
        self.components = components
        self.explained_variance_ratio = explained_variance_ratio
        self.labels = labels

    @classmethod
    def from_estimator(cls, estimator, X, *, labels=None, ax=None, scatter_kwargs=None):
        """Draw the codes that ``transform`` gives the users of X.

        Parameters
        ----------
        estimator : fitted estimator with a ``transform``
            A MultVAERecommender or MultDAERecommender, or a Pipeline or search around one.
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
        labels : array of shape (n_users,), default=None
            Numbers (float) give a colour scale, anything else categories: the ten most
            frequent get a colour, the rest is grey, as is what is labelled "other".
        ax : matplotlib Axes, default=None
            None makes a new figure.
        scatter_kwargs : dict, default=None
            Passed to matplotlib's ``scatter``.

        Returns
        -------
        LatentSpaceDisplay

        Raises
        ------
        ValueError
            Where labels have another length, or there are fewer than two components or users.
        TypeError
            Where the estimator has no codes.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        if not hasattr(estimator, "transform"):
            raise TypeError(f"{type(estimator).__name__} has no codes of users: {_REMEDY}.")
        return cls._from_vectors(estimator.transform(X), labels, "users").plot(ax, scatter_kwargs=scatter_kwargs)

    @classmethod
    def from_item_vectors(cls, estimator, *, items=None, labels=None, ax=None, scatter_kwargs=None):
        """Draw the items' vectors in the decoder's last layer.

        Parameters
        ----------
        estimator : fitted MultVAERecommender or MultDAERecommender
        items : array of int, default=None
            Which items, such as the popular ones, whose vectors are learned from more users; None
            for all.
        labels : array of shape (n_items of items,), default=None
            Numbers (float) give a colour scale, anything else categories: the ten most
            frequent get a colour, the rest is grey, as is what is labelled "other".
        ax : matplotlib Axes, default=None
            None makes a new figure.
        scatter_kwargs : dict, default=None
            Passed to matplotlib's ``scatter``.

        Returns
        -------
        LatentSpaceDisplay

        Raises
        ------
        ValueError
            Where labels have another length, an item is out of range, or there are fewer than two
            components or items.
        TypeError
            Where the estimator has no item vectors.
        """
        check_matplotlib_support(f"{cls.__name__}.from_item_vectors")
        check_is_fitted(estimator)
        weights = getattr(estimator, "weights_", None)
        if not isinstance(weights, Mapping) or "decoder.item_weight" not in weights:
            raise TypeError(f"{type(estimator).__name__} has no item vectors: {_REMEDY}.")
        vectors = weights["decoder.item_weight"]
        if items is not None:
            vectors = vectors[item_indices(items, "items", len(vectors))]
        return cls._from_vectors(vectors, labels, "items").plot(ax, scatter_kwargs=scatter_kwargs)

    @classmethod
    def _from_vectors(cls, vectors, labels, noun):
        """Principal components of vectors, (n_points, width), with the labels checked."""
        vectors = np.asarray(vectors)
        if min(vectors.shape) < 2:
            raise ValueError(
                f"The vectors are of shape {vectors.shape}: two dimensions need two {noun} and two components."
            )
        if labels is not None:
            labels = np.asarray(labels)
            if labels.shape != (len(vectors),):
                raise ValueError(f"labels has shape {labels.shape} for {len(vectors)} {noun}: pass one label for each.")
        # the full decomposition has no random start, and numbers of components are small
        from sklearn.decomposition import PCA  # with half of scikit-learn: not for everyone who imports skvae

        pca = PCA(n_components=2, svd_solver="full")
        components = pca.fit_transform(vectors)
        return cls(components=components, explained_variance_ratio=pca.explained_variance_ratio_, labels=labels)

    def plot(self, ax=None, *, scatter_kwargs=None):
        """Draw the points.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a new figure.
        scatter_kwargs : dict, default=None
            Passed to matplotlib's ``scatter``.

        Returns
        -------
        LatentSpaceDisplay
            Itself.
        """
        self.ax_ = _new_axes(self, ax)
        self.figure_ = self.ax_.figure
        kwargs = {"s": 12, "linewidths": 0} | (scatter_kwargs or {})
        labels = None if self.labels is None else np.asarray(self.labels)
        numeric = labels is not None and np.issubdtype(labels.dtype, np.floating)
        self.scatters_, self.colorbar_ = {}, None
        if labels is None or numeric:
            self.scatters_[""] = self._scatter(slice(None), {"c": labels} | kwargs)
        else:
            self._plot_categories(labels.astype(str), kwargs)
        if numeric:
            self.colorbar_ = self.figure_.colorbar(self.scatters_[""], ax=self.ax_)
        for axis, number, share in zip("xy", ("first", "second"), self.explained_variance_ratio, strict=True):
            self.ax_.set(**{f"{axis}label": f"{number} principal component ({share:.0%} of the variance)"})
        return self

    def _scatter(self, points, kwargs):
        return self.ax_.scatter(*self.components[points].T, **kwargs)

    def _plot_categories(self, labels, kwargs):
        names, counts = np.unique(labels[labels != "other"], return_counts=True)
        if len(names) > MAX_CATEGORIES:
            names = np.sort(names[np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]])
        for name in names:
            self.scatters_[str(name)] = self._scatter(labels == name, {"label": str(name)} | kwargs)
        rest = ~np.isin(labels, names)
        if rest.any():
            # below the others, whichever is drawn first
            kwargs = {"label": "other", "color": OTHER_COLOR, "zorder": 0.5} | kwargs
            self.scatters_["other"] = self._scatter(rest, kwargs)
        self.ax_.legend(frameon=False, markerscale=1.5, loc="center left", bbox_to_anchor=(1, 0.5))


_REMEDY = "pass a fitted MultVAERecommender or MultDAERecommender"


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
        Of the model, for the legend.

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
            Recommendations a user.
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
            Where item_counts has another length than X has items, or is negative, or there is no
            interaction to rank the items by.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_scalar(k, "k", numbers.Integral, min_val=1)
        X = row_sliceable(X)
        items, _ = recommend(estimator, X, k)
        recommendations = np.bincount(items[items >= 0], minlength=X.shape[1])
        interactions = count_interactions(X.T) if item_counts is None else np.asarray(item_counts)
        if interactions.shape != recommendations.shape:
            raise ValueError(f"item_counts has shape {interactions.shape}, X has {X.shape[1]} items: they must agree.")
        if not (interactions >= 0).all() or not interactions.any():
            raise ValueError("item_counts must not be negative, and one item at least must have an interaction.")
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
        self.ax_ = _new_axes(self, ax)
        self.figure_ = self.ax_.figure
        ranks = np.arange(1, len(self.interactions) + 1)
        self.interactions_line_ = None
        if plot_interactions:
            shares = _cumulative_shares(self.interactions)
            (self.interactions_line_,) = self.ax_.plot(ranks, shares, "--", color=REFERENCE_COLOR, label="interactions")
        label = f"{self.name or 'recommendations'}, coverage {self.coverage:.1%}"
        kwargs = {"label": label} | (line_kwargs or {})
        (self.line_,) = self.ax_.plot(ranks, _cumulative_shares(self.recommendations), **kwargs)
        self.ax_.set_xscale("log")
        self.ax_.xaxis.set_major_formatter("{x:g}")
        self.ax_.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        self.ax_.set(
            xlim=(1, len(ranks)),
            ylim=(0, 1.02),
            xlabel="most popular items, up to this rank",
            ylabel="share that goes to these items",
        )
        self.ax_.legend(frameon=False, loc="lower right")
        return self


def _cumulative_shares(counts):
    return np.cumsum(counts) / max(np.sum(counts), 1)


def _new_axes(display, ax):
    """ax, or where it is None the Axes of a new figure."""
    check_matplotlib_support(f"{type(display).__name__}.plot")
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots(layout="constrained")
        _hide_spines(ax)
    return ax


def _hide_spines(axes):
    for each in np.ravel(axes):
        each.spines[["top", "right"]].set_visible(False)
