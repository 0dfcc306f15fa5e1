"""Where users and items lie in the latent space, in two dimensions."""

from collections.abc import Mapping

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from ..matrix import item_indices
from .axes import new_axes

OTHER_COLOR = "0.8"
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
        self.ax_ = new_axes(self, ax)
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
