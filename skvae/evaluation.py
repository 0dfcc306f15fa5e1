"""Evaluating a fitted model on users it never saw, with standard errors."""

import numbers
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from sklearn.utils import check_scalar

from .matrix import count_interactions
from .model_selection import HELD_OUT_FRACTION, MIN_INTERACTIONS
from .scoring import hide_items, score_users


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of every user, and what they say of the model.

    Two evaluations of the same users subtract to the evaluation of their per-user difference,
    whose standard error tells whether one model is better: ``evaluate(a, X) - evaluate(b, X)``.
    ``by_activity`` splits an evaluation by the users' number of interactions.

    Parameters
    ----------
    per_user : dict of str to float64 array of shape (n_users,)
        NaN for a user without a held-out item.
    """

    per_user: dict

    @property
    def mean(self):
        """Mean over the users counted, dict of str to float."""
        return {name: float(np.mean(scores)) for name, scores in self._counted().items()}

    @property
    def standard_error(self):
        """Standard error of the mean over users, dict of str to float; NaN with one user."""
        return {
            name: float(np.std(scores, ddof=1) / np.sqrt(len(scores))) if len(scores) > 1 else float("nan")
            for name, scores in self._counted().items()
        }

    @property
    def n_users(self):
        """Users counted, int."""
        return len(next(iter(self._counted().values())))

    @property
    def n_left_out(self):
        """Users without a held-out item, int."""
        return len(next(iter(self.per_user.values()))) - self.n_users

    def by_activity(self, X, n_groups=5):
        """The same scores in groups of users with few to many interactions.

        The groups are bounded by quantiles of the number of interactions of the users counted, so
        that each has about equally many users. Users with as many interactions share a group:
        there are fewer groups where many users have the same number.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            The fold-in of the same users, whose interactions are counted.
        n_groups : int, default=5

        Returns
        -------
        list of ActivityGroup
            From the least to the most active users; none of them empty.

        Raises
        ------
        ValueError
            Where X has another number of users, or no user has a score.
        """
        check_scalar(n_groups, "n_groups", numbers.Integral, min_val=1)
        scored = ~np.isnan(next(iter(self.per_user.values())))
        sizes = count_interactions(X)
        if len(sizes) != len(scored):
            raise ValueError(
                f"X has {len(sizes)} users, the evaluation has {len(scored)}: pass the fold-in of the users evaluated."
            )
        if not scored.any():
            raise ValueError("No user of the evaluation has a held-out item: there are no groups to form.")
        inner = np.quantile(sizes[scored], np.arange(1, n_groups) / n_groups)
        group_of_user = np.where(scored, np.digitize(sizes, inner, right=True), -1)
        groups = [np.flatnonzero(group_of_user == group) for group in range(n_groups)]
        return [
            ActivityGroup(int(sizes[users].min()), int(sizes[users].max()), self._of(users))
            for users in groups
            if len(users)
        ]

    def _of(self, users):
        return Evaluation({name: scores[users] for name, scores in self.per_user.items()})

    def _counted(self):
        return {name: scores[~np.isnan(scores)] for name, scores in self.per_user.items()}

    def __sub__(self, other):
        for name in self.per_user:
            mine, others = self.per_user[name], other.per_user.get(name)
            if others is None or not np.array_equal(np.isnan(mine), np.isnan(others)):
                raise ValueError(
                    f"The two evaluations do not score {name} for the same users: evaluate both models "
                    "with the same X, metrics and random_state."
                )
        return Evaluation({name: scores - other.per_user[name] for name, scores in self.per_user.items()})

    def __str__(self):
        errors = self.standard_error
        rows = [f"{name:<14}{mean:>8.4f} +- {errors[name]:.4f}" for name, mean in self.mean.items()]
        return "\n".join([*rows, f"{self.n_users} users, {self.n_left_out} left out"])


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
):
    """Hide items of every user, recommend from the rest, and score each user.

    Parameters
    ----------
    model : fitted estimator with a ``decision_function``
        A Pipeline or a search too.
    X : sparse matrix, array or DataFrame of shape (n_users, n_items)
        Users that fit never saw, or with y their fold-in.
    metrics : str, iterable of str, or mapping of str to callable
        As in `skvae.RankingScorer`. By default the paper's three.
    y : matrix of shape (n_users, n_items), default=None
        The held-out matrix; None hides items of X.
    held_out_fraction, min_interactions, random_state :
        As in `skvae.model_selection.fold_in_split`.
    min_value : float, default=0
        Held-out entries above it are relevant.

    Returns
    -------
    Evaluation
        ``mean``, ``standard_error``, ``n_users``, ``n_left_out``, ``per_user``; prints as a table.

    Raises
    ------
    ValueError
        Where no user has a held-out item.

    Examples
    --------
    >>> from skvae import PopularityRecommender, evaluate
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(n_users=100, n_items=50, random_state=0)
    >>> evaluation = evaluate(PopularityRecommender().fit(X[:80]), X[80:], "ndcg@10")
    >>> evaluation.n_users, evaluation.n_left_out
    (20, 0)
    """
    fold_in, held_out = hide_items(
        X, y, held_out_fraction=held_out_fraction, min_interactions=min_interactions, random_state=random_state
    )
    evaluation = Evaluation(score_users(model, fold_in, held_out, metrics, min_value=min_value))
    if evaluation.n_users == 0:
        raise ValueError(f"No user of X has a held-out item: a user needs {min_interactions} interactions to hide one.")
    return evaluation
