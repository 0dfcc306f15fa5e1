"""What every recommender of skvae shares: recommend, predict, score and explain from a decision_function."""

import inspect
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_array
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from .columns import (
    check_columns_of_fit,
    check_same_cells,
    check_same_labels,
    column_labels,
    column_names,
)
from .core.user_warnings import warn_user
from .explanations import explanations
from .hiding import hide_for_validation, hide_items
from .matrix import as_float32
from .matrix_checks import check_names_differ, check_no_matrix_as_y, check_trainable, is_matrix, is_pair
from .parameters import check_parameters, flag, integer
from .ranking import recommend
from .scoring import NobodyIsScored, ndcg_scorer
from .user_checks import most_fitted, warn_of_validation
from .user_hashes import all_hashes, user_hashes
from .validation_users import warn_of_no_validation
from .wrappers import unfrozen

# Page of a public class in the documentation, to which the HTML of an estimator links
API_PAGE = "https://skvae.readthedocs.io/en/stable/generated/skvae.{estimator_name}.html"


class BaseRecommender(BaseEstimator):
    """Base of all recommenders: a subclass needs ``fit`` and ``decision_function``.

    X is a users x items matrix of non-negative values: sparse, dense or a DataFrame. An explicit
    zero is no interaction.
    """

    _doc_link_module = "skvae"
    _doc_link_template = API_PAGE
    _model = "weights_"  # the attribute that makes a model
    _beside_model: tuple[str, ...] = ()  # large attributes, which a fit frees before it begins
    _checks: ClassVar[dict[str, Callable]] = {}  # parameter -> its check, as the functions of parameters.py give
    # What each entry of X contributes to the scores of its user's items: a method of (X, users, items), where users are
    # the row numbers of the entries -> float32 array of shape (X.nnz, m); None: what the scores lose without the entry
    _contributions: Callable | None = None
    # What a fit holds, a method of (parameters, size, refit=False, validated=False) -> Memory; None: not known
    _memory_of_fit: Callable | None = None
    _user_hashes: Any

    def recommend(self, X, k=10, *, exclude_seen=True, candidates=None, exclude=None):
        """The k best items of each user.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            The users' interactions; users that fit never saw are rows like any other.
        k : int, default=10
            Items per user; may exceed n_items.
        exclude_seen : bool, default=True
            Leave out the items that X itself holds.
        candidates : array of int, default=None
            The only item indices that may be recommended, for all users.
        exclude : array of int, or sparse matrix of shape (n_users, n_items), default=None
            Item indices that nobody may get, or for each user the items with a non-zero entry.

        Returns
        -------
        items : int64 array of shape (n_users, k)
            Best first, equal scores by lower index; -1 where fewer than k items are left.
        scores : float32 array of shape (n_users, k)
            -inf where items is -1.
        """
        return recommend(self, X, k, exclude_seen=exclude_seen, candidates=candidates, exclude=exclude)

    def predict(self, X):
        """The best unseen item of each user.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)

        Returns
        -------
        int64 array of shape (n_users,)
            -1 where a user has every item.
        """
        check_is_fitted(self)
        return recommend(self, self._check_interactions(X, reset=False), 1)[0][:, 0]

    def score(self, X, y=None):
        """Mean NDCG@100 on hidden items.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            The users; with a matrix y their fold-in.
        y : matrix of shape (n_users, n_items), or array of shape (n_users,), default=None
            The held-out matrix. Without it, and with a one-dimensional y, which is ignored, a
            fifth of each user's items is hidden with a fixed seed
            (`skvae.fold_in_split`).

        Returns
        -------
        float
            NaN, with a warning, where no user can hide an item.

        Raises
        ------
        ValueError
            Where a matrix y has another shape than X.
        """
        check_is_fitted(self)
        checked = self._check_interactions(X, reset=False)
        if is_matrix(y):
            check_same_cells(y, X, "y")
        try:
            return ndcg_scorer(as_it_is(self), checked, y)
        except NobodyIsScored as nobody:
            warn_user(f"No user of X can hide an item, so the score is NaN: {nobody.why}", UndefinedMetricWarning)
            return float("nan")

    def explain(self, X, items, k=5):
        """Which of each user's own items the scores of items come from, such as those that `recommend` returned.

        - In linear models a contribution is the value of the own item times its weight. Contributions
          sum to the score. Where all weights of a user's items are 0, the model ranks by popularity and
          nothing contributes.
        - In other models a contribution is the score less the score of the user without the item. Such
          contributions need not sum to the score. One more user is scored for each interaction in X.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            The users' interactions.
        items : int array of shape (n_users, m)
            For each user the items whose scores to explain; -1 for none.
        k : int, default=5
            Own items for each score; may exceed those that a user has.

        Returns
        -------
        own_items : int64 array of shape (n_users, m, k)
            Items of the user, the highest contribution first, equal ones by lower index; -1 where no
            further one contributes anything.
        contributions : float32 array of shape (n_users, m, k)
            Negative where an own item lowers the score, 0 where own_items is -1. Where a score is -inf
            nothing contributes.

        Raises
        ------
        ValueError
            Where k is below 1, or items are out of range, or do not have one row per user.

        Examples
        --------
        >>> from skvae import EASERecommender
        >>> X = [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 1], [0, 0, 1, 1]]
        >>> model = EASERecommender(l2_regularization=1).fit(X)
        >>> user = [[1, 0, 1, 0]]
        >>> items, scores = model.recommend(user, k=2)
        >>> own_items, contributions = model.explain(user, items, k=2)
        >>> items, own_items[..., 0]  # item 1 because of item 0, item 3 because of item 2
        (array([[1, 3]]), array([[0, 2]]))
        >>> bool(abs(contributions.sum(axis=2) - scores).max() < 1e-6)
        True
        """
        check_is_fitted(self)
        k = integer(1)("k", k)
        X = self._check_interactions(X, reset=False)
        return explanations(as_it_is(self), X, items, k)

    @available_if(lambda self: getattr(self, "_user_hashes", None) is not None)
    def was_fitted_on(self, X):
        """Whether each user of X, with the very same items, was among those that the model was fitted on.

        There is no such method where the model was fitted with ``store_user_hashes=False``.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)

        Returns
        -------
        bool array of shape (n_users,)
            Of users held out for validation inside fit too.

        Examples
        --------
        >>> from skvae import PopularityRecommender
        >>> PopularityRecommender().fit([[1, 1, 0], [0, 1, 1]]).was_fitted_on([[1, 0, 0], [0, 1, 1]])
        array([False,  True])
        """
        check_is_fitted(self)
        return np.isin(user_hashes(self._check_interactions(X, reset=False)), self._user_hashes)

    def __sklearn_is_fitted__(self):
        return hasattr(self, self._model)

    def __getstate__(self):
        state = dict(super().__getstate__())
        if not state.get("store_user_hashes", True):  # which may have been set after the fit
            state |= dict.fromkeys(state.keys() & {"_user_hashes", "_held_out_hashes"})
        return state

    def _checked_parameters(self):
        """All parameters by name, checked, as a SimpleNamespace."""
        return check_parameters(self, self._checks)

    def _checked_anew(self, X, y=None):
        """A stand-in for this estimator, without its model, that knows columns and users of X, and X checked."""
        stored = hasattr(self, "store_user_hashes") and flag("store_user_hashes", self.store_user_hashes)
        candidate, model = object.__new__(type(self)), {self._model, *self._beside_model, "_column_labels"}
        candidate.__dict__.update((name, value) for name, value in vars(self).items() if name not in model)
        X = candidate._check_interactions(X, reset=True, y=y)
        candidate._user_hashes = np.unique(user_hashes(X)) if stored else None
        return candidate, X

    @contextmanager
    def _begin_fit(self, candidate, keep_model=False):
        """Context of a fit whose checks have passed, with what the stand-in knows of columns and users.

        If the fit fails, the old model stays with keep_model, otherwise the estimator is unfitted.
        """
        for name in () if keep_model else (self._model, *self._beside_model):
            self.__dict__.pop(name, None)
        if keep_model:
            candidate._user_hashes = all_hashes(self, candidate._user_hashes)
        with all_or_nothing(self):
            for name in ("n_features_in_", "feature_names_in_", "_column_labels", "_user_hashes"):
                self.__dict__.pop(name, None)
                if name in vars(candidate):
                    setattr(self, name, vars(candidate)[name])
            yield

    def _check_interactions(self, X, *, reset, y=None, name="X"):
        """Validated float32 csr_array: sorted, without duplicates or explicit zeros, X untouched.

        Only once everything is checked a reset sets the number of items and their names.
        """
        if not reset and isinstance(X, _CheckedInteractions) and X.are_as_checked(self.n_features_in_):
            return X
        checked = _CheckedInteractions(as_float32(X, name))
        if not checked.shape[0] and name != "X":
            raise ValueError(f"{name} has no rows: pass at least one user.")
        if not all(checked.shape):  # raises; what it looks for besides takes a tenth of ranking one user
            check_array(checked, accept_sparse="csr", estimator=self)
        if reset:
            check_no_matrix_as_y(y, checked)
            check_trainable(checked, column_names(X))
        elif name != "X":
            check_columns_of_fit(self, checked, X, name)
        try:
            validate_data(self, X, reset=reset, skip_check_array=True)
        except Exception as error:
            check_names_differ(column_names(X), name)  # which scikit-learn says in words of narwhals
            remedy = "" if reset or not isinstance(error, ValueError) else _way_to_fit_columns(self, X, checked.shape)
            if not remedy:
                raise
            raise ValueError(f"{str(error).rstrip()}\n{remedy}") from error
        if not reset:
            check_same_labels(self, X, name)
        elif (labels := column_labels(X)) is not None:
            self._column_labels = labels
        return checked

    def _validation_pair(self, X_val):
        """Checked fold_in and held_out of a matrix of users, or of the pair itself; None where nobody hides an item."""
        pair, names = (X_val, ("X_val[0]", "X_val[1]")) if is_pair(X_val) else ((X_val,), ("X_val",))
        if len(pair) == 1 and isinstance(X_val, (tuple, list)) and any(map(is_matrix, X_val)):
            raise ValueError(
                f"X_val has {len(X_val)} parts: pass one matrix, or a pair (fold_in, held_out) of matrices."
            )
        parts = [self._check_interactions(part, reset=False, name=name) for part, name in zip(pair, names, strict=True)]
        if len(pair) == 2:  # names are lost in what was read
            check_same_cells(*reversed(pair), *reversed(names))
        fold_in, held_out = hide_items(*parts)
        if len(pair) == 1 and not held_out.nnz:
            fold_in, held_out = hide_for_validation(*parts)
        if not held_out.nnz:
            warn_of_no_validation(self, is_pair=len(pair) == 2)
            return None
        most = ""
        if self._user_hashes is not None:
            hashes = user_hashes(sum(parts[1:], start=parts[0]))
            most = most_fitted(hashes, np.isin(hashes, self._user_hashes))
        warn_of_validation(fold_in.nnz, held_out.nnz, most)
        return fold_in, held_out

    def __setstate__(self, state):
        # a model that was saved before a parameter existed has its default
        parameters = inspect.signature(type(self)).parameters.items()
        defaults = {name: p.default for name, p in parameters if p.default is not p.empty}
        super().__setstate__(defaults | state)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        # as with __eq__ and __hash__: a subclass with its own decision_function inherits neither of its parent
        if "decision_function" in vars(cls):
            for name in {"block_scorer", "_contributions"} - vars(cls).keys():
                setattr(cls, name, None)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        return tags


