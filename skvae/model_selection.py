"""Which users a model is trained, validated and tested on: the splitters, and who is held out inside fit."""

import numbers
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.model_selection import BaseCrossValidator, BaseShuffleSplit
from sklearn.model_selection._split import _validate_shuffle_split
from sklearn.utils import check_random_state, check_scalar

from .core.user_warnings import warn_user
from .hiding import FEWEST_TO_HIDE, MIN_INTERACTIONS, fold_in_split, user_hashes
from .matrix import as_csr, count_interactions, count_users

__all__ = [
    "UserKFold",
    "UserShuffleSplit",
    "UserSplit",
    "count_interactions",
    "fold_in_split",
    "strong_generalization_split",
]

# By fewer the best epoch of an autoencoder is chance (benchmarks/few_users.py). As many as
# the paper holds out of ML-20M bring the standard error of NDCG@100 to about .002: more would take memory and, each
# epoch, time for no better choice.
MIN_VALIDATION_USERS, MAX_VALIDATION_USERS = 25, 10_000
# A linear model, whose fits of few users are quick, chooses by folds of all where a share of them would be fewer
ENOUGH_OF_A_SHARE, FEWEST_OF_A_SHARE, FEWEST_OF_ALL_FOLDS, MOST_USERS_OF_FOLDS, N_FOLDS = 200, 50, 100, 5000, 5
FEW_ITEMS = 20  # with fewer items, users often have the same items by chance
# Of a user who has all items of another and no more; a set that more users have is one that people have
FEWEST_ITEMS_OF_A_COPY, MOST_COPIES = 10, 5


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
    counts = count_interactions(X)
    users = np.flatnonzero(counts >= min_interactions)
    if not len(users):
        raise ValueError(
            f"No user of X has min_interactions={min_interactions} interactions or more: the most that a user has is "
            f"{counts.max(initial=0)}."
        )
    return users


def hold_out_users(X, fraction, *, required=False):
    """Row numbers of the users that a fit trains on, and of those that it validates on.

    Always the same users of an X: a warm start must not train on those it validates on. Nor does a fit train on others
    with the same ten items or more, as where two exports were joined: they would choose what remembers best. A set that
    more than five users have is no copy.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)
    fraction : float
        Of the users with five items or more, who can hide a fifth of them, or where these are too few of all with two,
        who can hide one; rounded down, at most 10 000 users.
    required : bool, default=False
        True: one user at least, if any can hide an item. False: nobody, where the fraction gives fewer than 25.

    Returns
    -------
    trained, validated : int64 arrays
        Ascending. Nobody is validated where nobody would be left to train on.

    Examples
    --------
    >>> from skvae.datasets import make_interactions
    >>> from skvae.model_selection import hold_out_users
    >>> X = make_interactions(n_users=600, n_items=50, random_state=0)
    >>> [len(users) for users in hold_out_users(X, 0.1)]
    [540, 60]
    """
    X = as_csr(X)
    counts = count_interactions(X)
    users, n_validated = _who_can_hide(counts, n_held_out, fraction)
    if required and not n_validated:
        n_validated = n_held_out(np.count_nonzero(counts), len(users), fraction, required=True)
    return _held_out(X, counts, users, n_validated)


def _who_can_hide(counts, n_of, fraction):
    """Row numbers of those who can hide a fifth of their items, and what ``n_of`` gives of so many.

    Where that is 0, it is of all who can hide one.
    """
    users, n_users = np.flatnonzero(counts >= MIN_INTERACTIONS), np.count_nonzero(counts)
    n = n_of(n_users, len(users), fraction)
    if not n:
        users = np.flatnonzero(counts >= FEWEST_TO_HIDE)
        n = n_of(n_users, len(users), fraction)
    return users, n


def _held_out(X, counts, users, n_validated):
    validated = np.sort(check_random_state(0).permutation(users)[:n_validated])
    return _others(X, counts, validated), validated


def _others(X, counts, validated):
    """Row numbers of the other users, without copies of the validated ones, if any are left then."""
    others = np.ones(len(counts), bool)
    others[validated] = False
    if len(validated) and X.shape[1] >= FEW_ITEMS:
        hashes = user_hashes(X)
        _, sets, n_same = np.unique(hashes, return_inverse=True, return_counts=True)
        is_copied = (counts >= FEWEST_ITEMS_OF_A_COPY) & (n_same[sets] <= MOST_COPIES)
        without = others & ~np.isin(hashes, hashes[validated[is_copied[validated]]])
        others = without if counts[without].any() else others
    return np.flatnonzero(others)


def n_held_out(n_users, n_eligible, fraction, *, required=False):
    """How many users `hold_out_users` validates on.

    Parameters
    ----------
    n_users, n_eligible : int
        Users of X who have an item, and those of them that can hide one.
    fraction, required :
        As there.

    Returns
    -------
    int
    """
    n_validated = min(int(fraction * n_eligible), MAX_VALIDATION_USERS)
    if required:
        n_validated = max(n_validated, min(1, n_eligible))
    elif n_validated < MIN_VALIDATION_USERS:
        return 0
    return n_validated if n_validated < n_users else 0


