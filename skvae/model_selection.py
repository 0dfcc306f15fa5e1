"""Which users a model is trained, validated and tested on: the splitters, as scikit-learn calls them."""

import numbers
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.model_selection import BaseCrossValidator, BaseShuffleSplit
from sklearn.model_selection._split import _validate_shuffle_split
from sklearn.utils import check_random_state, check_scalar

from .core.user_warnings import warn_user
from .hiding import FEWEST_TO_HIDE, MIN_INTERACTIONS, fold_in_split, of_small_baskets
from .matrix import as_csr, count_interactions, count_users
from .parameters import flag, integer, number

__all__ = [
    "UserKFold",
    "UserShuffleSplit",
    "UserSplit",
    "count_interactions",
    "fold_in_split",
    "strong_generalization_split",
]

FEW_TO_TEST = 200  # by whom a mean says little, where most users are left out besides
FEW_AT_A_MOMENT = 10  # users around a moment, where a share of them is taken


def eligible_users(X, min_interactions=MIN_INTERACTIONS):
    """Row numbers of the users with enough interactions to hide some; int64 array.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)
    min_interactions : int, default=5

    Returns
    -------
    int64 array of shape (n_eligible,)

    Raises
    ------
    ValueError
        Where no user has that many.

    Examples
    --------
    >>> from skvae.model_selection import eligible_users
    >>> eligible_users([[1, 1, 1], [0, 1, 0]], min_interactions=2)
    array([0])
    """
    return _eligible(count_interactions(X), min_interactions)


def _eligible(counts, min_interactions):
    users, most = np.flatnonzero(counts >= min_interactions), counts.max(initial=0)
    if not len(users):
        raise ValueError(
            f"No user of X has min_interactions={min_interactions} interactions or more: the most that a user has is "
            f"{most}.{of_small_baskets(min_interactions, most)}"
        )
    return users


def _users_to_test(X, min_interactions):
    """The `eligible_users`; warns where they are few and most are left out."""
    counts = count_interactions(X)
    users, n_able = _eligible(counts, min_interactions), np.count_nonzero(counts >= FEWEST_TO_HIDE)
    remedy = of_small_baskets(min_interactions, counts.max())
    if remedy and len(users) < min(FEW_TO_TEST, n_able / 2):
        warn_user(
            f"Only {len(users)} of {n_able} users of X with two interactions or more have min_interactions="
            f"{min_interactions}, and no other can be tested.{remedy}"
        )
    return users


def _warn_groups(groups, splitter):
    if groups is not None:
        warn_user(f"The groups parameter is ignored by {type(splitter).__name__}.")


class UserKFold(BaseCrossValidator):
    """K folds over the users who have enough interactions to hide some.

    Users below min_interactions are in every training fold and in no test fold.

    Parameters
    ----------
    n_splits : int, default=5
        Folds, at least 2.
    min_interactions : int, default=5
        Interactions that a user needs to be in a test fold.
    shuffle : bool, default=True
        Shuffle the users before splitting: the order of users in files is rarely random.
    random_state : int, default=0
        Seed of the shuffle, the same split for every candidate of a search.

    Examples
    --------
    >>> from skvae import UserKFold
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(n_users=100, n_items=50, random_state=0)
    >>> for train, test in UserKFold(n_splits=2).split(X):
    ...     print(len(train), len(test))
    50 50
    50 50
    """

    def __init__(self, n_splits=5, *, min_interactions=MIN_INTERACTIONS, shuffle=True, random_state=0):
        self.n_splits = integer(2)("n_splits", n_splits)
        self.min_interactions = integer(1)("min_interactions", min_interactions)
        self.shuffle = flag("shuffle", shuffle)
        self.random_state = number(numbers.Integral, 0, 2**32 - 1)("random_state", random_state)

    def split(self, X, y=None, groups=None):
        """Yield (train, test) row numbers.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
        y, groups : ignored

        Yields
        ------
        train, test : int64 arrays

        Raises
        ------
        ValueError
            Where fewer users than folds have min_interactions.
        """
        _warn_groups(groups, self)
        yield from super().split(as_csr(X), y)

    def _iter_test_indices(self, X, y=None, groups=None):
        users = _users_to_test(X, self.min_interactions)
        if len(users) < self.n_splits:
            raise ValueError(
                f"n_splits={self.n_splits} is more than the {len(users)} users of X with at least "
                f"{self.min_interactions} interactions: lower n_splits or min_interactions."
            )
        if self.shuffle:
            users = check_random_state(self.random_state).permutation(users)
        for fold in np.array_split(users, self.n_splits):
            yield np.sort(fold)

    def get_n_splits(self, X=None, y=None, groups=None):
        """Number of folds, int.

        Parameters
        ----------
        X, y, groups : ignored

        Returns
        -------
        int
        """
        return self.n_splits


