"""Where users and items lie in the latent space, in two dimensions."""

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from ..item_checks import item_indices
from .axes import draw_legend, legend_place, new_axes
from .labels import label_array, read_labels

OTHER_COLOR = "0.8"
MISSING_COLOR = "0.55"
MAX_CATEGORIES = 10  # colours of matplotlib's cycle
_REMEDY = "pass a fitted MultVAERecommender or MultDAERecommender"


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
        Colour of the points: numbers (float) give a colour scale, anything else categories, by
        their text. None, NaN, NaT and pandas.NA are no labels: their points are dark grey.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    scatters_ : dict of str to matplotlib PathCollection
        The points of each category, of all points as "" without categories; those outside the ten
        most frequent categories as "other", those without a label as "missing".
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
            frequent get a colour, the rest is light grey, as is what is labelled "other", and
            what has no label (None, NaN, NaT, pandas.NA) or is labelled "missing" is dark grey.
            Categories stand in the legend as they are.
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
            frequent get a colour, the rest is light grey, as is what is labelled "other", and
            what has no label (None, NaN, NaT, pandas.NA) or is labelled "missing" is dark grey.
            Categories stand in the legend as they are.
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
        # in rows, as the order of a table's columns in memory would change the last digits
        vectors = np.asarray(vectors.toarray() if sp.issparse(vectors) else vectors, order="C")
        if min(vectors.shape) < 2:
            raise ValueError(
                f"The vectors are of shape {vectors.shape}: two dimensions need two {noun} and two components."
            )
        if not np.isfinite(vectors).all():
            raise ValueError(
                f"The vectors of the {noun} hold NaN or infinity: the training diverged; lower learning_rate and fit "
                "again."
            )
        if labels is not None:
            labels = label_array(labels, len(vectors), noun)
        # the full decomposition has no random start, and numbers of components are small
        from sklearn.decomposition import PCA  # with half of scikit-learn: not for everyone who imports skvae

        # arrays whatever sklearn.set_config(transform_output=...) says
        pca = PCA(n_components=2, svd_solver="full").set_output(transform="default")
        with np.errstate(invalid="ignore"):  # equal points have no variance to share
            components = pca.fit_transform(vectors)
        shares = np.nan_to_num(pca.explained_variance_ratio_)
        return cls(components=components, explained_variance_ratio=shares, labels=labels)

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
        self.ax_ = new_axes(self, ax)
        self.figure_ = self.ax_.figure
        kwargs = {"s": 12, "linewidths": 0} | (scatter_kwargs or {})
        self.scatters_, self.colorbar_ = {}, None
        if self.labels is None:
            self.scatters_[""] = self._scatter(slice(None), kwargs)
        else:
            self._plot_labels(read_labels(self.labels), kwargs)
        for axis, number, share in zip("xy", ("first", "second"), self.explained_variance_ratio, strict=True):
            self.ax_.set(**{f"{axis}label": f"{number} principal component ({share:.0%} of the variance)"})
        return self

    def _scatter(self, points, kwargs):
        return self.ax_.scatter(*self.components[points].T, **kwargs)

    def _plot_labels(self, labels, kwargs):
        """Numbers as a colour scale or categories, and missing labels beside them."""
        missing, is_scale = labels.missing, labels.numbers is not None
        if is_scale:
            self.scatters_[""] = self._scatter(~missing, {"c": labels.numbers[~missing]} | kwargs)
            self.colorbar_ = self.figure_.colorbar(self.scatters_[""], ax=self.ax_)
        else:
            missing = missing | (labels.categories == "missing")
            self._plot_categories(labels.categories, ~missing, kwargs)
        if missing.any():
            self.scatters_["missing"] = self._scatter_grey(missing, "missing", MISSING_COLOR, kwargs)
        elif is_scale:
            return
        names = [(points, name) for name, points in self.scatters_.items() if not is_scale or name]
        place = legend_place(self.ax_, is_beside=not is_scale)
        draw_legend(self.ax_, [] if "label" in kwargs else names, frameon=False, markerscale=1.5, **place)

    def _plot_categories(self, categories, present, kwargs):
        names, counts = np.unique(categories[present & (categories != "other")], return_counts=True)
        if len(names) > MAX_CATEGORIES:
            names = np.sort(names[np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]])
        for name in names:
            self.scatters_[name] = self._scatter(present & (categories == name), {"label": name} | kwargs)
        rest = present & ~np.isin(categories, names)
        if rest.any():
            self.scatters_["other"] = self._scatter_grey(rest, "other", OTHER_COLOR, kwargs)

    def _scatter_grey(self, points, name, color, kwargs):
        """Points below the others, whichever is drawn first."""
        grey = {} if {"c", "color"} & kwargs.keys() else {"color": color}
        return self._scatter(points, {"label": name, "zorder": 0.5} | grey | kwargs)
