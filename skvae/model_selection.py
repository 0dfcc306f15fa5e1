"""Which users are for testing (the splitters), and which of their items are hidden (fold_in_split)."""

import numbers
import warnings
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.model_selection import BaseCrossValidator, BaseShuffleSplit
from sklearn.model_selection._split import _validate_shuffle_split
from sklearn.utils import check_random_state, check_scalar

from .matrix import as_csr, count_interactions, entries, intact, row_sliceable, without_cells
from .matrix_checks import check_same_cells

__all__ = [
    "UserKFold",
    "UserShuffleSplit",
    "UserSplit",
    "count_interactions",
    "fold_in_split",
    "strong_generalization_split",
]

MIN_INTERACTIONS = 5
TIMES_OF_ENCODER = (
    " Of the users that InteractionEncoder.fit_transform keeps, timestamps(events, users=encoder.user_ids_)."
)
HELD_OUT_FRACTION = 0.2
# With fewer, the standard error of NDCG@100 is above .03, and what is chosen by it is mostly luck.
MIN_VALIDATION_USERS = 50


def fold_in_split(
    X, *, held_out_fraction=HELD_OUT_FRACTION, min_interactions=MIN_INTERACTIONS, random_state=0, timestamps=None
):
    """Hide some items of every user, at random or the last ones: X = fold_in + held_out.

    int(held_out_fraction * n) of a user's n items are held out, without replacement; users with
    fewer than min_interactions keep all as fold-in (Liang et al., "Variational Autoencoders for
    Collaborative Filtering", WWW 2018, section 4.3, and the authors' notebook).

    The draw depends on the seed and the set of the user's items alone: not on values, row order,
    container, index dtype, nor on who else is in X. With timestamps the same number of items is
    held out, each user's last ones: only among equal timestamps there is a draw.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)
        Non-zero entries are interactions; not modified.
    held_out_fraction : float, default=0.2
        Share of each user's items to hide, in (0, 1).
    min_interactions : int, default=5
        Users with fewer items hide nothing.
    random_state : int, default=0
        Seed of the draw.
    timestamps : sparse matrix or array of shape (n_users, n_items), default=None
        When each interaction took place, in any unit; `skvae.InteractionEncoder.timestamps` gives
        it. Entries beside those of X are ignored; a time of 0 is a time like any other, and in a
        sparse matrix it has to be stored. None: a random draw.

    Returns
    -------
    fold_in : like X
        X with the hidden entries zeroed (a DataFrame keeps its names) or, if sparse, removed.
    held_out : sparse of shape (n_users, n_items)
        The hidden entries with their values: of X's class if X is sparse, else a csr_array.

    Raises
    ------
    ValueError, TypeError
        Where a parameter is out of range, or timestamps has another shape than X, a value that is
        not finite, or none for an interaction.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.model_selection import fold_in_split
    >>> X = np.array([[1, 1, 0, 1, 1, 1], [0, 1, 1, 0, 0, 0]])
    >>> fold_in, held_out = fold_in_split(X)
    >>> fold_in.sum(axis=1), held_out.sum(axis=1)
    (array([4, 2]), array([1, 0]))
    >>> fold_in_split(X, timestamps=np.array([[2001, 2024, 0, 2002, 2003, 2004], [0] * 6]))[1].toarray()
    array([[0, 1, 0, 0, 0, 0],
           [0, 0, 0, 0, 0, 0]])
    """
    check_hiding(held_out_fraction, min_interactions, random_state)
    interactions = as_csr(X)
    times = None
    if timestamps is not None:
        timestamps = (intact if sp.issparse(timestamps) else row_sliceable)(timestamps, "timestamps")
        check_same_cells(timestamps, X, "timestamps", remedy=TIMES_OF_ENCODER)
        times = _times_of(interactions, timestamps)
    hidden = _hidden(interactions, held_out_fraction, min_interactions, random_state, times)
    if sp.issparse(X):
        return type(X)(entries(interactions, ~hidden)), type(X)(entries(interactions, hidden))
    held_out = entries(interactions, hidden)
    return without_cells(X, held_out), held_out


def check_hiding(held_out_fraction, min_interactions, random_state):
    """Raise where a parameter of `fold_in_split` has the wrong type or is out of range.

    Parameters
    ----------
    held_out_fraction, min_interactions, random_state :
        As in `fold_in_split`.

    Raises
    ------
    TypeError, ValueError
    """
    check_scalar(
        held_out_fraction, "held_out_fraction", numbers.Real, min_val=0, max_val=1, include_boundaries="neither"
    )
    if np.isnan(held_out_fraction):
        raise ValueError("held_out_fraction == nan, must be > 0 and < 1.")
    check_scalar(min_interactions, "min_interactions", numbers.Integral, min_val=1)
    check_scalar(random_state, "random_state", numbers.Integral, min_val=0, max_val=2**64 - 1)


def interactions_needed(held_out_fraction, min_interactions):
    """Interactions that a user needs for `fold_in_split` to hide one of them.

    Parameters
    ----------
    held_out_fraction, min_interactions :
        As in `fold_in_split`.

    Returns
    -------
    int
        At least min_interactions, and more where the fraction of so many is below 1.

    Examples
    --------
    >>> from skvae.model_selection import interactions_needed
    >>> interactions_needed(0.2, 3), interactions_needed(0.5, 3)
    (5, 3)
    """
    needed = int(min(1 / held_out_fraction, 2.0**53))
    while held_out_fraction * needed < 1 and needed < 2**53:
        needed += 1
    return max(needed, min_interactions)


