"""Blending recommenders: their scores standardised for each user, weighted and summed."""

import numpy as np
from sklearn.base import clone
from sklearn.utils import Bunch, get_tags
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from .checkpoints import checkpoint_of
from .core.checkpoint import kept
from .core.state_file import is_plain
from .model_selection import hold_out_users
from .parameters import check_parameters, flag, optional, path, piece, share
from .ranking import item_scores, top_k, users_per_block
from .recommender import BaseRecommender
from .scoring import VALIDATION_METRIC, hide_items, metric_functions

# Steps of a line search over weights
LINE = np.linspace(0, 1, 21)


class BlendRecommender(_BaseComposition, BaseRecommender):
    """Recommend by the weighted sum of several recommenders' scores.

    The scores of each member are standardised for each user, to mean 0 and standard deviation 1
    over the items that the user has not seen: those are the ones to rank, and the high scores
    that many models give to seen items would otherwise set the scale. Equal scores become 0; an
    item with the score -inf counts for nothing and keeps it.

    Parameters
    ----------
    estimators : list of (str, estimator) pairs
        Members with a ``decision_function`` that scores all items: recommenders of skvae, a
        Pipeline or a search around one. Their parameters are set as ``name__parameter``, and a
        member set to ``"drop"`` is left out.
    weights : "auto" or list of float, default="auto"
        Of the members, not negative; only their ratios matter. "auto": learned on validation
        users, as said below.
    normalization : {"standard", "none"} or callable, default="standard"
        What makes the members' scores comparable for each user: standard, as said above, or none
        for members on the same scale. Or a function of (scores, seen), a float32 array of shape
        (n_users, n_items), which it may overwrite, and the row and column numbers of what the
        users have; it returns such an array.
    validation_fraction : float, default=0.1
        Share of the users with at least 5 interactions on whom "auto" learns the weights, where
        fit gets no X_val.
    prefit : bool, default=False
        Take the members as they are, fitted, instead of fitting clones of them; what fit gets are
        then validation users. In a search, which clones, wrap fitted members in
        `sklearn.frozen.FrozenEstimator` instead.
    checkpoint : path or None, default=None
        Where fit keeps the members that are fitted, a file or a folder, to go on from after a kill:
        they are not fitted again, and the one under way goes on from a checkpoint of its own beside
        it. As in `MultVAERecommender`. Members that are no recommenders of skvae, such as a
        Pipeline around one, are fitted again, unless they have a ``checkpoint`` of their own.

    Attributes
    ----------
    estimators_ : list of estimators
        The fitted members, without dropped ones.
    weights_ : float64 array of shape (n_members,)
        Of ``estimators_``, with sum 1.
    best_validation_score_ : float or None
        NDCG@100 of ``weights_`` on the validation users that they were learned on.
    n_features_in_ : int
        n_items.
    feature_names_in_ : array of str
        Item names, where fit got a DataFrame.

    Notes
    -----
    "auto" looks for the highest mean NDCG@100 of the validation users: over 21 shares of one member,
    the others in proportion, which for two members is all there is, and for more goes twice around
    them. Then it goes back towards equal weights, to the first of 21 points that is within one
    standard error (of the paired difference over users) of that highest mean: members that are
    about equally good get about equal weights, instead of what happened to be best for a few
    hundred users.

    The validation users are those of X_val, or held out from X: then the members are fitted on
    the others, and not again afterwards. Members whose fit takes X_val get the same users. Where
    validation_fraction gives fewer than 50 users, weights are equal and the members are fitted on
    all.

    Examples
    --------
    >>> from skvae import BlendRecommender, EASERecommender, MultDAERecommender
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(n_users=700, n_items=50, random_state=0)
    >>> dae = MultDAERecommender(16, max_iter=10, random_state=0)
    >>> blend = BlendRecommender([("ease", EASERecommender()), ("dae", dae)]).fit(X[:600])
    >>> items, scores = blend.recommend(X[600:], k=5)  # users it never saw
    >>> items.shape, float(blend.weights_.sum())
    ((100, 5), 1.0)
    """

    def __init__(
        self,
        estimators,
        *,
        weights="auto",
        normalization="standard",
        validation_fraction=0.1,
        prefit=False,
        checkpoint=None,
    ):
        self.estimators = estimators
        self.weights = weights
        self.normalization = normalization
        self.validation_fraction = validation_fraction
        self.prefit = prefit
        self.checkpoint = checkpoint

    def fit(self, X, y=None, *, X_val=None):
        """Fit the members, and learn their weights where those are "auto".

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            Non-negative interactions; members get them as CSR. With prefit the validation users.
        y : ignored
        X_val : matrix of shape (n_validation_users, n_items), or pair, default=None
            Validation users, of whom items are hidden, or a pair (fold_in, held_out).

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Where names, weights or another parameter are out of range, a prefit member is not
            fitted or knows other items, X is negative or without any interaction, or a member
            does not score every item; where ``checkpoint`` is that of another fit, is damaged, is
            in use or cannot be written.
        TypeError
            Where a member has no ``decision_function``, or a parameter has the wrong type.
        """
        parameters = self._checked_parameters()
        candidate, X = self._checked_anew(X, y)
        trained, validation = candidate._hold_out(parameters, X, X_val)
        given = None if X_val is None else validation
        with checkpoint_of(parameters.checkpoint, self, X, given) as checkpoint:
            self._begin_fit(candidate)
            named = self._fit_members(trained, validation, checkpoint)
            members = [member for member in named.values() if member != "drop"]
            for member in members:
                item_scores(member, X[:1])  # one of other items says so now
            weights, score = self._given_weights(), None
            if validation is not None and isinstance(self.weights, str):
                weights, score = _learned_weights(members, _normalizer(self.normalization), *validation)
            checkpoint.remove()
        self.estimators_, self._named_members = members, named
        self.weights_, self.best_validation_score_ = weights / weights.sum(), score
        return self

    def decision_function(self, X):
        """The weighted sum of the members' standardised scores.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            The users' interactions; users that fit never saw are rows like any other.

        Returns
        -------
        float32 array of shape (n_users, n_items)
            Higher is better; the items in X included.
        """
        check_is_fitted(self)
        X = self._check_interactions(X, reset=False)
        weights = self.weights_[self.weights_ > 0]
        members = [member for member, weight in zip(self.estimators_, self.weights_, strict=True) if weight > 0]
        scores = np.empty(X.shape, np.float32)
        for block in _blocks(X):
            scores[block] = _weighted_sum(
                weights, _normalized_scores(members, _normalizer(self.normalization), X[block])
            )
        return scores

    @property
    def named_estimators_(self):
        """Bunch of str to estimator: the fitted members by name; a dropped one is ``"drop"``."""
        check_is_fitted(self)
        return Bunch(**self._named_members)

    def get_params(self, deep=True):
        """Parameters, and with deep those of the members as ``name__parameter``.

        Parameters
        ----------
        deep : bool, default=True

        Returns
        -------
        dict of str to object
        """
        return self._get_params("estimators", deep=deep)

    def set_params(self, **params):
        """Set parameters, members by their names, and members' parameters as ``name__parameter``.

        Parameters
        ----------
        **params : object

        Returns
        -------
        self
        """
        return self._set_params("estimators", **params)

    def _sk_visual_block_(self):
        from sklearn.ensemble import VotingClassifier  # as slow to import as half of skvae

        return VotingClassifier._sk_visual_block_(self)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = all(get_tags(member).input_tags.sparse for _, member in self._members())
        return tags

    def _members(self):
        return [(name, member) for name, member in self.estimators if member != "drop"]

    def _fit_members(self, X, validation, checkpoint):
        """Name to member, fitted; those that the checkpoint holds are not fitted again."""
        finished, named = checkpoint.read() or {}, {}
        for number, (name, member) in enumerate(self.estimators):
            if self.prefit or member == "drop":
                named[name] = member
            elif name in finished:
                named[name] = _restored(member, finished[name])
            else:
                named[name] = _fitted(member, X, validation, checkpoint.of_member(number))
                learned = _learned(member, named[name])
                if learned and checkpoint.write(finished | {name: learned}):
                    finished[name] = learned
                    checkpoint.remove_member(number)
        return named

    def _hold_out(self, parameters, X, X_val):
        """The users to fit the members on, and the validation pair (fold_in, held_out) or None."""
        learned = isinstance(self.weights, str)
        if X_val is not None or (self.prefit and learned):
            return X, self._validation_pair(X if X_val is None else X_val)
        fitted, validated = hold_out_users(X, parameters.validation_fraction) if learned else (None, ())
        if len(validated):
            return X[fitted], hide_items(X[validated])
        return X, None

    def _given_weights(self):
        """Of the members that are not dropped; equal ones where they are to be learned."""
        weights = np.ones(len(self.estimators)) if isinstance(self.weights, str) else np.asarray(self.weights, float)
        return weights[[member != "drop" for _, member in self.estimators]]

    # -- parameters

    def _checked_parameters(self):
        parameters = check_parameters(self, CHECKS)
        self._check_estimators()
        self._check_weights()
        return parameters

    def _check_estimators(self):
        pairs = self.estimators
        if not (isinstance(pairs, (list, tuple)) and all(isinstance(p, (list, tuple)) and len(p) == 2 for p in pairs)):
            raise TypeError(f"estimators must be a list of (name, estimator) pairs, got {pairs!r}.")
        if not self._members():
            raise ValueError(f"estimators holds no member to blend, got {pairs!r}: name at least one.")
        self._validate_names([name for name, _ in pairs])
        for name, member in self._members():
            if not hasattr(member, "decision_function"):
                raise TypeError(
                    f"The member {name!r}, {member!r}, has no decision_function: blend recommenders, or pipelines "
                    "and searches around them."
                )
            if self.prefit:
                check_is_fitted(member)

    def _check_weights(self):
        if isinstance(self.weights, str):
            if self.weights != "auto":
                raise ValueError(f'weights must be "auto" or a list of numbers, got {self.weights!r}.')
            return
        if np.shape(self.weights) != (len(self.estimators),):
            raise ValueError(f"weights must be {len(self.estimators)}, one a member, got {self.weights!r}.")
        if not all(0 <= weight < np.inf for weight in self.weights) or not self._given_weights().any():
            raise ValueError(f"weights must be finite, not negative and not all 0, got {self.weights!r}.")


