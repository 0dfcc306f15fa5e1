"""Scorers for cross-validation: hide items, recommend in blocks, score."""

import inspect
import numbers
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.utils import check_scalar

from .columns import check_same_cells, shape_of
from .core.user_warnings import warn_user
from .hiding import HELD_OUT_FRACTION, MIN_INTERACTIONS, check_hiding, entries, hide_in_blocks, why_nobody_is_scored
from .item_checks import MOST_RANKS
from .matrix import as_csr, count_interactions, row_sliceable, take_rows
from .matrix_checks import is_matrix
from .metrics import METRICS
from .ranking import recommend

# By which models are compared where nothing else is asked for: score, early stopping, weights of a blend
VALIDATION_METRIC = "ndcg@100"
USERS_PER_BLOCK = 4096  # whose ranked items are held at once, k of each
# A larger k is ranked only as far as there are items; up to it the last bit of a metric would depend on that
MOST_RANKS_BEYOND_THE_ITEMS = 1000
# Of the items that a user does not have; and users for a warning
LARGE_SHARE_HELD_OUT, FEWEST_USERS_TO_WARN_OF = 0.5, 100
RANKS_OF_FUNCTIONS = 100  # of the items that a metric of one's own gets


def listed_metrics(metrics):
    """Metrics that can be gone through twice: one name, a mapping, or several names.

    Parameters
    ----------
    metrics : str, callable, iterable of str, or mapping of str to str or callable

    Returns
    -------
    str, mapping, list or tuple of str
        A set in alphabetical order, a callable by its name.

    Raises
    ------
    TypeError
        Where it is none of these, such as a held-out matrix.

    Examples
    --------
    >>> from skvae.scoring import listed_metrics
    >>> listed_metrics(f"ndcg@{k}" for k in (5, 10))
    ('ndcg@5', 'ndcg@10')
    """
    if isinstance(metrics, (str, Mapping)):
        return metrics
    if callable(metrics):
        named = metrics.func if isinstance(metrics, partial) else metrics
        return {getattr(named, "__name__", type(named).__name__): metrics}
    if is_matrix(metrics):
        raise TypeError(
            f'metrics must be names such as "ndcg@100", got a matrix of shape {shape_of(metrics)}: held-out items are '
            "passed by name, as y=held_out."
        )
    if not isinstance(metrics, Iterable):
        raise TypeError(f'metrics must be names such as "ndcg@100", or a dict of functions, got {metrics!r}.')
    if isinstance(metrics, (set, frozenset)):
        return tuple(sorted(metrics, key=str))
    return metrics if isinstance(metrics, (list, tuple)) else tuple(metrics)


