"""How a blend makes the scores of its members comparable."""

from functools import partial

import numpy as np

from .parameters import piece
from .ranking import real_numbers

# Largest scores of a user whose squares, and those of their differences, float32 holds: 1e-45 to 3e38
SQUARED_IN_FLOAT32 = 1e-10, 1e15
# Of the largest score in float32: what deviates by less are equal scores that were summed in another order
ROUNDING = 1e-6


def standardized(scores, seen):
    """Mean 0 and standard deviation 1 over each user's unseen items of finite score; in place.

    Parameters
    ----------
    scores : float32 or float64 array of shape (n_users, n_items)
    seen : pair of int arrays
        Row and column numbers of what the users have.

    Returns
    -------
    array of shape (n_users, n_items)
    """
    finite = np.isfinite(scores)
    counted = finite.copy()
    counted[seen] = False
    nothing_left = ~counted.any(axis=1)
    counted[nothing_left] = finite[nothing_left]
    n_counted = np.maximum(1, counted.sum(axis=1, keepdims=True))
    best = np.max(scores, axis=1, keepdims=True, where=counted, initial=-np.inf)
    best = np.where(np.isfinite(best), best, 0)
    largest = np.maximum(best, -np.min(scores, axis=1, keepdims=True, where=counted, initial=0))
    least, most = SQUARED_IN_FLOAT32
    is_far = ((largest > most) | ((largest < least) & (largest > 0)))[:, 0]
    if is_far.any():
        with np.errstate(over="ignore"):  # of what is not counted, here and below
            for values in (scores, best, largest):
                values[is_far] /= largest[is_far]
    # from the best on down: equal scores are 0 to the bit then
    scores -= best
    scores -= np.sum(scores, axis=1, keepdims=True, where=counted) / n_counted
    with np.errstate(over="ignore"):
        squares = np.square(scores)
    deviation = np.sqrt(np.sum(squares, axis=1, keepdims=True, where=counted) / n_counted)
    spread_by_rounding = ROUNDING * (np.finfo(scores.dtype).eps / np.finfo(np.float32).eps) * largest
    with np.errstate(over="ignore"):
        scores /= np.where(deviation > spread_by_rounding, deviation, np.where(largest > 0, largest, 1))
    # a half, so that a weighted sum of several members is finite too; what a member forbids stays at -inf
    bound = np.finfo(scores.dtype).max / 2
    scores[seen] = np.where(finite[seen], np.clip(scores[seen], -bound, bound), scores[seen])
    return scores


def unchanged(scores, seen):
    """Leave the scores as they are.

    Parameters
    ----------
    scores : float32 or float64 array of shape (n_users, n_items)
    seen : pair of int arrays

    Returns
    -------
    array of shape (n_users, n_items)
    """
    return scores


NORMALIZATIONS = {"standard": standardized, "none": unchanged}
check_normalization = piece(NORMALIZATIONS, "__call__", otherwise=", or a function of (scores, seen)")


def normalizer(normalization):
    """The function of a normalization, which set_params may have changed after fit.

    Parameters
    ----------
    normalization : str or callable

    Returns
    -------
    callable
        (scores, seen) -> array of shape (n_users, n_items).

    Raises
    ------
    ValueError
        Where there is no such normalization; and by the function, where one of somebody's own gives something else.
    """
    check_normalization("normalization", normalization)
    return NORMALIZATIONS[normalization] if isinstance(normalization, str) else partial(_normalized, normalization)


def _normalized(function, scores, seen):
    """Scores as a foreign function normalizes them, checked: another shape would be broadcast in silence."""
    shape = scores.shape
    shown = tuple(np.broadcast_to(places, places.shape) for places in seen)  # read-only: all members have the same
    normalized = real_numbers(function(scores, shown), "what normalization returned")
    if normalized.shape != shape:
        raise ValueError(
            f"normalization must return an array of the shape of the scores, {shape}, got one of {normalized.shape}."
        )
    is_nan = np.isnan(normalized)
    is_nan[seen] = False  # which are ranked on demand alone, and checked then
    if is_nan.any():
        raise ValueError("normalization must return numbers, got NaN for items that a user does not have.")
    return normalized.copy()  # or the next member's could take its place