def validation_folds(X, fraction):
    """The trained and the validated users of `hold_out_users`; where they would be too few, of several folds.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)
    fraction : float

    Returns
    -------
    list of (trained, validated), pairs of int64 arrays
        Of the folds every user who can hide an item is validated in one. Empty where there are too few for that too.
    """
    X = as_csr(X)
    counts = count_interactions(X)
    users, n_folds = _who_can_hide(counts, n_validation_folds, fraction)
    if n_folds == 1:
        return [_held_out(X, counts, users, n_held_out(np.count_nonzero(counts), len(users), fraction))]
    users = check_random_state(0).permutation(users)
    folds = (np.sort(users[first::n_folds]) for first in range(n_folds))
    return [(_others(X, counts, validated), validated) for validated in folds]


def n_validation_folds_of(X, fraction):
    """How many pairs `validation_folds` gives.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)
    fraction : float

    Returns
    -------
    int
    """
    return _who_can_hide(count_interactions(X), n_validation_folds, fraction)[1]


def n_validation_folds(n_users, n_eligible, fraction):
    """How many pairs `validation_folds` gives, of the numbers of users.

    Parameters
    ----------
    n_users, n_eligible, fraction :
        As in `n_held_out`.

    Returns
    -------
    int
    """
    n_of_share = n_held_out(n_users, n_eligible, fraction)
    if n_of_share < ENOUGH_OF_A_SHARE and n_eligible >= FEWEST_OF_ALL_FOLDS and n_users <= MOST_USERS_OF_FOLDS:
        return N_FOLDS
    return int(n_of_share >= FEWEST_OF_A_SHARE)


def warn_of_no_validation(estimator, is_pair=False):
    """Warn that a fit goes without validation.

    Parameters
    ----------
    estimator : estimator
    is_pair : bool, default=False
        Whether its validation users were given as (fold_in, held_out).
    """
    lacking = "has a held-out item" if is_pair else f"can hide an item (that takes {FEWEST_TO_HIDE} interactions)"
    warn_user(f"No validation user {lacking}: {type(estimator).__name__} is fitted without validation.")


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
        self.n_splits = check_scalar(n_splits, "n_splits", numbers.Integral, min_val=2)
        self.min_interactions = check_scalar(min_interactions, "min_interactions", numbers.Integral, min_val=1)
        check_scalar(shuffle, "shuffle", (bool, np.bool_))
        self.shuffle = shuffle
        self.random_state = check_scalar(random_state, "random_state", numbers.Integral, min_val=0, max_val=2**32 - 1)

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
        users = eligible_users(X, self.min_interactions)
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
        check_scalar(n_splits, "n_splits", numbers.Integral, min_val=1)
        super().__init__(n_splits, test_size=test_size, train_size=train_size, random_state=random_state)
        self.min_interactions = check_scalar(min_interactions, "min_interactions", numbers.Integral, min_val=1)
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
        users = eligible_users(X, self.min_interactions)
        try:
            sizes = self.test_size, self.train_size
            if any(isinstance(size, float) and np.isnan(size) for size in sizes):
                raise ValueError(f"test_size and train_size must be numbers or None, got {sizes}.")
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
        """Its shapes: a matrix, and above all the items, would fill a screen."""
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

    With ``at`` they are tested on a time that they never saw, too: training users have what took place before that
    moment, validation and test users have it as their fold-in, and what came then or later is held out.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)
    validation_size, test_size : float or int, default=0.1
        Share or number of the users with min_interactions.
    min_interactions : int, default=5
        Users with fewer are training users, and with ``at`` those who have none before or none after.
    random_state : int, default=0
    timestamps : sparse matrix or array of shape (n_users, n_items), default=None
    at : number, datetime, numpy.datetime64 or str, default=None
        Both as in `fold_in_split`.

    Returns
    -------
    UserSplit
        ``train, validation, test, items``: three CSR matrices, and the kept columns of X, as which
        ``encoder.keep_items(items)`` keeps those of an `skvae.InteractionEncoder`. With ``at`` validation and
        test are pairs (fold_in, held_out), as ``fit(train, X_val=validation)`` and
        ``evaluate(model, test[0], y=test[1])`` take them. It does not say which rows of X went where: where their ids
        are needed, `UserShuffleSplit` gives row numbers.

    Examples
    --------
    >>> from skvae.datasets import make_interactions
    >>> from skvae.model_selection import strong_generalization_split
    >>> X = make_interactions(n_users=100, n_items=50, random_state=0)
    >>> train, validation, test, items = strong_generalization_split(X)
    >>> train.shape[0], validation.shape[0], test.shape[0]
    (80, 10, 10)
    """
    check_scalar(min_interactions, "min_interactions", numbers.Integral, min_val=1)
    if at is None and timestamps is not None:
        raise ValueError("timestamps are used with at=, the moment to split at; fold_in_split hides each user's last.")
    whole = as_csr(X)
    before, after = (whole, None) if at is None else map(as_csr, fold_in_split(X, timestamps=timestamps, at=at))
    eligible = eligible_users(whole, min_interactions)
    if after is not None:
        eligible = eligible[(count_interactions(before)[eligible] > 0) & (count_interactions(after)[eligible] > 0)]
    able = "have enough interactions"
    if at is not None:
        able += f", and some before and after at={at!r},"
    n_test = _n_users("test_size", test_size, len(eligible), able)
    n_validation = _n_users("validation_size", validation_size, len(eligible) - n_test, able, of=len(eligible))
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