def metric_functions(metrics):
    """Metric names to functions of (held_out, items, per_user=).

    Parameters
    ----------
    metrics : str, callable, iterable of str, or mapping of str to str or callable
        "ndcg@100", "recall@20", ...; a callable takes (held_out, items, per_user=).

    Returns
    -------
    functions : dict of str to callable
    k : int
        Ranks that the largest "@k" needs, and 100 for a callable.

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
    metrics = listed_metrics(metrics)
    if not len(metrics):
        raise ValueError('metrics is empty: name at least one, such as "ndcg@100".')
    named = named_metrics(metrics)
    found = {name: _function_and_ranks(metric) for name, metric in named.items()}
    k = max(ranks for _, ranks in found.values())
    functions = {name: function for name, (function, _) in found.items()}
    if k > RANKS_OF_FUNCTIONS:
        functions |= {name: partial(_of_the_best, metric) for name, metric in named.items() if callable(metric)}
    return functions, k


def named_metrics(metrics):
    """The metrics of `listed_metrics` by name: a dict of str to a name with its ranks, or a callable.

    Parameters
    ----------
    metrics : str, list or tuple of str, or mapping

    Returns
    -------
    dict

    Raises
    ------
    TypeError
        Where a list holds a callable.
    """
    if isinstance(metrics, Mapping):
        return dict(metrics)
    names = [metrics] if isinstance(metrics, str) else metrics
    for name in names:
        if callable(name):
            raise TypeError(f"metrics lists a function, {name!r}: pass a dict, {{name: function}}.")
        _parse_metric(name)
    return {name: name for name in names}


def _function_and_ranks(metric):
    if callable(metric):
        _check_takes_per_user(metric)
        return metric, RANKS_OF_FUNCTIONS
    metric, k = _parse_metric(metric)
    return partial(METRICS[metric], k=k), k


def _check_takes_per_user(metric):
    try:
        inspect.signature(metric).bind(None, None, per_user=True)
    except ValueError:  # of what is not written in Python there may be no signature
        return
    except TypeError as error:
        raise TypeError(
            f"The metric {metric!r} is called as metric(held_out, items, per_user=True), which it does not take: "
            f"{error}."
        ) from None


def _of_the_best(function, held_out, items, per_user):
    return function(held_out, items[:, :RANKS_OF_FUNCTIONS], per_user=per_user)


def _parse_metric(name):
    match = re.fullmatch(r"(\w+)@([1-9]\d*)", str(name))
    if match is None or match[1] not in METRICS or int(match[2]) > MOST_RANKS:
        raise ValueError(
            f'Unknown metric {name!r}: write one of {", ".join(METRICS)} and its number of ranks, as in "ndcg@100", '
            "or in a dict a function of (held_out, items, per_user=). Coverage, novelty and the like are functions of "
            "skvae.metrics."
        )
    return match[1], int(match[2])


def score_users(model, fold_in, held_out, metrics, *, min_value=0.0, exclude_seen=True):
    """Recommend from the fold-in in blocks and score every user against what was held out.

    `hide_items` gives the two: what the fold-in holds is never hit here, unless exclude_seen is False.

    Parameters
    ----------
    model : fitted estimator with a ``decision_function``
    fold_in : sparse matrix, array or DataFrame of shape (n_users, n_items)
    held_out : sparse of shape (n_users, n_items)
    metrics : str, iterable of str, or mapping of str to str or callable
        As in `metric_functions`.
    min_value : float, default=0
        Held-out entries above it are relevant.
    exclude_seen : bool, default=True
        Rank only items that the fold-in does not hold.

    Returns
    -------
    dict of str to float64 array of shape (n_users,)
        NaN for users without a relevant held-out item.

    Raises
    ------
    ValueError, TypeError
        Where a matrix or a metric is not what it should be.

    Examples
    --------
    >>> from skvae import PopularityRecommender
    >>> from skvae.datasets import make_interactions
    >>> from skvae.hiding import hide_items
    >>> from skvae.scoring import score_users
    >>> X = make_interactions(n_users=100, n_items=50, random_state=0)
    >>> model = PopularityRecommender().fit(X[:80])
    >>> score_users(model, *hide_items(X[80:]), "ndcg@10")["ndcg@10"].shape
    (20,)
    """
    functions, k = metric_functions(metrics)
    check_min_value(min_value)
    fold_in, relevant = row_sliceable(fold_in), as_csr(held_out, "held_out")
    check_same_cells(relevant, fold_in, "held_out", "fold_in")
    relevant = _ones_above(relevant, min_value)
    k = min(k, max(relevant.shape[1], MOST_RANKS_BEYOND_THE_ITEMS))
    # only users who hide something are worth ranking
    users = np.flatnonzero(np.diff(relevant.indptr))
    scores = {name: np.full(relevant.shape[0], np.nan) for name in functions}
    for first in range(0, len(users), USERS_PER_BLOCK):
        rows = users[first : first + USERS_PER_BLOCK]
        items, _ = recommend(model, take_rows(fold_in, rows), k, exclude_seen=exclude_seen)
        for name, function in functions.items():
            scores[name][rows] = _one_each(function(relevant[rows], items.copy(), per_user=True), len(rows), name)
    return scores


def _ones_above(X, min_value):
    """A one for each entry above min_value, and nothing of the others, which a metric of one's own would count."""
    kept = entries(X, is_above(X.data, min_value))
    kept.data = np.ones(kept.nnz, np.int8)
    return kept