def _fitted(member, X, validation, checkpoint):
    """A fitted clone; where it can keep a checkpoint and has no other, that is left to remove."""
    model, keywords = clone(member), {}
    if validation is not None and has_fit_parameter(member, "X_val"):
        keywords["X_val"] = validation
    without = isinstance(member, BaseRecommender) and getattr(member, "checkpoint", "no such parameter") is None
    if checkpoint is None or not without:
        return model.fit(X, None, **keywords)
    with kept():
        model.set_params(checkpoint=checkpoint).fit(X, None, **keywords)
    return model.set_params(checkpoint=None)


def _learned(member, model):
    """What a fitted clone of a recommender has that the recommender has not; nothing, where no file could hold it."""
    if not isinstance(member, BaseRecommender):
        return {}
    learned = {name: value for name, value in model.__getstate__().items() if name not in vars(clone(member))}
    return learned if is_plain(learned) else {}


def _restored(member, learned):
    """A clone with what another has learned."""
    model = clone(member)
    model.__setstate__(vars(model) | learned)
    return model


def _learned_weights(members, normalize, fold_in, held_out):
    """Weights with sum 1 near the best NDCG@100 of the validation users, and the mean they have."""

    def score(candidates):
        return _validation_scores(members, normalize, candidates, fold_in, held_out)

    n_members = len(members)
    equal = best = np.full(n_members, 1 / n_members)
    # with two members the first line holds all their weights
    for member in [*range(n_members)] * 2 if n_members > 2 else range(n_members - 1):
        line = _line(best, member)
        best = line[score(line).mean(axis=1).argmax()]
    towards_equal = equal + LINE[:, None] * (best - equal)
    scores = score(towards_equal)
    behind = scores[-1] - scores
    standard_error = behind.std(axis=1) / np.sqrt(max(1, scores.shape[1] - 1))
    chosen = np.argmax(behind.mean(axis=1) <= standard_error)
    return towards_equal[chosen], float(scores[chosen].mean())


