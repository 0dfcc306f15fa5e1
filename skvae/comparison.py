"""Several fitted models on the same users in one table, with p-values adjusted for how many were compared."""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from .evaluation import Evaluation, evaluate, import_pandas, p_in_words, users_in_words
from .scoring import listed_metrics


class Row(NamedTuple):
    """One metric of one model, and how far it is above the model that is compared with.

    Parameters
    ----------
    metric, model : str
    mean, standard_error : float
    difference, difference_error, p_value : float
        NaN of the model that is compared with.
    """

    metric: str
    model: str
    mean: float
    standard_error: float
    difference: float = np.nan
    difference_error: float = np.nan
    p_value: float = np.nan


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What `compare` says of several models; it shows itself as a table, in a notebook too.

    Parameters
    ----------
    evaluations : dict of str to Evaluation
        Of each model, the best one by the first metric first.
    baseline : str or None, default=None
        The model that the others are compared with; None: the best one.
    """

    evaluations: dict[str, Evaluation]
    baseline: str | None = None

    @property
    def best(self):
        """Name of the model with the highest mean of the first metric, str."""
        return next(iter(self.evaluations))

    def to_frame(self):
        """The table that is shown, as a DataFrame of pandas.

        Returns
        -------
        DataFrame
            One row per metric and model, which are the index. Columns "mean" and "standard_error", and of the
            difference to the baseline or the best model "difference", "difference_error" and "p_value", NaN of that
            model itself.

        Raises
        ------
        ImportError
            Where pandas is not installed.
        """
        return import_pandas().DataFrame(self._rows(), columns=Row._fields).set_index(["metric", "model"])

    def _rows(self):
        reference, pairs = self._pairs()
        of_reference, rows = self.evaluations[reference], []
        differences = {(one, other): self.evaluations[one] - self.evaluations[other] for one, other in pairs}
        for metric in of_reference.per_user:
            p_values = dict(zip(pairs, _adjusted([differences[pair].p_value[metric] for pair in pairs]), strict=True))
            for name, one in self.evaluations.items():
                row = Row(metric, name, one.mean[metric], one.standard_error[metric])
                if name != reference:
                    pair = (name, reference)
                    numbers = differences[pair].mean[metric], differences[pair].standard_error[metric], p_values[pair]
                    row = Row(*row[:4], *numbers)
                rows.append(row)
        return rows

    def _pairs(self):
        """Name of the model that is compared with, and the pairs of which p-values are adjusted.

        Which one is the best was not known before, so that any pair could have been the one that is shown.
        """
        names = list(self.evaluations)
        if self.baseline is not None:
            return self.baseline, [(name, self.baseline) for name in names if name != self.baseline]
        return self.best, list(combinations(reversed(names), 2))

    def __repr__(self):
        head, *rows = self._told()
        widths = [max(map(len, column)) + 2 for column in zip(head, *rows, strict=True)]
        lines = ["".join(map(str.ljust, row, widths)).rstrip() for row in (head, *rows)]
        return "\n".join([*lines, self._users()])

    def _repr_html_(self):
        head, *rows = self._told()
        titles = "".join(f"<th>{html.escape(title)}</th>" for title in head)
        cells = "".join(f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in row)}</tr>" for row in rows)
        return f"<table><thead><tr>{titles}</tr></thead><tbody>{cells}</tbody></table><p>{self._users()}</p>"

    def _told(self):
        """The table in words, each row a tuple of str, the titles first."""
        yield "metric", "model", "mean", f"above {self._pairs()[0]}", "p"
        for row in self._rows():
            difference = f"{row.difference:+.4f} +- {row.difference_error:.4f}", p_in_words(row.p_value)
            is_reference = row.model == self._pairs()[0]
            of_model = str(row.metric), str(row.model), f"{row.mean:.4f} +- {row.standard_error:.4f}"
            yield *of_model, *(("", "") if is_reference else difference)

    def _users(self):
        return f"{users_in_words(self.evaluations[self.best])}; p by Holm for {len(self._pairs()[1])} differences"


def compare(models, X, metrics=("ndcg@100", "recall@20", "recall@50"), *, baseline=None, **options):
    """Evaluate several models on the same users, and say how far they are apart.

    Whoever chooses among the models by this table chooses on validation users: what is reported of the chosen one then
    comes from users who took no part in the choice.

    Parameters
    ----------
    models : dict of str to fitted estimator
        Name to a model, as in `skvae.evaluate`.
    X : sparse matrix, array or DataFrame of shape (n_users, n_items), or pair of these
        Users that no model was fitted on, as in `skvae.evaluate`.
    metrics : str, callable, iterable of str, or mapping of str to str or callable
        As in `skvae.RankingScorer`. Models are ordered by the first.
    baseline : str, default=None
        Name of the model that the others are compared with. None: the best by the first metric, and p-values are
        adjusted for all pairs of models, any of which could have been the one that is shown.
    **options : object
        As in `skvae.evaluate`: y, held_out_fraction, min_interactions, random_state, min_value, exclude_seen.

    Returns
    -------
    Comparison
        ``evaluations``, ``best``, ``to_frame()``; shows itself as a table. Its p-values are of paired t-tests, adjusted
        by the method of Holm, metric by metric: with so many differences the chance to take any for real that is none
        is at most the level.

    Raises
    ------
    TypeError
        Where models is no dict, and as in `skvae.evaluate`.
    ValueError
        Where there is no model or baseline is none of them, and as in `skvae.evaluate`.

    References
    ----------
    Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6 (1979)

    Examples
    --------
    >>> from skvae import EASERecommender, LinearRecommender, PopularityRecommender, compare
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(n_users=300, n_items=50, random_state=0)
    >>> models = {"ease": EASERecommender(), "linear": LinearRecommender(), "popular": PopularityRecommender()}
    >>> compare({name: model.fit(X[:200]) for name, model in models.items()}, X[200:], "recall@5").best
    'linear'
    """
    if not isinstance(models, Mapping):
        raise TypeError(
            'models must be a dict of names to fitted models, such as {"ease": ease, "vae": vae}, got '
            f"{type(models).__name__}."
        )
    if not models or baseline not in (None, *models):
        named = ", ".join(map(repr, models)) or "none"
        raise ValueError(f"baseline must be the name of one of the models, got {baseline!r}; their names are: {named}.")
    metrics = listed_metrics(metrics)
    evaluations = {name: evaluate(model, X, metrics, **options) for name, model in models.items()}
    first = next(iter(next(iter(evaluations.values())).per_user))
    best_first = sorted(evaluations, key=lambda name: evaluations[name].mean[first], reverse=True)
    return Comparison({name: evaluations[name] for name in best_first}, baseline)


def _adjusted(p_values):
    """By Holm's method; in the same order."""
    p_values = np.asarray(p_values, float)
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    n_left = np.arange(len(p_values), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(n_left * p_values[order]), 1)
    return adjusted
