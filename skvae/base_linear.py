"""Scores that are a user's row times weights between items."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .callbacks import CallbackSupportMixin
from .items import ItemsMixin
from .ranking import DecisionFunctionScorer
from .recommender import BaseRecommender, as_it_is

LARGEST_TO_SUM = 1e30  # of what is far below, no sum of weighted values leaves float32


class BaseLinear(CallbackSupportMixin, ItemsMixin, BaseRecommender):
    """Scores that are a user's row times `weights_` between items, and popularity where that is nothing.

    Items beyond these weights, which were added since, score -inf.
    """

    def decision_function(self, X):
        """Score of every item for every user: X times the weights; where all are 0, as for no item, ``item_counts_``.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            The users' interactions; users that fit never saw are rows like any other.

        Returns
        -------
        float32 array of shape (n_users, n_items)
            Higher is better; the items in X included.
        """
        check_is_fitted(self)
        model = as_it_is(self)
        X = model._check_interactions(X, reset=False)
        n_weighted = len(model.weights_)
        weighted = (X if n_weighted == X.shape[1] else X[:, :n_weighted]) @ model.weights_
        _check_finite(weighted, X)
        weighted[~weighted.any(axis=1)] = getattr(model, "item_counts_", 0)  # a model of a file from before it had any
        if n_weighted == X.shape[1]:
            return weighted
        scores = np.full(X.shape, -np.inf, np.float32)
        scores[:, :n_weighted] = weighted
        return scores

    def block_scorer(self):
        """What `skvae.recommend` ranks by: the weights of now for all users, whatever partial_fit changes meanwhile.

        Returns
        -------
        DecisionFunctionScorer
        """
        return DecisionFunctionScorer(as_it_is(self))

    def _contributions(self, X, users, items):
        rows, columns = X.indices[:, None], items[users]
        is_weighted = np.maximum(rows, columns) < len(self.weights_)
        weights = self.weights_[np.where(is_weighted, rows, 0), np.where(is_weighted, columns, 0)]
        return np.where(is_weighted, X.data[:, None] * weights, 0)

    def _item_similarity(self, items):
        similarities = np.full((len(items), self.n_features_in_), -np.inf, np.float32)
        is_weighted, n_weighted = items < len(self.weights_), len(self.weights_)
        similarities[is_weighted, :n_weighted] = self.weights_[items[is_weighted]]
        return similarities


def _check_finite(scores, X):
    """Raise where a sum of values times weights left float32: it says nothing of which item is better."""
    largest = X.data.max(initial=0)
    if largest > LARGEST_TO_SUM and not np.isfinite(scores).all():
        raise ValueError(
            f"X holds the value {largest:.3g}, and scores, which are sums of values times weights, pass the largest "
            "float32, 3.4e38: divide X by a constant."
        )
