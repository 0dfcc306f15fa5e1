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
    rows : list of named tuples
        The table, metric by metric: metric, model, mean, standard_error, difference, difference_error, p_value.
    reference : str
        The model that the others are compared with.
    n_pairs : int
        Of models, for which p-values are adjusted.
    """

    evaluations: dict[str, Evaluation]
    rows: list
    reference: str
    n_pairs: int

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
            difference to the reference "difference", "difference_error" and "p_value", NaN of that model itself.

        Raises
        ------
        ImportError
            Where pandas is not installed.
        """
        return import_pandas().DataFrame(self.rows, columns=Row._fields).set_index(["metric", "model"])

    def __repr__(self):
        head, *rows = self._cells()
        widths = [max(map(len, column)) + 2 for column in zip(head, *rows, strict=True)]
        lines = ["".join(map(str.ljust, row, widths)).rstrip() for row in (head, *rows)]
        return "\n".join([*lines, self._users()])

    def _repr_html_(self):
        head, *rows = self._cells()
        titles = "".join(f"<th>{html.escape(title)}</th>" for title in head)
        cells = "".join(f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in row)}</tr>" for row in rows)
        return f"<table><thead><tr>{titles}</tr></thead><tbody>{cells}</tbody></table><p>{self._users()}</p>"

    def _cells(self):
        """Rows of text, the titles first."""
        yield "metric", "model", "mean", f"above {self.reference}", "p"
        for row in self.rows:
            cells = str(row.metric), str(row.model), f"{row.mean:.4f} +- {row.standard_error:.4f}"
            if row.model == self.reference:
                yield *cells, "", ""
            else:
                yield *cells, f"{row.difference:+.4f} +- {row.difference_error:.4f}", p_in_words(row.p_value)

    def _users(self):
        adjusted = f"; p by Holm for {self.n_pairs} pairs of models, each metric by itself" if self.n_pairs > 1 else ""
        return users_in_words(self.evaluations[self.best]) + adjusted


def compare(models, X, metrics=("ndcg@100", "recall@20", "recall@50"), *, baseline=None, **options):
    """Evaluate several models on the same users, and say how far they are apart.

    To choose a model by this table, pass validation users as X. Then report the scores of the chosen model on other
    users, who took no part in the choice.

    Parameters
    ----------
    models : dict of str to fitted estimator
        Name to a model, as in `skvae.evaluate`.
    X : sparse matrix, array or DataFrame of shape (n_users, n_items), or pair of these
        Users that no model was fitted on, as in `skvae.evaluate`.
    metrics : str, callable, iterable of str, or mapping of str to str or callable
        As in `skvae.RankingScorer`. Models are ordered by the first.
    baseline : str, default=None
        Name of the model that the others are compared with. None: the best by the first metric; p-values are then
        adjusted for all pairs of models, since any model could have been the best.
    **options : object
        As in `skvae.evaluate`: y, held_out_fraction, min_interactions, random_state, min_value, exclude_seen.

    Returns
    -------
    Comparison
        ``evaluations``, ``best``, ``to_frame()``; shows itself as a table. Its p-values are of paired t-tests,
        adjusted by the method of Holm for each metric. So the probability that any difference is falsely called
        significant is at most the significance level.

    Raises
    ------
    TypeError
        Where models is no dict, or an empty one, and as in `skvae.evaluate`.
    ValueError
        If baseline is not one of the models, no user has a score of the first metric, or a metric scores different
        users for two models, and as in `skvae.evaluate`.

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
    'ease'
    """
    if not isinstance(models, Mapping) or not models:
        raise TypeError(
            'models must be a dict of names to fitted models, such as {"ease": ease, "vae": vae}, got '
            f"{'an empty one' if isinstance(models, Mapping) else type(models).__name__}."
        )
    if baseline is not None and baseline not in [*models]:
        raise ValueError(f"baseline must be one of {', '.join(map(repr, models))}, got {baseline!r}.")
    metrics, evaluations = listed_metrics(metrics), {}
    for name, model in models.items():
        try:
            evaluations[name] = evaluate(model, X, metrics, **options)
        except Exception as error:
            error.add_note(f"This was the model {name!r}.")
            raise
    first = next(iter(next(iter(evaluations.values())).per_user))
    if any(np.isnan(evaluation.mean[first]) for evaluation in evaluations.values()):
        raise ValueError(f"Models are ordered by {first}, the first metric, which gave nobody a score.")
    ordered = sorted(evaluations, key=lambda name: evaluations[name].mean[first], reverse=True)
    evaluations = {name: evaluations[name] for name in ordered}
    pairs = [*combinations(reversed(ordered), 2)]
    if baseline is not None:
        pairs = [(name, baseline) for name in ordered if name != baseline]
    return Comparison(evaluations, _rows(evaluations, pairs), ordered[0] if baseline is None else baseline, len(pairs))


def _rows(evaluations, pairs):
    """The table for pairs of (model, reference), among them those that it shows, the last of each model."""
    means = {name: (evaluation.mean, evaluation.standard_error) for name, evaluation in evaluations.items()}
    differences = {}
    for one, other in pairs:
        for metric, scores in evaluations[one].per_user.items():
            if not np.array_equal(np.isnan(scores), np.isnan(evaluations[other].per_user[metric])):
                raise ValueError(f"{metric} is NaN for other users of {one!r} than of {other!r}.")
        difference = evaluations[one] - evaluations[other]
        differences[one, other] = difference.mean, difference.standard_error, difference.p_value
    rows = []
    for metric in next(iter(evaluations.values())).per_user:
        adjusted = _adjusted([p_values[metric] for _, _, p_values in differences.values()])
        of_pairs = zip(differences.items(), adjusted, strict=True)
        shown = {one: (mean[metric], error[metric], p) for ((one, _), (mean, error, _)), p in of_pairs}
        rows += [Row(metric, name, *(part[metric] for part in means[name]), *shown.get(name, ())) for name in means]
    return rows


def _adjusted(p_values):
    """By Holm's method; in the same order."""
    p_values = np.asarray(p_values, float)
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    n_left = np.arange(len(p_values), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(n_left * p_values[order]), 1)
    return adjusted
