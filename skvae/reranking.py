"""Recommendations put in another order: more diverse ones."""

import numbers

import numpy as np
import scipy.sparse as sp

from .item_checks import first_k, unit_vectors
from .matrix_checks import check_not_masked
from .parameters import number


def rerank(items, scores, item_vectors, k=None, *, relevance_weight=0.7):
    r"""The k best of each user's recommendations, chosen to differ from each other: maximal marginal relevance.

    One item after another is chosen, each time the one with the highest

    .. math:: \lambda \, r_i - (1 - \lambda) \max_{j \text{ chosen}} \cos(v_i, v_j)

    where r are the user's scores, scaled so that the recommended items have 0 to 1, and v the vectors that describe
    the items. Equal values keep the order of the list. `skvae.metrics.diversity_at_k` with the same vectors says how
    much more diverse the result is.

    Parameters
    ----------
    items : int array of shape (n_users, n_ranks)
        Recommended items, best first, -1 for none, as `recommend` returns them: more of them than k, such as ten
        times as many, since the others are what there is to choose from.
    scores : float array of shape (n_users, n_ranks)
        Their scores, as `recommend` returns them.
    item_vectors : sparse matrix or array of shape (n_items, n_features)
        What describes each item, one row per item: genres, an embedding, or the transposed training matrix ``X.T``,
        not X, whose rows are users. With ``X.T`` items are similar that the same users have. A vector of zeros is
        similar to nothing. Of one category per item each is represented once, and the rest is by score, since an item
        is as similar to the chosen ones as to the most similar of them.
    k : int, default=None
        Items to choose for each user; None: all n_ranks, in a new order.
    relevance_weight : float, default=0.7
        lambda, from 0 to 1. 1 keeps the order of the scores; 0 begins with the best item and then asks for diversity
        alone. .7 is what the paper takes to focus, and .3 to look around.

    Returns
    -------
    items : int64 array of shape (n_users, k)
        In the order in which they were chosen; -1 at the end, where a user has fewer than k items.
    scores : float array of shape (n_users, k)
        As they were given, no longer sorted; -inf where items is -1.

    Raises
    ------
    ValueError
        Where an item is out of range or listed twice, scores has another shape or a value that is not finite, or k or
        relevance_weight is out of range.

    References
    ----------
    Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing
    Summaries", SIGIR 1998

    Examples
    --------
    >>> from skvae import rerank
    >>> genres = [[1, 0], [1, 0], [0, 1]]  # of items 0, 1 and 2
    >>> rerank([[0, 1, 2]], [[3.0, 2.9, 2.0]], genres, k=2, relevance_weight=0.5)
    (array([[0, 2]]), array([[3., 2.]]))
    """
    relevance_weight = number(minimum=0, maximum=1)("relevance_weight", relevance_weight)
    vectors = unit_vectors(item_vectors)
    items = first_k(items, vectors.shape[0])
    scores = _checked_scores(scores, items)
    k = number(numbers.Integral, 1, items.shape[1])("k", items.shape[1] if k is None else k)
    chosen = np.full((len(items), k), -1), np.full((len(items), k), -np.inf, scores.dtype)
    for user, is_listed in enumerate(items >= 0):
        listed, relevance = items[user, is_listed], scores[user, is_listed]
        order = _order(_scaled(relevance), _cosines(vectors[listed]), min(k, len(listed)), relevance_weight)
        chosen[0][user, : len(order)], chosen[1][user, : len(order)] = listed[order], relevance[order]
    return chosen


def _checked_scores(scores, items):
    check_not_masked(scores, "scores")
    scores = np.asarray(scores)
    if scores.shape != items.shape:
        raise ValueError(
            f"scores must have the shape of items, {items.shape}, got {scores.shape}: pass both as they are."
        )
    if not np.issubdtype(scores.dtype, np.floating):
        scores = scores.astype(np.float64)
    if not np.isfinite(scores[items >= 0]).all():
        raise ValueError("scores must be finite for every item, -inf only where items is -1: pass both as they are.")
    return scores


def _scaled(scores):
    """From 0 to 1; 0 where all are equal."""
    halves = scores.astype(np.float64) / 2  # whose differences are finite
    above = halves - halves.min(initial=np.inf)
    return above / max(above.max(initial=0), np.finfo(np.float64).tiny)


def _cosines(vectors):
    cosines = vectors @ vectors.T
    return cosines.toarray() if sp.issparse(cosines) else cosines


def _order(relevance, cosines, k, weight):
    """The k places of maximal marginal relevance, in the order in which they are chosen."""
    chosen: list[int] = []
    left, nearest = np.ones(len(relevance), bool), np.zeros(len(relevance))
    for _ in range(k):
        best = int(np.argmax(np.where(left, weight * relevance - (1 - weight) * nearest, -np.inf)))
        nearest = np.maximum(nearest, cosines[best]) if chosen else cosines[best]
        left[best] = False
        chosen.append(best)
    return chosen