def _way_to_fit_columns(estimator, X, shape):
    """What helps where a matrix has other columns than a model, as far as its shape says."""
    n_more = shape[1] - estimator.n_features_in_
    remedies = []
    if n_more > 0 and hasattr(estimator, "add_items"):
        has_names = hasattr(estimator, "feature_names_in_") or hasattr(estimator, "_column_labels")
        names = f", names=X.columns[-{n_more}:]" if has_names and column_names(X) else ""
        remedies.append(
            f"Where the last columns are new items, add_items({n_more}{names}) gives a fitted model columns for them."
        )
    if n_more and shape[0] == estimator.n_features_in_:
        remedies.append("It has as many rows as the model has items: where its rows are items, pass X.T.")
    return " ".join(remedies)


@contextmanager
def all_or_nothing(estimator):
    """A context that fails without a change to the attributes of an estimator.

    Parameters
    ----------
    estimator : object
        None of its arrays may be written to, but only exchanged.
    """
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        estimator.__dict__ = before
        raise


MOST_READS = 1000  # attempts to read a blend while another thread runs its add_items, which takes microseconds


def as_it_is(estimator):
    """The model of now, for a call that reads it more than once while another thread may change it.

    Parameters
    ----------
    estimator : BaseRecommender

    Returns
    -------
    BaseRecommender
        Of the same arrays, and so are the members of a blend; it has the estimator as ``_read_from``.
    """
    read_from = vars(estimator).get("_read_from", estimator)
    for _ in range(MOST_READS):
        same = object.__new__(type(estimator))
        same.__dict__.update(estimator.__dict__, _read_from=read_from)
        if "estimators_" not in vars(same):
            return same
        same.estimators_ = [_member_as_it_is(member) for member in same.estimators_]
        own = [model for model in (same, *map(unfrozen, same.estimators_)) if isinstance(model, BaseRecommender)]
        if len({model.n_features_in_ for model in own if hasattr(model, "n_features_in_")}) == 1:
            break
    return same


def _member_as_it_is(member):
    if not isinstance(unfrozen(member), BaseRecommender):
        return member
    return as_it_is(member) if isinstance(member, BaseRecommender) else type(member)(_member_as_it_is(member.estimator))


class _CheckedInteractions(sp.csr_array):
    """Interactions that passed the checks: not checked again for each block of users."""

    def are_as_checked(self, n_items):
        """Whether no step of a Pipeline made something else of them: SciPy keeps the class in arithmetic."""
        values = self.data
        are_in_range = values.dtype == np.float32 and values.min(initial=1) > 0 and values.max(initial=1) < np.inf
        return are_in_range and self.shape[1] == n_items and self.has_canonical_format
