"""Scorers for cross-validation: hide items, recommend in blocks, score."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.sparse as sp
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from .matrix import check_same_cells, row_sliceable
from .metrics import METRICS
from .model_selection import HELD_OUT_FRACTION, MIN_INTERACTIONS, check_hiding, fold_in_split
from .ranking import recommend

# By which models are compared where nothing else is asked for: score, early stopping, weights of a blend
VALIDATION_METRIC = "ndcg@100"
USERS_PER_BLOCK = 4096  # whose ranked items are held at once, k of each


def metric_functions(metrics):
    """Metric names to functions of (held_out, items, per_user=).

    Parameters
    ----------
    metrics : str, iterable of str, or mapping of str to callable
        "ndcg@100", "recall@20", ...; a callable takes (held_out, items, per_user=).

    Returns
    -------
    functions : dict of str to callable
    k : int
        Ranks that the largest "@k" needs; 100 where only callables are given.

    Raises
    ------
    ValueError
        Where a name is none of `skvae.metrics.METRICS` with "@k".

    Examples
    --------
    >>> from skvae.scoring import metric_functions
    >>> functions, k = metric_functions(["ndcg@100", "recall@20"])
    >>> list(functions), k
    (['ndcg@100', 'recall@20'], 100)
    """
    if not len(metrics):
        raise ValueError('metrics is empty: name at least one, such as "ndcg@100".')
    if isinstance(metrics, Mapping):
        return dict(metrics), 100
    names = [metrics] if isinstance(metrics, str) else metrics
    parsed = {name: _parse_metric(name) for name in names}
    functions = {name: partial(METRICS[metric], k=k) for name, (metric, k) in parsed.items()}
    return functions, max(k for _, k in parsed.values())


def _parse_metric(name):
    match = re.fullmatch(r"(\w+)@([1-9]\d*)", str(name))
    if match is None or match[1] not in METRICS:
        raise ValueError(
            f'Unknown metric {name!r}: write one of {", ".join(METRICS)} and its number of ranks, as in "ndcg@100".'
        )
    return match[1], int(match[2])


def is_matrix(y):
    """Whether a y is a held-out matrix, and not labels or None, which a search passes on.

    Parameters
    ----------
    y : object

    Returns
    -------
    bool
    """
    return y is not None and (sp.issparse(y) or np.ndim(y) >= 2)


def hide_items(X, y=None, *, held_out_fraction=HELD_OUT_FRACTION, min_interactions=MIN_INTERACTIONS, random_state=0):
    """Fold-in and held-out of a scoring call.

    Parameters
    ----------
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)
    y : matrix of shape (n_users, n_items), or array of shape (n_users,), default=None
        The held-out matrix, X being the fold-in then. A one-dimensional y is labels and ignored.
    held_out_fraction, min_interactions, random_state :
        As in `skvae.model_selection.fold_in_split`, used where y is no matrix.

    Returns
    -------
    fold_in : like X
    held_out : sparse of shape (n_users, n_items)

    Raises
    ------
    ValueError
        Where a matrix y has another shape than X, or other columns.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.scoring import hide_items
    >>> fold_in, held_out = hide_items(np.ones((2, 10)))
    >>> held_out.sum(axis=1)
    array([2., 2.])
    """
    if not is_matrix(y):
        return fold_in_split(
            X, held_out_fraction=held_out_fraction, min_interactions=min_interactions, random_state=random_state
        )
    X, y = row_sliceable(X), row_sliceable(y)
    check_same_cells(y, X, "y")
    return X, sp.csr_array(y if sp.issparse(y) else np.asarray(y))


def score_users(model, fold_in, held_out, metrics, *, min_value=0.0):
    """Recommend from the fold-in in blocks and score every user against what was held out.

    Parameters
    ----------
    model : fitted estimator with a ``decision_function``
    fold_in : sparse matrix, array or DataFrame of shape (n_users, n_items)
    held_out : sparse of shape (n_users, n_items)
    metrics : str, iterable of str, or mapping of str to callable
        As in `metric_functions`.
    min_value : float, default=0
        Held-out entries above it are relevant.

    Returns
    -------
    dict of str to float64 array of shape (n_users,)
        NaN for users without a relevant held-out item.

    Examples
    --------
    >>> from skvae import PopularityRecommender
    >>> from skvae.datasets import make_interactions
    >>> from skvae.scoring import hide_items, score_users
    >>> X = make_interactions(n_users=100, n_items=50, random_state=0)
    >>> model = PopularityRecommender().fit(X[:80])
    >>> score_users(model, *hide_items(X[80:]), "ndcg@10")["ndcg@10"].shape
    (20,)
    """
    functions, k = metric_functions(metrics)
    fold_in, relevant = row_sliceable(fold_in), sp.csr_array(held_out, copy=True)
    relevant.sum_duplicates()
    relevant.data = (relevant.data > min_value).astype(np.int8)
    # only users who hide something are worth ranking
    users = np.flatnonzero(np.diff(relevant.indptr))
    scores = {name: np.full(relevant.shape[0], np.nan) for name in functions}
    for first in range(0, len(users), USERS_PER_BLOCK):
        rows = users[first : first + USERS_PER_BLOCK]
        items, _ = recommend(model, _safe_indexing(fold_in, rows), k)
        for name, function in functions.items():
            scores[name][rows] = function(relevant[rows], items, per_user=True)
    return scores


@dataclass(frozen=True)
class RankingScorer:
    """Scorer for GridSearchCV and its kin that hides items, recommends and scores.

    Called as ``scorer(estimator, X, y=None)`` it hides a part of every user's items (the same
    part for every candidate), has the estimator recommend from the rest, once for all metrics,
    and returns their means over the users who hide something. A two-dimensional y is taken as
    the held-out matrix and X as the fold-in; a one-dimensional y is ignored.

    Columns stay in a search, so that a few held-out items, which no training user of the fold
    has, cannot be hit; the paper drops such items beforehand.

    Parameters
    ----------
    metrics : str, sequence of str, or mapping of str to callable, default="ndcg@100"
        One name gives a float, several give a dict: "ndcg@k", "recall@k", "precision@k",
        "map@k", "mrr@k", "hit_rate@k". A callable takes (held_out, items, per_user=) with 100
        ranked items a user.
    held_out_fraction : float, default=0.2
    min_interactions : int, default=5
    random_state : int, default=0
        These three as in `skvae.model_selection.fold_in_split`.
    min_value : float, default=0
        Held-out entries above it are relevant; with ratings in X and Binarizer(3.5) as a step,
        3.5 counts the same entries as the model does.

    Raises
    ------
    ValueError
        Where no user can hide an item.

    Examples
    --------
    >>> from skvae import PopularityRecommender, RankingScorer
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(n_users=100, n_items=50, random_state=0)
    >>> scorer = RankingScorer(["ndcg@10", "recall@10"])
    >>> sorted(scorer(PopularityRecommender().fit(X[:80]), X[80:]))
    ['ndcg@10', 'recall@10']
    """

    metrics: object = VALIDATION_METRIC
    held_out_fraction: float = HELD_OUT_FRACTION
    min_interactions: int = MIN_INTERACTIONS
    random_state: int = 0
    min_value: float = 0.0

    def __post_init__(self):
        metric_functions(self.metrics)
        check_hiding(self.held_out_fraction, self.min_interactions, self.random_state)

    def __call__(self, estimator, X, y=None):
        """Score a fitted estimator.

        Parameters
        ----------
        estimator : fitted estimator with a ``decision_function``
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
        y : matrix of shape (n_users, n_items), or array of shape (n_users,), default=None

        Returns
        -------
        float, or dict of str to float
        """
        fold_in, held_out = hide_items(
            X,
            y,
            held_out_fraction=self.held_out_fraction,
            min_interactions=self.min_interactions,
            random_state=self.random_state,
        )
        scores = score_users(estimator, fold_in, held_out, self.metrics, min_value=self.min_value)
        if all(np.isnan(values).all() for values in scores.values()):
            raise ValueError(
                f"None of the {_num_samples(X)} users can hide an item above min_value={self.min_value}: a user "
                f"needs {self.min_interactions} interactions. Pass users with more, or lower min_interactions."
            )
        means = {name: float(np.nanmean(values)) for name, values in scores.items()}
        return means[self.metrics] if isinstance(self.metrics, str) else means


ndcg_scorer = RankingScorer()
