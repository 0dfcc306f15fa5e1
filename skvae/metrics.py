"""Ranking metrics over held-out interactions and ranked items.

Every metric takes ``held_out``, the users x items matrix of what was hidden, and ``items``, the
ranked item indices of each user (-1 = none), best first. Gains are binary: an entry of held_out
above 0 is relevant. A user without a relevant item has no score (NaN) and is left out of the mean.
"""

import warnings

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_scalar


def ndcg_at_k(held_out, items, *, k=None, per_user=False):
    r"""Normalised discounted cumulative gain.

    .. math:: DCG@k = \sum_{r=1}^{k} \frac{rel_r}{\log_2(r + 1)}

    divided by the DCG of min(k, n_held_out) hits on top (Liang et al., "Variational Autoencoders
    for Collaborative Filtering", WWW 2018, section 4.3).

    Parameters
    ----------
    held_out : sparse matrix or array of shape (n_users, n_items)
        Relevant where above 0.
    items : int array of shape (n_users, n_ranks)
        Ranked item indices, best first, -1 for none.
    k : int, default=None
        Ranks that count; None for all that items has.
    per_user : bool, default=False
        Return a value for each user.

    Returns
    -------
    float, or float64 array of shape (n_users,)
        The mean over the users with a held-out item (NaN and a warning if there is none), or one
        value a user, NaN without a held-out item.

    Raises
    ------
    ValueError
        Where shapes differ, an item is out of range or listed twice, or items has fewer ranks
        than k asks for.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.metrics import ndcg_at_k
    >>> held_out = np.array([[1, 0, 1, 0]])
    >>> round(ndcg_at_k(held_out, [[1, 0, 2]]), 4)
    0.6934
    """
    hits, n_relevant, k = _hits(held_out, items, k)
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(n_relevant, k)]
    return _result(hits @ discounts[: hits.shape[1]], ideal, n_relevant, per_user)


def recall_at_k(held_out, items, *, k=None, per_user=False, denominator="min"):
    """Share of the held-out items among the first k.

    Parameters
    ----------
    held_out, items, k, per_user :
        As in `ndcg_at_k`.
    denominator : {"min", "n"}, default="min"
        hits / min(k, n_held_out), the paper's recall (Liang et al., WWW 2018, section 4.3), which
        others call calibrated or truncated; or hits / n_held_out, as in the tables of LightGCN.

    Returns
    -------
    float, or float64 array of shape (n_users,)
        As `ndcg_at_k`.

    Examples
    --------
    >>> from skvae.metrics import recall_at_k
    >>> recall_at_k([[1, 0, 1, 0, 1]], [[0, 1]])
    0.5
    >>> round(recall_at_k([[1, 0, 1, 0, 1]], [[0, 1]], denominator="n"), 3)
    0.333
    """
    if denominator not in ("min", "n"):
        raise ValueError(f'denominator must be "min" or "n", got {denominator!r}.')
    hits, n_relevant, k = _hits(held_out, items, k)
    most = np.minimum(n_relevant, k) if denominator == "min" else n_relevant
    return _result(hits.sum(1), most, n_relevant, per_user)


def precision_at_k(held_out, items, *, k=None, per_user=False):
    """Share of relevant items among the first k: hits / k.

    Parameters
    ----------
    held_out, items, k, per_user :
        As in `ndcg_at_k`.

    Returns
    -------
    float, or float64 array of shape (n_users,)
        As `ndcg_at_k`.

    Examples
    --------
    >>> from skvae.metrics import precision_at_k
    >>> precision_at_k([[1, 0, 1, 0]], [[0, 1, 3, 2]])
    0.5
    """
    hits, n_relevant, k = _hits(held_out, items, k)
    return _result(hits.sum(1), k, n_relevant, per_user)


def map_at_k(held_out, items, *, k=None, per_user=False):
    """Mean average precision: precision at each hit, summed, over min(k, n_held_out).

    Parameters
    ----------
    held_out, items, k, per_user :
        As in `ndcg_at_k`.

    Returns
    -------
    float, or float64 array of shape (n_users,)
        As `ndcg_at_k`.

    Examples
    --------
    >>> from skvae.metrics import map_at_k
    >>> map_at_k([[1, 0, 1, 0]], [[0, 1, 3, 2]])
    0.75
    """
    hits, n_relevant, k = _hits(held_out, items, k)
    precisions = hits.cumsum(1) / np.arange(1, hits.shape[1] + 1)
    return _result((precisions * hits).sum(1), np.minimum(n_relevant, k), n_relevant, per_user)


