"""Evaluating a fitted model on users it never saw, with standard errors."""

import hashlib
import html
import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from .core.user_warnings import warn_user
from .fit_identity import computation_of
from .hiding import HELD_OUT_FRACTION, MIN_INTERACTIONS, entries, hide_in_blocks, why_nobody_is_scored
from .matrix import as_csr, count_interactions, row_blocks
from .matrix_checks import is_matrix, is_pair
from .parameters import integer, share
from .scoring import check_min_value, is_above, listed_metrics, named_metrics, score_pairs
from .user_checks import warn_of_evaluated_users
from .user_hashes import user_hashes

SMALLEST_P = 0.0001  # that is shown
WHOLE = "fold-in and hidden items"  # of the users, which says what X was; a difference needs the same relevant ones
FEW_USERS = 10  # of fewer nobody takes a mean for what it says of the model


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """Scores of every user, and what they say of the model.

    Two evaluations of the same users subtract to the evaluation of their per-user difference,
    whose standard error and ``p_value`` tell whether one model is better: ``evaluate(a, X) - evaluate(b, X)``.
    ``by_activity`` splits an evaluation by the users' number of interactions.

    ``evaluation["ndcg@100"]`` is the mean of one metric. An evaluation shows itself as a small table, in a notebook
    too; ``to_frame`` gives the table to pandas, and ``pandas.DataFrame(evaluation.per_user)`` the scores of every user.

    Parameters
    ----------
    per_user : dict of str to float64 array of shape (n_users,)
        NaN, or masked, for a user without a score, such as one without a held-out item.
    evaluated : dict of str to str, default={}
        Fingerprints of what was evaluated ("fold-in", "held-out items", each metric, ...), by which
        a difference knows that both are of the same; `evaluate` takes them. Of an evaluation made by
        hand nothing is compared.
    is_difference : bool, default=False
        Whether scores are differences, of which there is a ``p_value``.
    """

    per_user: dict
    evaluated: dict = field(default_factory=dict)
    is_difference: bool = False

    def __post_init__(self):
        masked = {name: np.ma.masked_array(values, dtype=float) for name, values in self.per_user.items()}
        scores = {name: values.filled(np.nan) for name, values in masked.items()}
        if len({values.shape for values in scores.values()}) != 1 or next(iter(scores.values())).ndim != 1:
            raise ValueError("per_user must have the scores of the same users for each of its metrics, one at least.")
        object.__setattr__(self, "per_user", scores)

    @property
    def mean(self):
        """Mean over the users counted, dict of str to float; NaN of nobody."""
        return {name: float(np.mean(scores)) if len(scores) else math.nan for name, scores in self._counted().items()}

    @property
    def standard_error(self):
        """Standard error of the mean over users, dict of str to float; NaN with one user."""
        return {
            name: float(np.std(scores, ddof=1) / np.sqrt(len(scores))) if len(scores) > 1 else float("nan")
            for name, scores in self._counted().items()
        }

    @property
    def p_value(self):
        """Of a difference, the two-sided p-value of a paired t-test that its mean is 0: dict of str to float.

        NaN with one user. It speaks of other users, not of other seeds of the training.
        """
        if not self.is_difference:
            raise AttributeError("A p-value is that of a difference: (evaluate(a, X) - evaluate(b, X)).p_value.")
        errors, counted = self.standard_error, self._counted()
        return {name: _p_value(mean, errors[name], len(counted[name])) for name, mean in self.mean.items()}

    def confidence_interval(self, confidence_level=0.95):
        """Confidence interval of each metric's mean over users, by Student's t; of ``a - b`` that of their difference.

        Parameters
        ----------
        confidence_level : float, default=0.95
            Between 0 and 1.

        Returns
        -------
        dict of str to tuple of (float, float)
            Metric to the lower and the upper end; NaN with one user.

        Raises
        ------
        ValueError, TypeError
            Where confidence_level is not between 0 and 1, or no number.
        """
        level = share("confidence_level", confidence_level)
        errors, counted = self.standard_error, self._counted()
        intervals = {}
        for name, mean in self.mean.items():
            n_users = len(counted[name])
            half = float(stdtrit(n_users - 1, (1 + level) / 2)) * errors[name] if n_users > 1 else math.nan
            intervals[name] = mean - half, mean + half
        return intervals

    @property
    def n_users(self):
        """Users counted by any metric, int."""
        return int(np.count_nonzero(_is_scored(self)))

    @property
    def n_left_out(self):
        """Users without a score, such as those without a held-out item; int."""
        return len(next(iter(self.per_user.values()))) - self.n_users

    def by_activity(self, X, n_groups=5):
        """The same scores in groups of users with few to many interactions.

        The groups are bounded by quantiles of the number of interactions of the users counted, so
        that each has about equally many users. Users with as many interactions share a group:
        there are fewer groups where many users have the same number.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            The same users in the same order, whose interactions are counted: their fold-in, or as a whole.
        n_groups : int, default=5

        Returns
        -------
        list of ActivityGroup
            From the least to the most active users; none of them empty.

        Raises
        ------
        ValueError
            Where X has other users or interactions than `evaluate` got, or in another order, or no user has a score.
        """
        n_groups = integer(1)("n_groups", n_groups)
        scored = _is_scored(self)
        X = as_csr(X)
        sizes = count_interactions(X)
        if len(sizes) != len(scored):
            raise ValueError(
                f"X has {len(sizes)} users, the evaluation has {len(scored)}: pass the fold-in of the users evaluated."
            )
        known, given = map(self.evaluated.get, ("fold-in", WHOLE)), _fingerprint(user_hashes(X), X.shape[1])
        if given not in known and WHOLE in self.evaluated and "users" not in self.evaluated:
            raise ValueError(
                "X has other interactions than the users of the evaluation, or has them in another order: pass X as "
                "evaluate got it, or its fold-in."
            )
        if not scored.any():
            raise ValueError("No user of the evaluation has a score: there are no groups to form.")
        n_groups = min(n_groups, np.count_nonzero(scored))  # by which each number has a group of its own already
        inner = np.quantile(sizes[scored], np.arange(1, n_groups) / n_groups)
        group_of_user = np.where(scored, np.digitize(sizes, inner, right=True), -1)
        groups = [np.flatnonzero(group_of_user == group) for group in range(n_groups)]
        return [
            ActivityGroup(int(sizes[users].min()), int(sizes[users].max()), _of_users(self, users))
            for users in groups
            if len(users)
        ]

    def to_frame(self):
        """The table that is shown, as a DataFrame of pandas.

        Returns
        -------
        DataFrame
            One row per metric, which is the index; columns "mean", "standard_error" and "n_users", of a difference
            "p_value" too.

        Raises
        ------
        ImportError
            Where pandas is not installed.

        Examples
        --------
        Several models in one table, without p-values, which `skvae.compare` has:

        >>> import pandas as pd
        >>> from skvae import EASERecommender, PopularityRecommender, evaluate
        >>> from skvae.datasets import make_interactions
        >>> X = make_interactions(n_users=100, n_items=50, random_state=0)
        >>> models = {"popularity": PopularityRecommender(), "EASE^R": EASERecommender()}
        >>> tables = {name: evaluate(model.fit(X[:80]), X[80:]).to_frame() for name, model in models.items()}
        >>> pd.concat(tables, names=["model", "metric"]).shape
        (6, 3)
        """
        pd = import_pandas()
        columns = {"mean": self.mean, "standard_error": self.standard_error}
        columns |= {"p_value": self.p_value} if self.is_difference else {}
        return pd.DataFrame(columns | {"n_users": {name: len(scores) for name, scores in self._counted().items()}})

    def __getitem__(self, metric):
        try:
            return self.mean[metric]
        except KeyError:
            raise KeyError(f"no metric {metric!r}, but {', '.join(map(str, self.per_user))}") from None

    __iter__ = __contains__ = None  # by which Python would ask for metric 0, 1, 2, ...

    def _counted(self):
        return {name: scores[~np.isnan(scores)] for name, scores in self.per_user.items()}

    def __sub__(self, other):
        if not isinstance(other, Evaluation):
            return NotImplemented
        lacking = [name for name in self.per_user if name not in other.per_user]
        if lacking:
            raise ValueError(
                f"The evaluation that is subtracted does not have {', '.join(lacking)}: evaluate both models with the "
                "same metrics."
            )
        for name, mine in self.per_user.items():
            if not np.array_equal(np.isnan(mine), np.isnan(other.per_user[name])):
                raise ValueError(
                    f"The two evaluations do not score {name} for the same users: evaluate both models "
                    "with the same X, metrics and random_state."
                )
        for what, mine in self.evaluated.items():
            if what != WHOLE and other.evaluated.get(what, mine) != mine:
                raise ValueError(
                    f"The two evaluations differ in their {what}: a difference needs the same users, the same hidden "
                    "items and the same metrics, so evaluate both models with the same X, y, metrics and parameters."
                )
        difference = {name: scores - other.per_user[name] for name, scores in self.per_user.items()}
        return Evaluation(difference, self.evaluated, is_difference=True)

    def __repr__(self):
        rows = [f"{name:<14}{mean:>8} +- {error}{'  p '.join(['', *p])}" for name, mean, error, *p in self._rows()]
        return "\n".join([*rows, users_in_words(self)])

    def _repr_html_(self):
        rows = "".join(
            f"<tr><th>{html.escape(name)}</th>{''.join(f'<td>{html.escape(number)}</td>' for number in numbers)}</tr>"
            for name, *numbers in self._rows()
        )
        columns = ["", "mean", "standard error", *(["p"] if self.is_difference else [])]
        head = f"<thead><tr>{''.join(f'<th>{column}</th>' for column in columns)}</tr></thead>"
        return f"<table>{head}<tbody>{rows}</tbody></table><p>{users_in_words(self)}</p>"

    def _rows(self):
        errors, p_values = self.standard_error, self.p_value if self.is_difference else {}
        for name, mean in self.mean.items():
            p = [p_in_words(p_values[name])] if p_values else []
            yield str(name), f"{mean:.4f}", f"{errors[name]:.4f}", *p