def mean_validation_score(model, fold_in, held_out, processes):
    """Mean NDCG@100 of validation users, of whom each process of a group scores its own.

    Parameters
    ----------
    model : fitted estimator with a ``decision_function``
    fold_in, held_out : csr_array of shape (n_users, n_items)
        Of this process's users.
    processes : Alone or ProcessGroup
        As `skvae.core.processes` has them.

    Returns
    -------
    float
    """
    with processes.agreed():
        scores = score_users(model, fold_in, held_out, VALIDATION_METRIC)[VALIDATION_METRIC]
    total, n_scored = processes.totals(float(np.nansum(scores)), int((~np.isnan(scores)).sum()))
    return total / n_scored


def score_pairs(model, pairs, metrics, *, min_value=0.0, exclude_seen=True):
    """What `score_users` gives, of users whose fold-in and held-out come in blocks.

    Parameters
    ----------
    model : fitted estimator with a ``decision_function``
    pairs : iterable of pairs (fold_in, held_out)
        As `skvae.hiding.hide_in_blocks` gives them; one at least.
    metrics, min_value, exclude_seen :
        As in `score_users`.

    Returns
    -------
    dict of str to float64 array of shape (n_users,)
        Of the users of all pairs, one after the other.
    """
    metrics, parts, shares = listed_metrics(metrics), [], []
    for fold_in, held_out in pairs:
        parts.append(score_users(model, fold_in, held_out, metrics, min_value=min_value, exclude_seen=exclude_seen))
        if exclude_seen:
            shares.append(_shares_held_out(fold_in, held_out, min_value))
    of_users = np.concatenate(shares) if shares else np.empty(0)
    if len(of_users) >= FEWEST_USERS_TO_WARN_OF and np.median(of_users) > LARGE_SHARE_HELD_OUT:
        warn_user(
            f"Of the items that they do not have, most users have {np.median(of_users):.0%} held out: a random ranking "
            "would score nearly as well. Where X holds a value for nearly every item, as a table of ratings does, keep "
            "what users liked by a threshold (sklearn.preprocessing.Binarizer, InteractionEncoder)."
        )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _shares_held_out(fold_in, held_out, min_value):
    """Of the items that each user who hides some does not have, the share that is held out."""
    n_hidden = np.diff(_ones_above(as_csr(held_out), min_value).indptr)
    n_left = shape_of(held_out)[1] - count_interactions(fold_in)
    return n_hidden[n_hidden > 0] / np.maximum(n_left[n_hidden > 0], 1)


def is_above(values, min_value):
    """Which values are above min_value; what min_value is in float32, as 3.7 is stored there, is not.

    Parameters
    ----------
    values : array of shape (n,)
    min_value : float

    Returns
    -------
    bool array of shape (n,)
    """
    min_value = float(min_value)
    if np.isfinite(min_value) and not min_value.is_integer():  # which are below 2**53
        min_value = max(min_value, float(np.float32(min_value)))
    return values > np.float64(min_value)  # or it would be rounded to float32


def check_min_value(min_value):
    """Raise where min_value is no number.

    Parameters
    ----------
    min_value : float

    Raises
    ------
    TypeError, ValueError
    """
    check_scalar(min_value, "min_value", numbers.Real)
    if np.isnan(min_value):
        raise ValueError("min_value must be a number, got nan.")


def _one_each(values, n_users, name):
    """What a metric gave, checked: the one value of a mean would be taken as that of every user."""
    if (kind := np.asarray(values).dtype).kind not in "biufO":
        raise TypeError(f"The metric {name!r} must give real numbers, got {kind}.")
    if np.shape(values) != (n_users,):
        raise ValueError(
            f"The metric {name!r} gave values of shape {np.shape(values)} for {n_users} users: with per_user=True it "
            "must give one for each."
        )
    values = np.ma.filled(np.ma.asarray(values, float), np.nan)
    if np.isinf(values).any():
        raise ValueError(f"The metric {name!r} gave an infinite value; of a user without a score it must give NaN.")
    return values