class UserShuffleSplit(BaseShuffleSplit):
    """Random test users among those who have enough interactions to hide some.

    Users below min_interactions are in every training set and in no test set.

    Parameters
    ----------
    n_splits : int, default=10
        Draws.
    test_size, train_size : float or int, default=None
        Share or number of the users with min_interactions, as in
        `sklearn.model_selection.ShuffleSplit`; test_size is 0.1 if neither is given.
    min_interactions : int, default=5
        Interactions that a user needs to be in a test set.
    random_state : int, default=0
        Seed of the draws.

    Examples
    --------
    >>> from skvae import UserShuffleSplit
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(n_users=100, n_items=50, random_state=0)
    >>> train, test = next(UserShuffleSplit(test_size=20).split(X))
    >>> len(train), len(test)
    (80, 20)
    """

    def __init__(
        self, n_splits=10, *, test_size=None, train_size=None, min_interactions=MIN_INTERACTIONS, random_state=0
    ):
        super().__init__(
            integer(1)("n_splits", n_splits), test_size=test_size, train_size=train_size, random_state=random_state
        )
        self.min_interactions = integer(1)("min_interactions", min_interactions)
        self._default_test_size = 0.1

    def split(self, X, y=None, groups=None):
        """Yield (train, test) row numbers.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
        y, groups : ignored

        Yields
        ------
        train, test : int64 arrays

        Raises
        ------
        ValueError
            Where no user has min_interactions.
        """
        _warn_groups(groups, self)
        yield from super().split(as_csr(X), y)

    def _iter_indices(self, X, y=None, groups=None):
        users = _users_to_test(X, self.min_interactions)
        sizes = self.test_size, self.train_size
        if any(isinstance(size, float) and np.isnan(size) for size in sizes):
            raise ValueError(f"test_size and train_size must be numbers or None, got {sizes}.")
        try:
            n_train, n_test = _validate_shuffle_split(len(users), *sizes, default_test_size=self._default_test_size)
        except ValueError as error:
            least = self.min_interactions
            raise ValueError(f"{error} The samples are the users of X with at least {least} interactions.") from error
        others = np.flatnonzero(count_interactions(X) < self.min_interactions)
        random_state = check_random_state(self.random_state)
        for _ in range(self.n_splits):
            order = random_state.permutation(users)
            train = np.concatenate([order[n_test : n_test + n_train], others])
            yield np.sort(train), np.sort(order[:n_test])


class UserSplit(NamedTuple):
    """Train, validation and test users on the items of the training users.

    Parameters
    ----------
    train, validation, test : csr_array of shape (n_users of each, len(items))
        The users' interactions. Of a split at a moment validation and test are pairs (fold_in, held_out) of such.
    items : int64 array
        The columns of X that were kept.
    """

    train: sp.csr_array
    validation: sp.csr_array | tuple[sp.csr_array, sp.csr_array]
    test: sp.csr_array | tuple[sp.csr_array, sp.csr_array]
    items: np.ndarray

    def __repr__(self):
        """The shapes alone: a matrix, and above all the items, would fill a screen."""
        pairs = {name: part if isinstance(part, tuple) else (part,) for name, part in self._asdict().items()}
        shapes = (f"{name}: {' and '.join(str(m.shape) for m in pair)}" for name, pair in pairs.items())
        return f"UserSplit of shapes {', '.join(shapes)}"


