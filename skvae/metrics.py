"""Metrics of ranked items: how well they hit what was held out, and what else they are.

All take ``items``, the ranked item indices of each user (-1 = none), best first.

The ranking metrics compare them with ``held_out``, the users x items matrix of what was hidden.
Gains are binary: an entry of held_out above 0 is relevant. A user without a relevant item has no
score (NaN) and is left out of the mean.

The others need no held-out items. `coverage_at_k` and `gini_at_k` say how the recommendations of
all users together spread over the items; `novelty_at_k`, `popularity_at_k` and `diversity_at_k`
are means over users, as the ranking metrics are.
"""

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import gen_batches
from sklearn.utils.extmath import row_norms

from .core.user_warnings import warn_user
from .item_checks import first_k, unit_vectors
from .matrix import as_csr, count_users, users_of_entries
from .parameters import flag, integer

# Floats of summed item vectors held at once, 16 MB
FLOATS_PER_BLOCK = 2**21


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
        value per user, NaN without a held-out item.

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
    discounts = 1 / np.log2(np.arange(2, max(hits.shape[1], min(k, n_relevant.max(initial=0))) + 2))
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


def coverage_at_k(items, n_items, *, k=None):
    """Share of all items that are among the first k of at least one user: catalogue coverage.

    Ge, Delgado-Battenfeld, Jannach, "Beyond Accuracy: Evaluating Recommender Systems by Coverage
    and Serendipity", RecSys 2010.

    Parameters
    ----------
    items : int array of shape (n_users, n_ranks)
        Ranked item indices, best first, -1 for none.
    n_items : int
        Items that could be recommended: the columns of X.
    k : int, default=None
        Ranks that count; None for all that items has.

    Returns
    -------
    float
        Between 0 and 1. It depends on how many users there are: compare models on the same ones.

    Raises
    ------
    ValueError
        Where an item is out of range or listed twice, or items has fewer ranks than k asks for.

    Examples
    --------
    >>> from skvae import PopularityRecommender
    >>> from skvae.datasets import make_interactions
    >>> from skvae.metrics import coverage_at_k
    >>> X = make_interactions(n_users=100, n_items=50, random_state=0)
    >>> items, _ = PopularityRecommender().fit(X[:80]).recommend(X[80:], k=10)
    >>> coverage_at_k(items, X.shape[1])
    0.3
    """
    return float(np.count_nonzero(_exposures(items, n_items, k)) / n_items)


def gini_at_k(items, n_items, *, k=None):
    r"""Gini index of how often each item is recommended: 0 all equally often, 1 always the same one.

    .. math:: \frac{1}{n - 1} \sum_{j=1}^{n} (2 j - n - 1) \, p_j

    over the n items in ascending order of p, an item's share of all recommendations (Castells,
    Hurley, Vargas, "Novelty and Diversity in Recommender Systems", Recommender Systems Handbook,
    2nd edition, 2015).

    Parameters
    ----------
    items, n_items, k :
        As in `coverage_at_k`.

    Returns
    -------
    float
        Lists of k different items cannot come above 1 - (k - 1) / (n_items - 1). NaN with a warning
        where nothing is recommended; 0 for a single item.

    Examples
    --------
    >>> from skvae.metrics import gini_at_k
    >>> gini_at_k([[0], [1]], 2), gini_at_k([[0], [0]], 2)
    (0.0, 1.0)
    """
    exposures = np.sort(_exposures(items, n_items, k))
    if not exposures.any():
        warn_user("No item is recommended to anyone: the metric is NaN.", UndefinedMetricWarning)
        return float("nan")
    n_items = len(exposures)
    coefficients = 2 * np.arange(1, n_items + 1) - n_items - 1
    return float(coefficients @ exposures / (exposures.sum() * max(n_items - 1, 1)))


