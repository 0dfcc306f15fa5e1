"""Who is held out of a fit to validate it: a share of the users, or all in folds; and who is trained on then."""

from functools import partial

import numpy as np
from sklearn.utils import check_random_state

from .core.user_warnings import warn_user
from .hiding import FEW_ITEMS, FEWEST_TO_HIDE, MIN_INTERACTIONS
from .matrix import as_csr, count_interactions
from .user_hashes import user_hashes

# By fewer the best epoch of an autoencoder is chance (benchmarks/few_users.py). As many as
# the paper holds out of ML-20M bring the standard error of NDCG@100 to about .002: more would take memory and, each
# epoch, time for no better choice.
MIN_VALIDATION_USERS, MAX_VALIDATION_USERS = 25, 10_000
# A linear model chooses by a share of the users; where that would be few, whose fits are quick, by folds of all. Its
# last fit is of all users, so that a large share loses none; a tenth chose worse (benchmarks/few_users.py).
VALIDATION_FRACTION = 0.2
ENOUGH_OF_A_SHARE, FEWEST_OF_A_SHARE, FEWEST_OF_ALL_FOLDS, MOST_USERS_OF_FOLDS, N_FOLDS = 400, 50, 100, 5000, 5
# Of a user who has all items of another and no more; a set that more users have is one that people have
FEWEST_ITEMS_OF_A_COPY, MOST_COPIES = 10, 5


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
        who can hide one; rounded down, at most 10 000 users. Users who have every item are never among them.
    required : bool, default=False
        True: one user at least, if any can hide an item. False: nobody, where the fraction gives fewer than 25.

    Returns
    -------
    trained, validated : int64 arrays
        Ascending. Nobody is validated where nobody would be left to train on.

    Examples
    --------
    >>> from skvae.datasets import make_interactions
    >>> from skvae.validation_users import hold_out_users
    >>> X = make_interactions(n_users=600, n_items=50, random_state=0)
    >>> [len(users) for users in hold_out_users(X, 0.1)]
    [540, 60]
    """
    X = as_csr(X)
    counts = count_interactions(X)
    users, n_validated = _who_can_hide(counts, X.shape[1], partial(n_held_out, fraction=fraction))
    if required and not n_validated:
        n_validated = n_held_out(np.count_nonzero(counts), len(users), fraction, required=True)
    return _held_out(X, counts, users, n_validated)


def _who_can_hide(counts, n_items, n_of):
    """Row numbers of those who can hide a fifth of their items, and what ``n_of`` gives of so many.

    Where that is 0, it is of all who can hide one. Of those who have every item any ranking would be right.
    """
    can_be_ranked, n_users = counts < n_items, np.count_nonzero(counts)
    users = np.flatnonzero(can_be_ranked & (counts >= MIN_INTERACTIONS))
    n = n_of(n_users, len(users))
    if not n:
        users = np.flatnonzero(can_be_ranked & (counts >= FEWEST_TO_HIDE))
        n = n_of(n_users, len(users))
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


def validation_folds(X):
    """The trained and the validated users, a fifth of them; where that would be too few, those of several folds.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)

    Returns
    -------
    list of (trained, validated), pairs of int64 arrays
        Of the folds every user who can hide an item is validated in one. Empty where there are too few for that too.
    """
    X = as_csr(X)
    counts = count_interactions(X)
    users, n_folds = _who_can_hide(counts, X.shape[1], n_validation_folds)
    if n_folds == 1:
        return [_held_out(X, counts, users, n_held_out(np.count_nonzero(counts), len(users), VALIDATION_FRACTION))]
    users = check_random_state(0).permutation(users)
    folds = (np.sort(users[first::n_folds]) for first in range(n_folds))
    return [(_others(X, counts, validated), validated) for validated in folds]


def n_validation_folds_of(X):
    """How many pairs `validation_folds` gives.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)

    Returns
    -------
    int
    """
    X = as_csr(X)
    return _who_can_hide(count_interactions(X), X.shape[1], n_validation_folds)[1]


def n_validation_folds(n_users, n_eligible):
    """How many pairs `validation_folds` gives, of the numbers of users.

    Parameters
    ----------
    n_users, n_eligible : int
        As in `n_held_out`.

    Returns
    -------
    int
    """
    n_of_share = n_held_out(n_users, n_eligible, VALIDATION_FRACTION)
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
    lacking = "has a held-out item" if is_pair else f"can hide an item (of {FEWEST_TO_HIDE} or more, but not of all)"
    warn_user(f"No validation user {lacking}: {type(estimator).__name__} is fitted without validation.")


def hold_out_of_fit(estimator, X, fraction, early_stopping, goes_on):
    """Row numbers of the users that a fit of an autoencoder trains on, and of those that it validates on.

    A model that goes on is validated on users that it was not trained on, as far as it knows them.

    Parameters
    ----------
    estimator : autoencoder
        Not changed by the fit yet.
    X : csr_array of shape (n_users, n_items)
    fraction : float
        As in `hold_out_users`.
    early_stopping : bool or "auto"
        Whether anybody is wanted; "auto": if there are enough.
    goes_on : bool
        Whether it goes on from the fitted model.

    Returns
    -------
    trained, validated : int64 arrays
        Ascending. Nobody is validated where that was not wanted, or cannot be, with a warning where it was.
    """
    everybody, nobody = np.arange(X.shape[0]), np.zeros(0, np.int64)
    if early_stopping is False:
        return everybody, nobody
    required = early_stopping is True
    trained, validated = hold_out_users(X, fraction, required=required)
    if goes_on and len(validated):
        is_known = _were_trained_on(estimator, user_hashes(X[validated]))
        if np.count_nonzero(~is_known) < (1 if required else MIN_VALIDATION_USERS):
            warn_user(
                f"{type(estimator).__name__} was trained on {np.count_nonzero(is_known)} of the {len(is_known)} users "
                "whom fit would hold out, and goes on by warm_start=True without validation: pass X_val, users that it "
                "was not trained on."
            )
            return everybody, nobody
        trained, validated = np.union1d(trained, validated[is_known]), validated[~is_known]
    elif required and not len(validated):
        warn_of_no_validation(estimator)
    return trained, validated


def refits(parameters):
    """Whether a fit that holds out users trains once more on all of them.

    Parameters
    ----------
    parameters : SimpleNamespace
        Checked.

    Returns
    -------
    bool
        False with warm_start: what goes on is validated on users who were not trained on.
    """
    return parameters.refit and not parameters.warm_start


def _were_trained_on(model, hashes):
    """Which users an autoencoder was trained on, by their hashes, which it, or an older file, may not have."""
    known, held_out = (getattr(model, name, None) for name in ("_user_hashes", "_held_out_hashes"))
    if known is None or held_out is None:
        return np.full(len(hashes), model.refitted_)
    return np.isin(hashes, known) & ~np.isin(hashes, held_out)