def _line(weights, member):
    """The weights, and those that give each share to one member and the rest to the others in proportion."""
    this = np.eye(len(weights))[member]
    others = weights * (1 - this) if weights[this == 0].any() else 1 - this
    return np.vstack([weights, np.outer(LINE, this) + np.outer(1 - LINE, others / others.sum())])


def _validation_scores(members, normalize, candidates, fold_in, held_out):
    """NDCG@100 of each candidate's weights for each user, float64 of shape (n_candidates, n_users).

    Every block of users is scored once by each member; only that block is held.
    """
    functions, k = metric_functions(VALIDATION_METRIC)
    users = np.flatnonzero(np.diff(held_out.indptr))
    fold_in, held_out = fold_in[users], held_out[users]
    ndcg = np.empty((len(candidates), len(users)))
    for block in _blocks(fold_in):
        seen = fold_in[block].nonzero()
        normalized = _normalized_scores(members, normalize, fold_in[block])
        for candidate, weights in enumerate(candidates):
            scores = _weighted_sum(weights, normalized)
            scores[seen] = -np.inf
            items, _ = top_k(scores, k)
            ndcg[candidate, block] = functions[VALIDATION_METRIC](held_out[block], items, per_user=True)
    return ndcg


def _blocks(X):
    size = users_per_block(X.shape[1])
    return [slice(first, first + size) for first in range(0, X.shape[0], size)]


