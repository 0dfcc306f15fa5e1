"""How "auto" is resolved in a linear model: a search over the numbers of its closed form, by validation users."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from .core.gram import MOST_ITEMS_KEPT, Gram, users_weighted
from .hiding import MIN_INTERACTIONS, hide_for_validation
from .matrix import count_users
from .scoring import mean_validation_score
from .validation_users import (
    VALIDATION_FRACTION,
    n_held_out,
    n_validation_folds,
    n_validation_folds_of,
    validation_folds,
)

CENTERED = 0.99
# Item exponents and centerings that are tried by one inverse
TRIED_PER_INVERSE = ((0.0, 0.0), (0.1, 0.0), (0.2, 0.0), (0.3, 0.0), (0.1, CENTERED))


class Setting(NamedTuple):
    """The numbers of a member of the family; in what a constructor got, "auto" may stand for each.

    Parameters
    ----------
    l2_regularization, dropout, user_exponent, item_exponent, centering, diagonal : float
        lambda, p, beta, alpha, theta, and xi, which is never "auto".
    """

    l2_regularization: float
    dropout: float
    user_exponent: float
    item_exponent: float
    centering: float
    diagonal: float


# What "auto" begins with, and what it is where nobody is validated, but for the centering, which is that of
# `_unvalidated`; lambda is in units of `_absolute`
UNVALIDATED = Setting(50.0, dropout=0.33, user_exponent=0.3, item_exponent=0.1, centering=0.0, diagonal=0.0)
L2_REGULARIZATIONS = (5.0, 15.0, 50.0, 150.0, 500.0)  # tried at first, each with one inverse
# Where the best lambda is as small, dropout regularizes more than it does, and none is tried: items may follow from
# each other. Then a smaller lambda, and a larger one where the largest so far is best: users may have little in common.
SMALL_L2 = 15.0
FURTHER_L2 = {5.0: 1.5, 500.0: 1500.0, 1500.0: 5000.0}
MOST_FURTHER = 2  # of these, one after the other
DROPOUTS_AND_EXPONENTS = ((0.6, 0.3), (0.33, 0.0))  # dropout and user exponent tried at the best of these


def chosen(X, given, solve, processes):
    """The numbers for "auto", and the NDCG@100 of validation users by which they were chosen.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)
    given : Setting
        "auto" for what is to be chosen.
    solve : callable
        (gram, squares, setting, dense=True) -> B as `item_regression` returns it.
    processes : Alone or ProcessGroup
        That have the same X.

    Returns
    -------
    setting : Setting
        With lambda for G.
    score : float or None
        None where nobody was held out.
    """
    if "auto" not in given:
        return given, None
    folds = [
        (trained, tuple(map(processes.rows_of, hide_for_validation(X[validated]))))
        for trained, validated in validation_folds(X)
    ]
    users = X[folds[0][0]] if len(folds) == 1 else None
    if not folds:
        return _absolute(_filled(given, _unvalidated(X)), given, X), None
    scores: dict[Setting, float] = {}
    grams: dict[float, Gram] = {}

    def gram_of(users, exponent):
        if len(folds) > 1:
            return Gram(users, exponent, processes=processes)
        if exponent not in grams:  # the last one alone is held: settings that follow each other have the same
            grams.clear()
            grams[exponent] = Gram(users, exponent, processes=processes, is_asked_again=_repeats_grams(given))
        return grams[exponent]

    def best_of(settings):
        for setting in dict.fromkeys(_filled(given, setting) for setting in settings):
            if setting not in scores:
                of_folds = [
                    _validation_scores(
                        X[trained] if users is None else users, pair, setting, given, gram_of, solve, processes
                    )
                    for trained, pair in folds
                ]
                scores.update({key: float(np.mean([of_fold[key] for of_fold in of_folds])) for key in of_folds[0]})
        return max(scores, key=scores.__getitem__)

    best = best_of(UNVALIDATED._replace(l2_regularization=l2) for l2 in L2_REGULARIZATIONS)
    for _ in range(_most_further(given)):
        best = best_of([_further(best)])
    best = best_of(best._replace(dropout=p, user_exponent=beta) for p, beta in _pairs(given)[1:])
    return _absolute(best, given, X), scores[best]


def _most_further(given):
    return MOST_FURTHER if given.l2_regularization == "auto" else 0


def _further(best):
    """The setting that is tried beside the best of those with L2_REGULARIZATIONS; itself where there is none."""
    l2_regularization = best.l2_regularization
    if best.dropout and l2_regularization <= SMALL_L2:
        return best._replace(dropout=0.0)
    return best._replace(l2_regularization=FURTHER_L2.get(l2_regularization, l2_regularization))


def given_by(parameters):
    """What a linear model got for its numbers; 0 for those that EASE^R has not.

    Parameters
    ----------
    parameters : SimpleNamespace
        Its parameters, checked.

    Returns
    -------
    Setting
    """
    l2_regularization = parameters.l2_regularization
    if not hasattr(parameters, "dropout"):
        return Setting(l2_regularization, 0.0, 0.0, 0.0, 0.0, 0.0)
    published = l2_regularization, parameters.dropout, parameters.user_exponent, parameters.item_exponent
    is_any_given = set(published) != {"auto"} or parameters.diagonal > 0
    centering = 0.0 if parameters.centering == "auto" and is_any_given else parameters.centering
    return Setting(*published, centering, parameters.diagonal)


def most_inverses(given, X):
    """Inverses that a fit takes at the most: those of `n_inverses`, and those of a larger or smaller regularization.

    Parameters
    ----------
    given : Setting
    X : csr_array of shape (n_users, n_items)

    Returns
    -------
    int
    """
    n_folds = n_validation_folds_of(X)
    return _n_inverses(given, n_folds) + n_folds * _most_further(given)


def n_inverses(given, n_users):
    """Inverses that a fit takes: one of each setting that is always tried, and one for all users.

    Parameters
    ----------
    given : Setting
    n_users : int
        Of X, who can all hide an item.

    Returns
    -------
    int
    """
    return _n_inverses(given, n_validation_folds(n_users, n_users))


def n_grams(given, n_users, n_items):
    """Gram matrices that a fit adds up: one of each user exponent where they are kept, else one of each inverse.

    Parameters
    ----------
    given : Setting
    n_users, n_items : int
        As in `n_inverses`.

    Returns
    -------
    int
    """
    n_of_all = n_inverses(given, n_users)
    is_kept = n_items <= MOST_ITEMS_KEPT and n_validation_folds(n_users, n_users) == 1 and _repeats_grams(given)
    return _n_exponents(given) + 1 if is_kept else n_of_all


def _repeats_grams(given):
    """Whether several of the settings that are tried have one user exponent."""
    return _n_inverses(given, 1) - 1 > _n_exponents(given)


def _n_exponents(given):
    tried = {UNVALIDATED.user_exponent, *(exponent for _, exponent in DROPOUTS_AND_EXPONENTS)}
    return len(tried) if given.user_exponent == "auto" else 1


def n_ranked(given, n_users):
    """Users whom a fit ranks items for, in all settings that are tried.

    Parameters
    ----------
    given : Setting
    n_users : int
        As in `n_inverses`.

    Returns
    -------
    int
    """
    n_folds = n_validation_folds(n_users, n_users)
    if not n_folds or "auto" not in given:
        return 0
    n_validated = n_users if n_folds > 1 else n_held_out(n_users, n_users, VALIDATION_FRACTION)
    of_each = {_filled(given, UNVALIDATED._replace(item_exponent=a, centering=t)) for a, t in TRIED_PER_INVERSE}
    return n_validated * len(of_each) * (_n_inverses(given, n_folds) - 1) // n_folds


def _n_inverses(given, n_folds):
    if "auto" not in given:
        return 1
    n_l2 = len(L2_REGULARIZATIONS) if given.l2_regularization == "auto" else 1
    return n_folds * (n_l2 + len(_pairs(given)) - 1) + 1


def _pairs(given):
    """Dropout and user exponent as they are tried where some are given: those that every lambda is tried with first."""
    of_first = UNVALIDATED.dropout, UNVALIDATED.user_exponent
    filled = [
        _filled(given, UNVALIDATED._replace(dropout=p, user_exponent=beta))
        for p, beta in (of_first, *DROPOUTS_AND_EXPONENTS)
    ]
    return list(dict.fromkeys((setting.dropout, setting.user_exponent) for setting in filled))


def item_squares(X):
    """Sum of squares of each column.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)

    Returns
    -------
    float64 array of shape (n_items,)
    """
    squares = np.bincount(X.indices, weights=np.square(X.data, dtype=np.float64), minlength=X.shape[1])
    return squares.astype(np.float64, copy=False)  # of no entries they are int64


def item_powers(counts, item_exponent):
    """Powers c_i^alpha; 1 where nobody has the item, whose weights are 0.

    Parameters
    ----------
    counts : int array of shape (n_items,)
    item_exponent : float

    Returns
    -------
    float32 array of shape (n_items,)
    """
    return (np.maximum(counts, 1) ** float(item_exponent)).astype(np.float32)


class _ScoresOfItemWeighted:
    """The scores of weights (c_i / c_j)^alpha B_ij, without touching B."""

    def __init__(self, weights, counts, item_exponent):
        powers = item_powers(counts, item_exponent)
        # only their ratios count, and by a power of two exactly: what is multiplied by them stays in float32
        self.weights, self.powers = weights, np.ldexp(powers, -np.frexp(powers.max(initial=1))[1])

    def decision_function(self, X):
        powered = sp.csr_array((X.data * self.powers[X.indices], X.indices, X.indptr), shape=X.shape)
        return powered @ self.weights / self.powers


def _validation_scores(X, pair, setting, given, gram_of, solve, processes):
    """Setting with each item exponent and centering -> NDCG@100 of the model fitted on X; one inverse.

    -inf where there is no inverse: another lambda may have one.
    """
    settings = dict.fromkeys(
        _filled(given, setting._replace(item_exponent=alpha, centering=theta)) for alpha, theta in TRIED_PER_INVERSE
    )
    absolute = _absolute(setting._replace(centering=0.0), given, X)
    regression = solve(gram_of(X, absolute.user_exponent), item_squares(X), absolute, dense=False)
    if regression is None:
        return dict.fromkeys(settings, -np.inf)
    counts, (fold_in, held_out) = count_users(X), pair
    centered = {centering: regression.centered(centering) for centering in {key.centering for key in settings}}
    models = {key: _ScoresOfItemWeighted(centered[key.centering], counts, key.item_exponent) for key in settings}
    return {key: mean_validation_score(model, fold_in, held_out, processes) for key, model in models.items()}


def _unvalidated(X):
    """What "auto" is without validation users: centered where those who have items have few in the mean."""
    is_centered = X.nnz < MIN_INTERACTIONS * np.count_nonzero(np.diff(X.indptr))
    return UNVALIDATED._replace(centering=CENTERED if is_centered else 0.0)


def _filled(given, setting):
    """What is given, and of a setting what is "auto"."""
    return Setting(*(other if value == "auto" else value for value, other in zip(given, setting, strict=True)))


def _absolute(setting, given, X):
    """The setting with lambda for G; one not given is in units of an entry's mean share in the trace."""
    if given.l2_regularization != "auto":
        return setting
    values = users_weighted(X, setting.user_exponent).data
    unit = float(np.mean(np.square(values, dtype=np.float64)))
    return setting._replace(l2_regularization=setting.l2_regularization * unit)
