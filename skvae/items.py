"""What is asked of items: which are similar, and columns for new ones."""

from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .columns import names_with_added
from .item_checks import blocked_items, item_indices
from .parameters import integer
from .ranking import top_k, users_per_block
from .recommender import all_or_nothing, as_it_is
from .wrappers import unfrozen


def wider(estimator, n_items, names):
    """The estimators that n_items more columns change, each with its attributes of then.

    Parameters
    ----------
    estimator : fitted estimator with ``add_items``
        Itself it is the last of them, without a FrozenEstimator around it. One that adds items in its own way does so
        on a copy.
    n_items : int
    names : array of str, or None

    Returns
    -------
    list of (estimator, dict)
    """
    estimator = unfrozen(estimator)
    if getattr(type(estimator).add_items, "__qualname__", "") == ItemsMixin.add_items.__qualname__:
        return estimator._wider(n_items, names)
    copied = as_it_is(estimator)
    copied.add_items(n_items)
    return [(estimator, {name: value for name, value in vars(copied).items() if name != "_read_from"})]


class ItemsMixin:
    """``similar_items`` and ``add_items``.

    For ``_item_similarity(items)``, of shape (len(items), n_items), -inf where there is none. One whose arrays have to
    grow with the columns has ``_widen(n_items)``, which is called on a copy.
    """

    n_features_in_: int
    _item_similarity: Callable

    def add_items(self, n_items, *, names=None):
        """Append columns for new items to a fitted model, without a refit.

        Until the next training an added item scores -inf, is recommended to nobody and is similar to nothing. Scores
        of the others stay what they were for users who have none of the added items, in linear models for everyone;
        where blocks of users get smaller, to rounding.

        - Autoencoders: `partial_fit`, or fit with warm_start, trains all added items. They begin with what the users
          who have them say: a bias by their number, and vectors near those of the other items of these users. Optimizer
          state is dropped.
        - Linear models: fit, or with keep_gram=True `partial_fit`, gives them weights.
        - Blends: the members are widened, those that were passed fitted too, and trained by the next fit. A member
          that has the items already, as one of two blends, is left as it is.

        Parameters
        ----------
        n_items : int
            Columns to append; 0 changes nothing.
        names : array of shape (n_items,), default=None
            What the columns are called, where the model was fitted on a DataFrame. Without them the other columns lose
            their names.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Where n_items is below 0 or no int, names are not n_items new ones, or a member of a blend has other items.

        Examples
        --------
        >>> from skvae import MultDAERecommender
        >>> from skvae.datasets import make_interactions
        >>> X = make_interactions(n_users=100, n_items=30, random_state=0)
        >>> model = MultDAERecommender(4, max_iter=1, random_state=0).fit(X[:, :28])
        >>> model.add_items(2).partial_fit(X).decision_function(X).shape
        (100, 30)
        """
        check_is_fitted(self)
        n_items = integer(0)("n_items", n_items)
        if not n_items and not np.size(names if names is not None else ()):
            return self
        if names is not None:
            names_with_added(self, names, n_items)
        states = self._wider(n_items, names)
        with ExitStack() as undoing:
            for estimator, _ in states:
                undoing.enter_context(all_or_nothing(estimator))
            for estimator, state in states:  # each at once, for those who read it meanwhile
                estimator.__dict__ = state
        return self

    def _widen(self, n_items):
        """Do nothing, as columns beyond the arrays are added items; models with longer arrays override it."""

    def _wider(self, n_items, names):
        """The estimators to widen, this one the last, each with its attributes of then."""
        wide = object.__new__(type(self))
        wide.__dict__.update(vars(self))
        wide._widen(n_items)
        wide.n_features_in_ += n_items
        kinds = {"feature_names_in_", "_column_labels"} & vars(wide).keys()
        for kind in kinds:
            del wide.__dict__[kind]
        if kinds and names is not None:
            wide.__dict__.update(names_with_added(self, names, n_items))
        return [(self, vars(wide))]

    def similar_items(self, items, k=10, *, candidates=None, exclude=None):
        """The k items that are most like each of the given ones, never the item itself.

        Parameters
        ----------
        items : array of int of shape (n,)
            Item indices.
        k : int, default=10
            Items for each; may exceed n_items - 1.
        candidates : array of int, default=None
            The only item indices that may come.
        exclude : array of int, default=None
            Item indices that may not come.

        Returns
        -------
        similar : int64 array of shape (n, k)
            Best first, equal similarities by lower index; -1 where fewer than k items are left.
        similarities : float32 array of shape (n, k)
            Autoencoders: the cosine of the decoder's item vectors. Linear models: the weights from
            the given item. Blends: what their members say, normalised as their scores and
            weighted. -inf where similar is -1.

        Raises
        ------
        ValueError
            Where k is below 1, or items are out of range.
        """
        check_is_fitted(self)
        k = integer(1)("k", k)
        items = item_indices(items, "items", self.n_features_in_)
        blocked = blocked_items(candidates, exclude, self.n_features_in_)
        similar, similarities = np.empty((len(items), k), np.int64), np.empty((len(items), k), np.float32)
        step, model = users_per_block(self.n_features_in_), as_it_is(self)
        for first in range(0, len(items), step):
            block = items[first : first + step]
            scores = model._item_similarity(block)
            scores[np.arange(len(block)), block] = -np.inf
            scores[:, blocked] = -np.inf
            similar[first : first + step], similarities[first : first + step] = top_k(scores, k)
        return similar, similarities