def users_in_words(evaluation):
    """How many users an evaluation counts.

    Parameters
    ----------
    evaluation : Evaluation

    Returns
    -------
    str
    """
    of = "difference of the scores of " if evaluation.is_difference else ""
    n_users, n_left_out = evaluation.n_users, evaluation.n_left_out
    why = " for want of a held-out item, or of a score" if n_left_out else ""
    users = "1 user, too few for a standard error" if n_users == 1 else f"{n_users} users"
    return f"{of}{users}, {n_left_out} left out{why}"


def p_in_words(p):
    """A p-value in two digits, down to 0.0001.

    Parameters
    ----------
    p : float

    Returns
    -------
    str
        Such as "= 0.034" and "< 0.0001".
    """
    return f"< {SMALLEST_P}" if p < SMALLEST_P else f"= {p:.2g}"


def import_pandas():
    """The module pandas, which no other part of skvae needs.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        That says how to get it.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            'to_frame needs pandas: pip install "skvae[tables]". Without it there are mean and standard_error.'
        ) from error
    return pd


def _is_scored(evaluation):
    """Which users have a score, bool array; a metric of your own may leave out more of them than the others do."""
    return ~np.isnan([*evaluation.per_user.values()]).all(axis=0)


def _of_users(evaluation, users):
    """An evaluation of some of its users."""
    among = f"{_digest_of(users)} of {evaluation.evaluated.get('users', 'all')}"
    evaluated = evaluation.evaluated and evaluation.evaluated | {"users": among}
    per_user = {name: scores[users] for name, scores in evaluation.per_user.items()}
    return Evaluation(per_user, evaluated, evaluation.is_difference)


class ActivityGroup(NamedTuple):
    """Users with similarly many interactions, and their scores.

    Parameters
    ----------
    fewest, most : int
        Interactions of the least and the most active user of the group.
    evaluation : Evaluation
        Of the group's users.
    """

    fewest: int
    most: int
    evaluation: Evaluation


def evaluate(
    model,
    X,
    metrics=("ndcg@100", "recall@20", "recall@50"),
    *,
    y=None,
    held_out_fraction=HELD_OUT_FRACTION,
    min_interactions=MIN_INTERACTIONS,
    random_state=0,
    min_value=0.0,
    exclude_seen=True,
):
    """Hide items of every user, recommend from the rest, and score each user.

    Parameters
    ----------
    model : fitted estimator with a ``decision_function``
        A Pipeline or a search too.
    X : sparse matrix, array or DataFrame of shape (n_users, n_items), or pair of these
        Users that were not in the training data, or, with y, their fold-in. A pair (fold_in, held_out), such as
        ``split.test`` of a temporal split, is X and y. There is a warning if the model was fitted on most of these
        users.
    metrics : str, callable, iterable of str, or mapping of str to str or callable
        As in `skvae.RankingScorer`. By default the paper's three.
    y : matrix of shape (n_users, n_items), default=None
        The held-out matrix; None hides items of X. Items of y that are also in X are left out, with a warning, since
        they are never recommended.
    held_out_fraction, min_interactions, random_state :
        As in `skvae.fold_in_split`.
    min_value : float, default=0
        Held-out entries above it are relevant.
    exclude_seen : bool, default=True
        Rank only items that are not in the fold-in. False ranks all items, and counts items of y that are also in X,
        for shops where people buy again.

    Returns
    -------
    Evaluation
        ``mean``, ``standard_error``, ``n_users``, ``n_left_out``, ``per_user``; shows itself as a table.

    Raises
    ------
    ValueError
        Where no user has a held-out item, a matrix holds something else than finite, non-negative
        numbers, or y has another shape or other columns than X.
    TypeError
        Where y is no matrix, metrics are no names, or the model has no ``decision_function``.

    Examples
    --------
    >>> from skvae import PopularityRecommender, evaluate
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(n_users=100, n_items=50, random_state=0)
    >>> evaluation = evaluate(PopularityRecommender().fit(X[:80]), X[80:], "ndcg@10")
    >>> evaluation.n_users, evaluation.n_left_out
    (20, 0)
    """
    metrics = listed_metrics(metrics)
    check_min_value(min_value)
    if y is None and is_pair(X) and all(map(is_matrix, X)):
        X, y = X
    if y is not None and not is_matrix(y):
        raise TypeError(
            f"y must be a held-out matrix of the shape of X, got {type(y).__name__}: without y items of X are hidden."
        )
    hiding = {"held_out_fraction": held_out_fraction, "min_interactions": min_interactions}
    pairs = hide_in_blocks(X, y, model=model, exclude_seen=exclude_seen, random_state=random_state, **hiding)
    pairs = _Watched(pairs, min_value)
    scores = score_pairs(model, pairs, metrics, min_value=min_value, exclude_seen=exclude_seen)
    evaluation = Evaluation(scores, pairs.fingerprints() | _settings(metrics, exclude_seen))
    if evaluation.n_users == 0 and pairs.n_relevant:
        raise ValueError(
            f"The metrics {', '.join(scores)} gave NaN for every user, so that there is nothing to average."
        )
    if evaluation.n_users == 0:
        why = why_nobody_is_scored(X, y, min_value=min_value, **hiding)
        raise ValueError(f"No user of X has a held-out item: {why}")
    warn_of_evaluated_users(model, X, y, np.flatnonzero(pairs.hides_something()))
    _warn_of_unknown_users(pairs.shows_nothing()[_is_scored(evaluation)])
    return evaluation


def _p_value(mean, standard_error, n_users):
    if not standard_error:  # all differences are the same
        return float(mean == 0)
    return float(2 * stdtr(n_users - 1, -abs(mean / standard_error)))


def _warn_of_unknown_users(shows_nothing):
    """Warn where most users who are scored have nothing to recommend from."""
    n_unknown, n_users = np.count_nonzero(shows_nothing), len(shows_nothing)
    if n_users >= FEW_USERS and 2 * n_unknown > n_users:
        warn_user(
            f"{n_unknown} of the {n_users} users who are scored have no interaction in X: all of them get the same "
            "items, and the scores say little about the model. Leave them out: pass the rows "
            "np.flatnonzero(X.sum(axis=1)) of X and y."
        )


class _Watched:
    """Pairs (fold_in, held_out), and what is remembered of their users once they have passed by.

    Parameters
    ----------
    pairs : iterable of pairs
    min_value : float
        Held-out entries above it are relevant.
    """

    def __init__(self, pairs, min_value):
        self.pairs, self.min_value = pairs, min_value
        # one number for each user
        self.n_hidden, self.n_seen, self.fold_in, self.whole, self.relevant = [], [], [], [], []
        self.n_relevant = 0

    def __iter__(self):
        for fold_in, held_out in self.pairs:
            seen, hidden = as_csr(fold_in), as_csr(held_out)
            self.n_hidden.append(np.diff(hidden.indptr))
            self.n_seen.append(np.diff(seen.indptr))
            self.fold_in.append(user_hashes(seen))
            self.whole += [user_hashes(seen[block] + hidden[block]) for block in row_blocks(seen)]
            relevant = entries(hidden, is_above(hidden.data, self.min_value))
            self.relevant.append(user_hashes(relevant))
            self.n_relevant += relevant.nnz
            self.n_items = held_out.shape[1]
            yield fold_in, held_out

    def hides_something(self):
        """Which users have a held-out item, of any value; bool (n_users,)."""
        return np.concatenate(self.n_hidden) > 0

    def shows_nothing(self):
        """Which users have no interaction in the fold-in; bool (n_users,)."""
        return np.concatenate(self.n_seen) == 0

    def fingerprints(self):
        """A fingerprint of which cells the users have, whatever their values, for fold-in and held-out items."""
        hashes = {"fold-in": self.fold_in, "held-out items": self.relevant, WHOLE: self.whole}
        return {what: _fingerprint(np.concatenate(parts), self.n_items) for what, parts in hashes.items()}


def _settings(metrics, exclude_seen):
    return {
        "exclude_seen": str(bool(exclude_seen)),
        **{
            f"metric {name}": metric if isinstance(metric, str) else str(computation_of(metric))
            for name, metric in named_metrics(metrics).items()
        },
    }


def _fingerprint(hashes, n_items):
    return f"{n_items} items, {_digest_of(hashes)}"


def _digest_of(integers):
    return hashlib.blake2b(integers.astype("<i8"), digest_size=16).hexdigest()
