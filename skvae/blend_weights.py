"""The weighted sum of a blend's members: weights that are given, or learned, and the users they are learned on."""

from collections.abc import Mapping, Set
from itertools import combinations_with_replacement
from math import comb

import numpy as np
from sklearn.utils import gen_batches

from .blend_members import kept_pairs
from .hiding import hide_for_validation
from .ranking import item_scores, top_k, users_per_block
from .scoring import VALIDATION_METRIC, metric_functions
from .validation_users import hold_out_users

# Of weights: steps of 1/20 of two members, 1/12 of three, 1/6 of four; of more also some on the way to equal ones
N_TRIED, MOST_STEPS, FINELY_TRIED = 100, 20, 4


def check_weights(weights, pairs):
    """Raise where they are neither "auto" nor weights of the members.

    Parameters
    ----------
    weights : object
    pairs : list of (str, estimator)

    Raises
    ------
    ValueError
    """
    if isinstance(weights, str):
        if weights != "auto":
            raise ValueError(f'weights must be "auto" or a list of numbers, got {weights!r}.')
        return
    is_list = hasattr(weights, "__len__") and not isinstance(weights, (bytes, Set, Mapping))
    if not is_list or getattr(weights, "shape", None) == () or len(weights) != len(pairs):
        raise ValueError(f"weights must be {len(pairs)}, one per member, got {weights!r}.")
    if not all(map(_is_weight, weights)) or not weights_of_kept(weights, pairs).any():
        of_kept = ", of members that are not dropped" if len(kept_pairs(pairs)) < len(pairs) else ""
        raise ValueError(f"weights must be finite, not negative and not all 0{of_kept}, got {weights!r}.")


def _is_weight(weight):
    try:
        return not isinstance(weight, str) and 0 <= float(weight) < np.inf
    except (TypeError, ValueError, OverflowError):
        return False


def weights_of_kept(weights, pairs):
    """The weights of the members that are not dropped; equal ones where they are to be learned.

    Parameters
    ----------
    weights : sequence of float, or str
    pairs : list of (str, estimator)

    Returns
    -------
    float64 array
    """
    weights = np.ones(len(pairs)) if isinstance(weights, str) else np.asarray(weights, float)
    return weights[[member != "drop" for _, member in pairs]]


def trained_and_validated(blend, X, X_val, fraction):
    """The users to fit the members on, and those to learn weights on.

    Parameters
    ----------
    blend : BlendRecommender
    X : csr_array of shape (n_users, n_items)
    X_val : matrix, pair (fold_in, held_out) or None
        As fit got it.
    fraction : float
        Of the users of X to hold out, where weights are learned and no others are given.

    Returns
    -------
    trained : csr_array
    validation : pair (fold_in, held_out) of csr_array, or None
    """
    is_learned = isinstance(blend.weights, str)
    if X_val is not None or (blend.prefit and is_learned):
        return X, blend._validation_pair(X if X_val is None else X_val)
    trained, validated = hold_out_users(X, fraction) if is_learned else (None, ())
    return (X[trained], hide_for_validation(X[validated])) if len(validated) else (X, None)


def blocks_of_users(X):
    """Slices of users whose scores of all items are held at once.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)

    Returns
    -------
    iterator of slices
    """
    return gen_batches(X.shape[0], users_per_block(X.shape[1]))


def normalized_scores(members, normalize, X):
    """Each member's scores of one block, comparable.

    Parameters
    ----------
    members : list of fitted estimators
    normalize : callable
        Of scores and the places of what the users have, as in `skvae.blend_normalizations`.
    X : csr_array of shape (n_users, n_items)

    Returns
    -------
    list of arrays of shape (n_users, n_items)
    """
    seen = X.nonzero()
    return [normalize(item_scores(member, X), seen) for member in members]


def weighted_sum(weights, normalized):
    """The sum of arrays by their weights; one of weight 0, in float32, leaves its scores of -inf out too.

    Parameters
    ----------
    weights : sequence of float of shape (n_members,)
        One at least above 0.
    normalized : list of arrays of one shape

    Returns
    -------
    array of that shape
    """
    pairs = zip(np.asarray(weights, np.float32), normalized, strict=True)
    return sum(weight * scores for weight, scores in pairs if weight > 0)


def learned_weights(members, normalize, fold_in, held_out):
    """Mean of the weights on a grid, by how near each comes to the best for validation users.

    As the notes of `skvae.BlendRecommender` have it.

    Parameters
    ----------
    members, normalize :
        As in `normalized_scores`.
    fold_in, held_out : csr_array of shape (n_users, n_items)

    Returns
    -------
    weights : float64 array of shape (n_members,)
        With sum 1.
    score : float
        Mean NDCG@100 that they have.
    """

    def score(candidates):
        return _scores_of_users(members, normalize, candidates, fold_in, held_out)

    grid = _grid(len(members))
    scores = score(grid)
    best = scores.mean(axis=1).argmax()
    nearness = np.exp(-(_distances(scores[best] - scores) ** 2))
    weights = nearness @ grid
    weights[weights < weights.max() / (2 * MOST_STEPS)] = 0
    weights /= weights.sum()
    of_mean = score([weights])[0]
    if _distances((scores[best] - of_mean)[None]) > 2:  # such as of items that a member forbids at any weight
        weights, of_mean = grid[best], scores[best]
    return weights, float(of_mean.mean())


def _distances(behind):
    """How many standard errors over the users each row is behind; 0 for one user alone."""
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = behind.mean(axis=1) / (behind.std(axis=1) / np.sqrt(behind.shape[1] - 1))
    return np.nan_to_num(distances, nan=0, posinf=np.inf)


def _grid(n_members):
    """All weights in steps of one share, as small as leaves no more than N_TRIED of them.

    The steps of many members are large: equal weights and those half-way there are tried then, too.
    """
    n_steps = next(n for n in range(MOST_STEPS, 0, -1) if n == 1 or comb(n + n_members - 1, n) <= N_TRIED)
    steps = combinations_with_replacement(range(n_members), n_steps)
    grid = np.array([np.bincount(members, minlength=n_members) for members in steps]) / n_steps
    if n_members <= FINELY_TRIED:
        return grid
    equal = np.full((1, n_members), 1 / n_members)
    return np.vstack([grid, (grid + equal) / 2, equal])


def _scores_of_users(members, normalize, candidates, fold_in, held_out):
    """NDCG@100 of each candidate's weights for each user, float64 of shape (n_candidates, n_users).

    Every block of users is scored once by each member; only that block is held.
    """
    functions, k = metric_functions(VALIDATION_METRIC)
    users = np.flatnonzero(np.diff(held_out.indptr))
    fold_in, held_out = fold_in[users], held_out[users]
    ndcg = np.empty((len(candidates), len(users)))
    for block in blocks_of_users(fold_in):
        seen = fold_in[block].nonzero()
        normalized = normalized_scores(members, normalize, fold_in[block])
        for candidate, weights in enumerate(candidates):
            scores = weighted_sum(weights, normalized)
            scores[seen] = -np.inf
            items, _ = top_k(scores, k)
            ndcg[candidate, block] = functions[VALIDATION_METRIC](held_out[block], items, per_user=True)
    return ndcg