def strong_generalization_split(
    X,
    *,
    validation_size=0.1,
    test_size=0.1,
    min_interactions=MIN_INTERACTIONS,
    random_state=0,
    timestamps=None,
    at=None,
):
    """Split the users into train, validation and test, and drop the items no training user has.

    The protocol of Liang et al. (WWW 2018, section 4.1): models are trained on the training
    users alone and tested on users that they never saw.

    With ``at`` the models are also tested on a later time. Training users have only interactions before that moment.
    For validation and test users these are the fold-in, and interactions at that moment or later are held out.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)
    validation_size, test_size : float or int, default=0.1
        Share or number of the users with min_interactions.
    min_interactions : int, default=5
        Users with fewer are training users; with ``at``, so are users without an interaction before it or after it.
    random_state : int, RandomState instance or None, default=0
        With None each call draws other users.
    timestamps : sparse matrix or array of shape (n_users, n_items), default=None
    at : number, datetime, numpy.datetime64 or str, default=None
        Both as in `fold_in_split`.

    Returns
    -------
    UserSplit
        ``train, validation, test, items``: three CSR matrices, and the numbers of the kept columns of X, for
        ``encoder.keep_items(items)`` of an `skvae.InteractionEncoder`. With ``at``, validation and test are pairs
        (fold_in, held_out), which ``fit(train, X_val=validation)`` and ``evaluate(model, test)`` take. It does not
        tell the rows of X: if you need the ids of the users, use `UserShuffleSplit`, which gives row numbers.

    Examples
    --------
    >>> from skvae.datasets import make_interactions
    >>> from skvae.model_selection import strong_generalization_split
    >>> X = make_interactions(n_users=100, n_items=50, random_state=0)
    >>> train, validation, test, items = strong_generalization_split(X)
    >>> train.shape[0], validation.shape[0], test.shape[0]
    (80, 10, 10)
    """
    integer(1)("min_interactions", min_interactions)
    if at is None and timestamps is not None:
        raise ValueError("timestamps are used with at=, the moment to split at; fold_in_split hides each user's last.")
    whole = as_csr(X)
    before, after = (whole, None) if at is None else map(as_csr, fold_in_split(X, timestamps=timestamps, at=at))
    eligible = _users_to_test(whole, min_interactions)
    if after is not None:
        eligible = eligible[(count_interactions(before)[eligible] > 0) & (count_interactions(after)[eligible] > 0)]
        if not len(eligible):
            raise ValueError(
                f"No user with min_interactions={min_interactions} has interactions both before and after at={at!r}. "
                "Where rows are sessions, cut the table of events: fit on those before, and evaluate on those after."
            )
    able = "have enough interactions"
    if at is not None:
        able += f", and some before and after at={at!r},"
    n_test = _n_users("test_size", test_size, len(eligible), able)
    n_validation = _n_users("validation_size", validation_size, len(eligible) - n_test, able, of=len(eligible))
    drawn = (n_test, test_size), (n_validation, validation_size)
    few = [n for n, size in drawn if n < FEW_AT_A_MOMENT and not isinstance(size, numbers.Integral)]
    if after is not None and few:
        warn_user(
            f"{n_test} users are tested and {n_validation} validated: only {len(eligible)} have interactions before "
            f"and after at={at!r}. Take a moment around which more users have some, or a larger test_size."
        )
    order = check_random_state(random_state).permutation(eligible)
    test, validation = np.sort(order[:n_test]), np.sort(order[n_test : n_test + n_validation])
    others = order[: n_test + n_validation]
    train = np.setdiff1d(np.arange(whole.shape[0]), others)
    items = np.flatnonzero(count_users(before) > count_users(before[others]))
    shown = [before[users][:, items] for users in (train, validation, test)]
    if after is None:
        return UserSplit(shown[0], shown[1], shown[2], items)
    return UserSplit(shown[0], (shown[1], after[validation][:, items]), (shown[2], after[test][:, items]), items)


def _n_users(name, size, n_available, able, of=None):
    """A share of ``of`` users, or a number of users, as a number below n_available."""
    check_scalar(size, name, numbers.Real)
    users = float(size) * (1 if isinstance(size, numbers.Integral) else of or n_available)
    n = round(users) if np.isfinite(users) else 0
    if not 0 < n < n_available:
        raise ValueError(
            f"{name}={size} should be a share or number of users that is at least one user and leaves some for "
            f"training, of the {n_available} users that {able} and no other use. UserShuffleSplit has "
            "two parts instead of three."
        )
    return n