def novelty_at_k(items, X, *, k=None, per_user=False):
    r"""How little known the first k items are: their mean self-information, in bits.

    .. math:: -\log_2 \frac{n_i}{n}

    of an item that n_i of the n users of X have (Zhou et al., "Solving the apparent
    diversity-accuracy dilemma of recommender systems", PNAS 2010; Vargas and Castells, "Rank and
    Relevance in Novelty and Diversity Metrics for Recommender Systems", RecSys 2011). An item that
    nobody has counts as if one user had it.

    Parameters
    ----------
    items : int array of shape (n_users, n_ranks)
        Ranked item indices, best first, -1 for none.
    X : sparse matrix or array of shape (n_training_users, n_items)
        The interactions that say how well known each item is: those that the model was trained
        on. Values do not matter; an explicit zero is no interaction.
    k : int, default=None
        Ranks that count; None for all that items has.
    per_user : bool, default=False
        Return a value for each user.

    Returns
    -------
    float, or float64 array of shape (n_users,)
        0 for items that everyone has, at most log2(n_training_users). The mean over the users with
        an item (NaN and a warning if there is none), or one value per user, NaN without an item.

    Raises
    ------
    ValueError
        Where an item is out of range or listed twice, or items has fewer ranks than k asks for.

    Examples
    --------
    To `evaluate` it beside other metrics, give it the training users:

    >>> from skvae import PopularityRecommender, evaluate
    >>> from skvae.datasets import make_interactions
    >>> from skvae.metrics import ndcg_at_k, novelty_at_k
    >>> X = make_interactions(n_users=100, n_items=50, random_state=0)
    >>> train, test = X[:80], X[80:]
    >>> def novelty(held_out, items, per_user):
    ...     return novelty_at_k(items, train, k=10, per_user=per_user)
    >>> print(evaluate(PopularityRecommender().fit(train), test, {"ndcg": ndcg_at_k, "novelty": novelty}))
    ndcg            0.3294 +- 0.0361
    novelty         2.3224 +- 0.0132
    20 users, 0 left out
    """
    holders, n_users = _holders(X)
    return _mean_of_listed(-np.log2(np.maximum(holders, 1) / n_users), items, k, per_user)


def popularity_at_k(items, X, *, k=None, per_user=False):
    """How popular the first k items are: the share of the users of X who have them, in the mean.

    The average recommendation popularity of Yin et al., "Challenging the Long Tail Recommendation",
    VLDB 2012, and Abdollahpouri et al., "Managing Popularity Bias in Recommender Systems with
    Personalized Re-ranking", FLAIRS 2019, over the number of users.

    Parameters
    ----------
    items, X, k, per_user :
        As in `novelty_at_k`.

    Returns
    -------
    float, or float64 array of shape (n_users,)
        Between 0 and 1; otherwise as `novelty_at_k`.

    Examples
    --------
    >>> from skvae.metrics import popularity_at_k
    >>> popularity_at_k([[0, 2]], [[1, 0, 0], [1, 0, 1]])
    0.75
    """
    holders, n_users = _holders(X)
    return _mean_of_listed(holders / n_users, items, k, per_user)