def mrr_at_k(held_out, items, *, k=None, per_user=False):
    """Mean reciprocal rank: 1 / rank of the first hit, 0 without a hit among the first k.

    Parameters
    ----------
    held_out, items, k, per_user :
        As in `ndcg_at_k`.

    Returns
    -------
    float, or float64 array of shape (n_users,)
        As `ndcg_at_k`.

    Examples
    --------
    >>> from skvae.metrics import mrr_at_k
    >>> mrr_at_k([[0, 0, 1, 0]], [[0, 2, 3]])
    0.5
    """
    hits, n_relevant, _ = _hits(held_out, items, k)
    reciprocal_ranks = hits / np.arange(1, hits.shape[1] + 1)
    return _result(reciprocal_ranks.max(1, initial=0.0), 1, n_relevant, per_user)


def hit_rate_at_k(held_out, items, *, k=None, per_user=False):
    """Share of users with at least one hit among the first k.

    Parameters
    ----------
    held_out, items, k, per_user :
        As in `ndcg_at_k`.

    Returns
    -------
    float, or float64 array of shape (n_users,)
        As `ndcg_at_k`.

    Examples
    --------
    >>> from skvae.metrics import hit_rate_at_k
    >>> hit_rate_at_k([[0, 1, 0], [1, 0, 0]], [[1], [2]])
    0.5
    """
    hits, n_relevant, _ = _hits(held_out, items, k)
    return _result(hits.any(1), 1, n_relevant, per_user)


METRICS = {
    "ndcg": ndcg_at_k,
    "recall": recall_at_k,
    "precision": precision_at_k,
    "map": map_at_k,
    "mrr": mrr_at_k,
    "hit_rate": hit_rate_at_k,
}


def _hits(held_out, items, k):
    """Which of the first k ranks hit, bool (n_users, at most k); relevant items a user; k itself."""
    items = np.asarray(items)
    if items.ndim != 2 or not np.issubdtype(items.dtype, np.integer):
        raise ValueError(
            "items must be integer item indices of shape (n_users, k), got dtype "
            f"{items.dtype} with shape {items.shape}."
        )
    keys, n_relevant, n_items = _relevant_keys(held_out)
    if len(items) != len(n_relevant):
        raise ValueError(f"held_out has {len(n_relevant)} users, items has {len(items)}: they must be the same.")
    n_ranks = items.shape[1]
    k = int(check_scalar(n_ranks if k is None else k, "k", (int, np.integer), min_val=1))
    if n_ranks < min(k, n_items):
        raise ValueError(f"items holds {n_ranks} ranks a user, k={k} needs more: recommend at least k items.")
    items = items[:, :k]
    _check_ranked(items, n_items)
    users = np.arange(len(items))[:, None]
    wanted = np.where(items >= 0, users * n_items + items, -1)
    positions = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    hits = keys[positions] == wanted if len(keys) else np.zeros(items.shape, bool)
    return hits, n_relevant, k


def _relevant_keys(held_out):
    """user * n_items + item of each relevant entry, sorted; relevant items a user; n_items."""
    held_out = sp.coo_array(held_out if sp.issparse(held_out) else np.atleast_2d(held_out))
    held_out.sum_duplicates()
    n_users, n_items = held_out.shape
    relevant = held_out.data > 0
    rows, columns = held_out.row[relevant].astype(np.int64), held_out.col[relevant].astype(np.int64)
    return np.sort(rows * n_items + columns), np.bincount(rows, minlength=n_users), n_items


def _check_ranked(items, n_items):
    if items.size and (items.min() < -1 or items.max() >= n_items):
        raise ValueError(f"items must lie between -1 (none) and {n_items - 1}, the last column of held_out.")
    ordered = np.sort(items, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        raise ValueError("items lists an item twice for one user: a ranking holds each item once.")


def _result(gains, most, n_relevant, per_user):
    """gains / most, NaN for users without a relevant item; their mean over the others."""
    scores = np.full(len(n_relevant), np.nan)
    scored = n_relevant > 0
    np.divide(gains, most, out=scores, where=scored)
    if per_user:
        return scores
    if not scored.any():
        warnings.warn("No user has a held-out item: the metric is NaN.", UndefinedMetricWarning, stacklevel=3)
        return float("nan")
    return float(scores[scored].mean())