def _times_of(X, timestamps):
    """The timestamp of each entry of X, of shape (nnz,)."""
    users = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
    if sp.issparse(timestamps):
        stored = sp.coo_array(timestamps)
        cells = stored.row.astype(np.int64) * X.shape[1] + stored.col
        order = np.argsort(cells)
        wanted = users * X.shape[1] + X.indices
        first, last = (np.searchsorted(cells, wanted, side, sorter=order) for side in ("left", "right"))
        if (last - first != 1).any():
            raise ValueError(
                f"timestamps does not store exactly one value for {np.count_nonzero(last - first != 1)} of the "
                f"{len(wanted)} interactions of X: store each once, a time of 0 too."
            )
        times = stored.data[order[first]]
    else:
        times = np.asarray(timestamps)[users, X.indices]
    if times.dtype.kind not in "biufmM":
        raise ValueError(f"timestamps must hold numbers or datetimes, got the dtype {times.dtype}.")
    if not np.isfinite(times).all():
        raise ValueError("timestamps must be finite for each interaction of X.")
    return times


def _hidden(X, held_out_fraction, min_interactions, seed, times):
    """Which entries to hide, bool (nnz,): of each user the latest, among those the smallest hashes."""
    counts = np.diff(X.indptr)
    users = np.repeat(np.arange(X.shape[0]), counts)
    n_hidden = np.where(counts >= min_interactions, (held_out_fraction * counts).astype(np.int64), 0)
    item_hashes = _mix(X.indices.astype(np.uint64) + _mix(np.array([seed], np.uint64)))
    user_hashes = np.zeros(X.shape[0], np.uint64)
    np.add.at(user_hashes, users, item_hashes)  # a sum: the same for every order of the items
    latest_first = np.zeros(X.nnz, np.int8) if times is None else -np.unique(times, return_inverse=True)[1]
    order = np.lexsort((_mix(item_hashes ^ _mix(user_hashes)[users]), latest_first, users))
    ranks = np.arange(X.nnz) - X.indptr[users]
    hidden = np.empty(X.nnz, bool)
    hidden[order] = ranks < n_hidden[users]
    return hidden


def _mix(keys):
    """The finaliser of SplitMix64 (Steele et al., OOPSLA 2014): uint64 to well-mixed uint64."""
    keys = keys + np.uint64(0x9E3779B97F4A7C15)
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


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

    Always the same users of an X: a warm start must not train on those it validates on.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)
    fraction : float
        Of the users that can hide an item, rounded down.
    required : bool, default=False
        True: one user at least, if any can hide an item. False: nobody, where the fraction gives fewer than 50.

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
    counts = count_interactions(X)
    users = np.flatnonzero(counts >= MIN_INTERACTIONS)
    n_validated = int(fraction * len(users))
    if required:
        n_validated = max(n_validated, min(1, len(users)))
    elif n_validated < MIN_VALIDATION_USERS:
        n_validated = 0
    if n_validated == len(counts):
        n_validated = 0
    validated = np.sort(check_random_state(0).permutation(users)[:n_validated])
    return np.setdiff1d(np.arange(len(counts)), validated), validated


def _warn_groups(groups, splitter):
    if groups is not None:
        warnings.warn(f"The groups parameter is ignored by {type(splitter).__name__}.", UserWarning, stacklevel=3)


class UserKFold(BaseCrossValidator):
    """K folds over the users who have enough interactions to hide some.

    Users below min_interactions are in every training fold and in no test fold.

    Parameters
    ----------
    n_splits : int, default=5
        Folds, at least 2.
    min_interactions : int, default=5
        Interactions a user needs to be in a test fold.
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
        Interactions a user needs to be in a test set.
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
    train, validation, test : sparse of shape (n_users of each, len(items))
        The users' interactions.
    items : int64 array
        The columns of X that were kept.
    """

    train: sp.csr_array
    validation: sp.csr_array
    test: sp.csr_array
    items: np.ndarray


def strong_generalization_split(
    X, *, validation_size=0.1, test_size=0.1, min_interactions=MIN_INTERACTIONS, random_state=0
):
    """Split the users into train, validation and test, and drop the items no training user has.

    The protocol of Liang et al. (WWW 2018, section 4.1): models are trained on the training
    users alone and tested on users that they never saw.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)
    validation_size, test_size : float or int, default=0.1
        Share or number of the users with min_interactions.
    min_interactions : int, default=5
        Users with fewer are training users.
    random_state : int, default=0

    Returns
    -------
    UserSplit
        ``train, validation, test, items``: three CSR matrices, and the kept columns of X.

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
    X = as_csr(X)
    eligible = eligible_users(X, min_interactions)
    n_test = _n_users("test_size", test_size, len(eligible))
    n_validation = _n_users("validation_size", validation_size, len(eligible) - n_test, of=len(eligible))
    order = check_random_state(random_state).permutation(eligible)
    test, validation = np.sort(order[:n_test]), np.sort(order[n_test : n_test + n_validation])
    train = np.setdiff1d(np.arange(X.shape[0]), order[: n_test + n_validation])
    items = np.flatnonzero(np.bincount(X[train].indices, minlength=X.shape[1]))
    return UserSplit(X[train][:, items], X[validation][:, items], X[test][:, items], items)


def _n_users(name, size, n_available, of=None):
    """A share of ``of`` users, or a number of users, as a number below n_available."""
    check_scalar(size, name, numbers.Real)
    users = float(size) * (1 if isinstance(size, numbers.Integral) else of or n_available)
    n = round(users) if np.isfinite(users) else 0
    if not 0 < n < n_available:
        raise ValueError(
            f"{name}={size} should be a share or number of users that is at least one user and leaves some for "
            f"training, of the {n_available} users that have enough interactions and no other use."
        )
    return n