class NobodyIsScored(ValueError):
    """No user can hide an item, or every score is NaN.

    Parameters
    ----------
    message : str
    why : str, default=""
        The part of it that says why, and what to do.
    """

    def __init__(self, message, why=""):
        super().__init__(message)
        self.why = why


@dataclass(frozen=True)
class RankingScorer:
    """Scorer for GridSearchCV and its kin that hides items, recommends and scores.

    ``scorer(estimator, X, y=None)`` hides a part of every user's items, the same part for every
    candidate. The estimator recommends from the rest, once for all metrics, and the scorer returns
    the means of the metrics over the users who hide something. With a two-dimensional y, y is the
    held-out matrix and X the fold-in; a one-dimensional y is ignored.

    A search does not drop columns: a few held-out items, which no training user of the fold has,
    cannot be found. The paper drops such items beforehand.

    Parameters
    ----------
    metrics : str, callable, iterable of str, or mapping of str to str or callable, default="ndcg@100"
        One name or callable gives a float, several names or a mapping a dict: "ndcg@k", "recall@k",
        "precision@k", "map@k", "mrr@k", "hit_rate@k". A dict is for cross_validate, and for searches with
        ``refit="ndcg@100"``; cross_val_score takes a float alone. A callable takes (held_out, items, per_user=): the
        relevant held-out items, int8 csr_array of shape (n_users, n_items) of ones, and 100 ranked items per
        user, int64 array with -1 where none is left. With per_user=True it returns an array of shape (n_users,).
    held_out_fraction : float or int, default=0.2
    min_interactions : int, default=5
    random_state : int, default=0
        These three as in `skvae.fold_in_split`.
    min_value : float, default=0
        Held-out entries above it are relevant; with ratings in X and Binarizer(3.5) as a step,
        3.5 counts the same entries as the model does.
    exclude_seen : bool, default=True
        Rank only items that the fold-in does not hold, and leave those that it holds out of y. False:
        rank all, for shops where people buy again.

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
    exclude_seen: bool = True

    def __post_init__(self):
        if not callable(self.metrics):
            object.__setattr__(self, "metrics", listed_metrics(self.metrics))
        metric_functions(self.metrics)
        check_hiding(self.held_out_fraction, self.min_interactions, self.random_state)
        check_min_value(self.min_value)

    @property
    def __name__(self):
        """The metrics, as the label of an axis in scikit-learn's displays."""
        return ", ".join(named_metrics(listed_metrics(self.metrics)))

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
        hiding = {"held_out_fraction": self.held_out_fraction, "min_interactions": self.min_interactions}
        about = {"exclude_seen": self.exclude_seen, "random_state": self.random_state}
        pairs = hide_in_blocks(X, y, model=estimator, **about, **hiding)
        scores = score_pairs(estimator, pairs, self.metrics, min_value=self.min_value, exclude_seen=self.exclude_seen)
        if all(np.isnan(values).all() for values in scores.values()):
            why = why_nobody_is_scored(X, y, min_value=self.min_value, **hiding)
            n_users = shape_of(X)[0]
            own = [name for name, metric in named_metrics(listed_metrics(self.metrics)).items() if callable(metric)]
            if len(own) == len(scores):
                why += f" Or {', '.join(own)} gave NaN for each of them."
            message = f"None of the {n_users} users can hide an item above min_value={self.min_value}: {why}"
            raise NobodyIsScored(message, why)
        means = {name: float(np.nanmean(values)) for name, values in scores.items()}
        return next(iter(means.values())) if isinstance(self.metrics, str) or callable(self.metrics) else means


ndcg_scorer = RankingScorer()
