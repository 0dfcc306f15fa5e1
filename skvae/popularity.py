"""The floor that every model must beat."""

from functools import partial

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .callbacks import CallbackSupportMixin, as_one_task
from .core.processes import process_group
from .fit_identity import identity_of
from .matrix import count_users
from .memory import of_popularity
from .recommender import BaseRecommender


class PopularityRecommender(CallbackSupportMixin, BaseRecommender):
    """Recommend what most users have: the floor that every model must beat.

    Parameters
    ----------
    store_user_hashes : bool, default=True
        Keep a hash of each user's items, 8 bytes, so that `evaluate` can warn of users that the model was fitted on.
        Anyone who has the model can test whether a user was among them: set False if that must not be possible.

    Attributes
    ----------
    item_counts_ : float32 array of shape (n_items,)
        Users with an interaction, for each item.
    n_features_in_ : int
        n_items.
    feature_names_in_ : array of str
        Item names, where fit got a DataFrame.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae import PopularityRecommender
    >>> X = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 1]])
    >>> items, scores = PopularityRecommender().fit(X).recommend([[0, 1, 0]], k=2)
    >>> items, scores
    (array([[2, 0]]), array([[3., 2.]], dtype=float32))
    """

    _model = "item_counts_"
    _memory_of_fit = of_popularity

    def __init__(self, *, store_user_hashes=True):
        self.store_user_hashes = store_user_hashes

    @as_one_task
    def fit(self, X, y=None):
        """Count the users of each item.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
        y : ignored

        Returns
        -------
        self
        """
        processes = process_group()
        with processes.agreed():
            candidate, X = self._checked_anew(X, y)
        processes.check_same(partial(identity_of, self, X, None))
        with self._begin_fit(candidate):
            self.item_counts_ = count_users(X).astype(np.float32)
        return self

    def decision_function(self, X):
        """The items' counts, the same for each user.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)

        Returns
        -------
        float32 array of shape (n_users, n_items)
        """
        check_is_fitted(self)
        X = self._check_interactions(X, reset=False)
        return np.tile(self.item_counts_, (X.shape[0], 1))