def diversity_at_k(items, item_vectors, *, k=None, per_user=False):
    """How different the first k items are from each other: the mean distance of their pairs.

    The distance is 1 - cosine of what describes two items; a vector of zeros has the cosine 0
    with every other (intra-list diversity: Ziegler et al., "Improving Recommendation Lists Through
    Topic Diversification", WWW 2005, who sum the similarities instead).

    Parameters
    ----------
    items : int array of shape (n_users, n_ranks)
        Ranked item indices, best first, -1 for none.
    item_vectors : sparse matrix or array of shape (n_items, n_features)
        What describes each item: genres, an embedding, or the transposed training matrix ``X.T``,
        for which items are similar that the same users have.
    k : int, default=None
        Ranks that count; None for all that items has.
    per_user : bool, default=False
        Return a value for each user.

    Returns
    -------
    float, or float64 array of shape (n_users,)
        Between 0 and 1 where no vector has a negative entry, else at most 2. The mean over the
        users with two items (NaN and a warning if there is none), or one value per user, NaN with
        fewer than two items.

    Raises
    ------
    ValueError
        Where an item is out of range or listed twice, or items has fewer ranks than k asks for.

    Examples
    --------
    >>> from skvae.metrics import diversity_at_k
    >>> genres = [[1, 0], [1, 0], [0, 1]]
    >>> diversity_at_k([[0, 1], [0, 2]], genres, per_user=True)
    array([0., 1.])
    """
    vectors = unit_vectors(item_vectors)
    items = first_k(items, vectors.shape[0], k)
    users, ranks = np.nonzero(items >= 0)
    listed = (np.ones(len(users)), (users, items[users, ranks]))
    listed = sp.csr_array(listed, shape=(len(items), vectors.shape[0]))
    # the cosines of all pairs: half of |sum of the vectors|^2 - sum of |vector|^2
    cosines = -(listed @ row_norms(vectors, squared=True))
    for block in gen_batches(max(1, len(items)), max(1, FLOATS_PER_BLOCK // max(1, vectors.shape[1]))):
        cosines[block] += row_norms(listed[block] @ vectors, squared=True)
    n_listed = np.diff(listed.indptr)
    n_pairs = n_listed * (n_listed - 1) / 2
    return _result(np.maximum(n_pairs - cosines / 2, 0), n_pairs, n_pairs, per_user, "two recommended items")


METRICS = dict(
    ndcg=ndcg_at_k, recall=recall_at_k, precision=precision_at_k, map=map_at_k, mrr=mrr_at_k, hit_rate=hit_rate_at_k
)


def _hits(held_out, items, k):
    """Which of the first k ranks hit, bool (n_users, at most k); relevant items per user; k itself."""
    held_out = as_csr(held_out, "held_out", negative=True)
    n_users, n_items = held_out.shape
    relevant = held_out.data > 0
    holders = users_of_entries(held_out)[relevant]
    keys, n_relevant = holders * n_items + held_out.indices[relevant], np.bincount(holders, minlength=n_users)
    items = first_k(items, n_items, k)
    if len(items) != len(n_relevant):
        raise ValueError(f"held_out has {len(n_relevant)} users, items has {len(items)}: they must be the same.")
    users = np.arange(len(items))[:, None]
    wanted = np.where(items >= 0, users * n_items + items, -1)
    positions = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    hits = keys[positions] == wanted if len(keys) else np.zeros(items.shape, bool)
    return hits, n_relevant, int(items.shape[1] if k is None else k)


def _exposures(items, n_items, k):
    """How many users have each item among their first k, int array (n_items,)."""
    n_items = integer(1)("n_items", n_items)
    items = first_k(items, n_items, k)
    return np.bincount(items[items >= 0], minlength=n_items)


def _holders(X):
    """How many users of X have each item, int array (n_items,); how many users there are."""
    X = as_csr(X)
    if not X.shape[0]:
        raise ValueError("X has no users.")
    return count_users(X), X.shape[0]


def _mean_of_listed(values, items, k, per_user):
    """Mean of an item's value over the items listed for each user."""
    items = first_k(items, len(values), k)
    is_listed = items >= 0
    n_listed = is_listed.sum(1)
    return _result(np.where(is_listed, values[items], 0).sum(1), n_listed, n_listed, per_user, "a recommended item")


def _result(gains, most, n_relevant, per_user, needed="a held-out item"):
    """gains / most, NaN for users without a relevant item; their mean over the others."""
    scores = np.full(len(n_relevant), np.nan)
    scored = n_relevant > 0
    np.divide(gains, most, out=scores, where=scored)
    if flag("per_user", per_user):
        return scores
    if not scored.any():
        warn_user(f"No user has {needed}: the metric is NaN.", UndefinedMetricWarning)
        return float("nan")
    return float(scores[scored].mean())
