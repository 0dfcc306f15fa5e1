"""Warnings of users that a model was fitted on, who are known again by the hashes of their items."""

import numpy as np

from .core.user_warnings import warn_user
from .hiding import FEW_ITEMS, MIN_INTERACTIONS
from .matrix import as_csr, count_interactions, row_blocks
from .user_hashes import user_hashes
from .wrappers import steps_and_model

LEAST_DISTINCT = 0.75  # of the sets of items of users; where fewer are, they coincide by chance too


def most_fitted(hashes, is_fitted):
    """How many of some users are users of a fit, where most are; those with the same items are one.

    Where few sets of items are possible, as many users have the same ones, everyone has one that was seen.

    Parameters
    ----------
    hashes : uint64 array of shape (n_users,)
        Of their sets of items.
    is_fitted : bool array of shape (n_users,)

    Returns
    -------
    str
        Such as "3 of 4"; empty where most are not.
    """
    distinct = np.unique(hashes, return_index=True)[1]
    n_fitted, n_least = np.count_nonzero(is_fitted[distinct]), max(2, LEAST_DISTINCT * len(hashes))
    return f"{n_fitted} of {len(distinct)}" if len(distinct) >= n_least and 2 * n_fitted > len(distinct) else ""


def warn_of_validation(n_fold_in, n_held_out, most):
    """Warn where X_val looks like something else than users who are new to the model.

    Parameters
    ----------
    n_fold_in, n_held_out : int
        Interactions of its two parts.
    most : str
        As `most_fitted` gives it.
    """
    if n_fold_in < n_held_out:
        warn_user(
            f"The fold-in of X_val has {n_fold_in} interactions, and more are held out, {n_held_out}: X_val is a pair "
            "(fold_in, held_out); are the two swapped?"
        )
    if most:
        warn_user(
            f"Most users of X_val are users of X, {most}: the best epoch, or the weights of a blend, would be chosen "
            "on items that the model is fitted on. Pass users that X does not have."
        )


def warn_of_fitted_members(pairs, X):
    """Warn where members of a blend were fitted on most of the users on whom its weights are learned.

    Parameters
    ----------
    pairs : list of (str, fitted estimator)
        Those that were fitted before, of more than one member: the weight of one is 1.
    X : csr_array of shape (n_users, n_items)
    """
    if X.shape[1] < FEW_ITEMS:
        return
    hashes = user_hashes(X)
    for name, member in pairs:
        steps, recommender = steps_and_model(member)
        was_fitted_on = getattr(recommender, "was_fitted_on", None)
        most = was_fitted_on and most_fitted(hashes, was_fitted_on(X if steps is None else steps.transform(X)))
        if most:
            warn_user(
                f"The member {name!r} was fitted on most of the users on whom weights are learned, {most}, and seems "
                "better than it is: pass users that no member was fitted on."
            )


def warn_of_evaluated_users(model, X, y, scored):
    """Warn where most of the users who are evaluated are users that the model was fitted on.

    Parameters
    ----------
    model : fitted estimator
    X : matrix of shape (n_users, n_items)
    y : matrix of shape (n_users, n_items), or None
        What is held out of them, where X does not hold it.
    scored : int64 array of shape (n_scored,)
        Row numbers of the users with a held-out item.
    """
    steps, model = steps_and_model(model)
    known = getattr(model, "_user_hashes", None)
    if known is None or (steps and y is not None):
        return
    hashes, fitted = [], []
    for users in [X] if y is None else _together(as_csr(X), as_csr(y)):
        hashes.append(user_hashes(as_csr(users)))
        fitted.append(model.was_fitted_on(steps.transform(users)) if steps else np.isin(hashes[-1], known))
    most = most_fitted(np.concatenate(hashes)[scored], np.concatenate(fitted)[scored])
    if most:
        warn_user(
            f"{type(model).__name__} was fitted on most users of X, {most}, and on the items that are hidden here: "
            "such scores say little about new users. Evaluate on users that were not passed to fit, such as those of "
            "strong_generalization_split."
        )


def _together(fold_in, held_out):
    return (fold_in[block] + held_out[block] for block in row_blocks(fold_in))


def warn_of_users_again(model, X):
    """Warn where most users of a partial_fit that adds them are users that the model has already.

    Parameters
    ----------
    model : fitted BaseRecommender
    X : csr_array of shape (n_users, n_items)
    """
    known = getattr(model, "_user_hashes", None)
    if known is None or X.shape[1] < FEW_ITEMS:
        return
    hashes = user_hashes(X[count_interactions(X) >= MIN_INTERACTIONS])
    most = most_fitted(hashes, np.isin(hashes, known))
    if most:
        warn_user(
            f"partial_fit adds users, and {type(model).__name__} has most users of X already, {most}: they count twice "
            "now. Pass new users alone; where histories have grown, fit again on all of them."
        )