def _normalizer(normalization):
    return NORMALIZATIONS[normalization] if isinstance(normalization, str) else normalization


def _weighted_sum(weights, normalized):
    # a weight of 0 leaves a score of -inf out too
    return sum(np.float32(w) * scores for w, scores in zip(weights, normalized, strict=True) if w > 0)


def _normalized_scores(members, normalize, X):
    """Each member's scores of one block, comparable."""
    seen = X.nonzero()
    return [normalize(item_scores(member, X), seen) for member in members]


def standardized(scores, seen):
    """Mean 0 and standard deviation 1 over each user's unseen items of finite score; in place.

    Parameters
    ----------
    scores : float32 array of shape (n_users, n_items)
    seen : pair of int arrays
        Row and column numbers of what the users have.

    Returns
    -------
    float32 array of shape (n_users, n_items)
    """
    finite = np.isfinite(scores)
    counted = finite.copy()
    counted[seen] = False
    nothing_left = ~counted.any(axis=1)
    counted[nothing_left] = finite[nothing_left]
    n_counted = np.maximum(1, counted.sum(axis=1, keepdims=True))
    # from the best on down: equal scores are 0 to the bit then
    best = np.max(scores, axis=1, keepdims=True, where=counted, initial=-np.inf)
    scores -= np.where(np.isfinite(best), best, 0)
    scores -= np.sum(scores, axis=1, keepdims=True, where=counted) / n_counted
    deviation = np.sqrt(np.sum(np.square(scores), axis=1, keepdims=True, where=counted) / n_counted)
    scores /= np.where(deviation > 0, deviation, 1)
    return scores


def unchanged(scores, seen):
    """Leave the scores as they are.

    Parameters
    ----------
    scores : float32 array of shape (n_users, n_items)
    seen : pair of int arrays

    Returns
    -------
    float32 array of shape (n_users, n_items)
    """
    return scores


NORMALIZATIONS = {"standard": standardized, "none": unchanged}
CHECKS = {
    "normalization": piece(NORMALIZATIONS, "__call__", otherwise=", or a function of (scores, seen)"),
    "prefit": flag,
    "checkpoint": optional(path),
    "validation_fraction": share,
}
