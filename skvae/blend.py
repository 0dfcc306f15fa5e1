"""Blending recommenders: their scores standardised for each user, weighted and summed."""

from functools import partial
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Bunch, get_tags
from sklearn.utils.metaestimators import _BaseComposition, available_if
from sklearn.utils.validation import check_is_fitted

from .blend_members import (
    are_pairs,
    check_columns,
    check_members,
    fit_members,
    fitted_pairs,
    for_refit,
    kept_members,
    kept_pairs,
    members_to_widen,
)
from .blend_memory import check_blend, of_blend
from .blend_normalizations import check_normalization, normalizer
from .blend_weights import (
    blocks_of_users,
    check_weights,
    learned_weights,
    normalized_scores,
    trained_and_validated,
    weighted_sum,
    weights_of_kept,
)
from .callbacks import CallbackSupportMixin, as_task, callback_context, with_callbacks
from .core.processes import ends_alike, process_group
from .core.user_warnings import muted, report
from .fit_identity import checkpoint_of, given_to_validate, identity_of
from .items import ItemsMixin, wider
from .linear import LinearRecommender
from .multdae import MultDAERecommender
from .multvae import MultVAERecommender
from .parameters import flag, integer, optional, path, share
from .ranking import DecisionFunctionScorer
from .recommender import BaseRecommender, as_it_is
from .scoring import VALIDATION_METRIC
from .user_checks import warn_of_fitted_members
from .user_hashes import hashes_with_members


def _members_have(method):
    """Whether each member has the method, else an AttributeError that names one without it."""

    def check(blend):
        for name, member in blend._pairs():
            if member != "drop" and not hasattr(member, method):
                raise AttributeError(f"This blend has no {method}, since its member {name!r}, {member!r}, has none.")
        return True

    return check


class BlendRecommender(CallbackSupportMixin, _BaseComposition, ItemsMixin, BaseRecommender):
    """Recommend by the weighted sum of several recommenders' scores.

    The scores of each member are standardised for each user, to mean 0 and standard deviation 1
    over the items that the user has not seen: those are the ones to rank, and the high scores
    that many models give to seen items would otherwise set the scale. Equal scores become 0; an
    item with the score -inf counts for nothing and keeps it.

    Parameters
    ----------
    estimators : list of (str, estimator) pairs, default=None
        Members with ``fit(X)`` and a ``decision_function`` that scores all items: recommenders of skvae, a Pipeline or
        a search around one, models of other libraries. They get X as a csr_array without names, so a step that selects
        columns has to use numbers. Set their parameters as ``name__parameter``; a member set to ``"drop"`` is left
        out. None: ``[("linear", LinearRecommender()), ("dae", MultDAERecommender()), ("vae", MultVAERecommender())]``.
    weights : "auto" or list of float, default="auto"
        Of the members, not negative; only their ratios matter. "auto": learned on validation
        users, as said below.
    normalization : {"standard", "none"} or callable, default="standard"
        What makes the members' scores comparable for each user: standard, as said above, or none
        for members on the same scale. Or a function of (scores, seen), an array of shape
        (n_users, n_items), float32 or of another library's member float64, which it may
        overwrite, and the row and column numbers of what the users have; it returns such an array.
    validation_fraction : float, default=0.1
        Share of the users with at least 5 interactions on whom "auto" learns the weights if fit gets no X_val. If
        these are too few, it is the share of the users with 2 or more. At most 10 000 users.
    refit : bool, default=True
        If weights were learned on some users of X, fit the members once more, on all users. Every member is then
        fitted twice. With False, for example in a quick search, the blend keeps the first fits, which were not trained
        on the validation users.
    prefit : bool, default=False
        Use the fitted members as they are, instead of fitting clones; the X of fit is then the validation users. A
        search clones its estimator: there, wrap fitted members in `sklearn.frozen.FrozenEstimator` instead.
    random_state : int, RandomState instance or None, default=None
        Of the members of estimators=None; those of a list have their own.
    verbose : int, default=0
        Above 0, print a line after each member's fit and after the weights; above 1, the members of estimators=None
        print their epochs too.
    store_user_hashes : bool, default=True
        Keep a hash of each user's items, 8 bytes, so that `evaluate` can warn of users that the model was fitted on.
        Those that prefit or frozen members know are among them; with prefit, those of X if weights are learned on them.
        Anyone who has the model can test whether a user was among them: set False if that must not be possible.
    checkpoint : path or None, default=None
        A file or a folder in which fit saves the fitted members, as in `MultVAERecommender`. After a kill these are
        not fitted again, and the member under way continues from its own checkpoint beside the file. Members that are
        not recommenders of skvae, such as a Pipeline around one, are fitted again, unless they have a ``checkpoint``
        of their own.

    Attributes
    ----------
    estimators_ : list of estimators
        The fitted members, without dropped ones.
    weights_ : float64 array of shape (n_members,)
        Of ``estimators_``, with sum 1.
    best_validation_score_ : float or None
        NDCG@100 of ``weights_`` on the validation users that they were learned on, by the first fits of the members.
    n_features_in_ : int
        n_items.
    feature_names_in_ : array of str
        Item names, where fit got a DataFrame.

    Notes
    -----
    "auto" is a mean of the weights on a grid, in which weights that come near the best count most:

    1. NDCG@100 of every validation user is computed for weights in steps of one share: 1/20 for two members, 1/12 for
       three, 1/6 for four. Steps for more are larger, and weights half-way to equal ones are tried too.
    2. Each is counted exp(-z^2) times, with z its mean difference to the best of them over the standard error of that
       difference (paired, over the users).
    3. A weight below a fortieth of the largest is 0. Where the mean is more than two standard errors behind the best,
       the best is taken: a member that gives items the score -inf forbids them, however little it weighs.

    So members that are about equally good on the validation users get about equal weights, instead of weights that
    happen to be best for a few hundred users, and a member that is clearly worse gets little. On five data sets this
    lost less accuracy against the best weights for the test users than three other rules
    (``benchmarks/blend_weights.py``).

    The validation users are those of X_val, or held out from X: then the members are fitted on
    the others. Members whose fit takes X_val get the same users. Where validation_fraction gives
    fewer than 25 users, weights are equal and the members are fitted on all.

    With refit the members are then fitted on all users, without validation, with the values that the first fit
    resolved:

    - a linear model with the numbers that it chose,
    - an autoencoder up to the epoch that was best, with the same annealing schedule in updates, and with its weights
      averaged over the last epochs as they were in the best one,
    - a blend with its weights,
    - any other member, such as a search, as it is.

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

    _beside_model = ("estimators_", "_named_members")
    _memory_of_fit = of_blend
    _checks: ClassVar = {
        "normalization": check_normalization,
        "prefit": flag,
        "refit": flag,
        "checkpoint": optional(path),
        "validation_fraction": share,
        "verbose": integer(0),
    }
    similar_items = available_if(_members_have("similar_items"))(ItemsMixin.similar_items)
    add_items = available_if(_members_have("add_items"))(ItemsMixin.add_items)

    def __init__(
        self,
        estimators=None,
        *,
        weights="auto",
        normalization="standard",
        validation_fraction=0.1,
        refit=True,
        prefit=False,
        random_state=None,
        verbose=0,
        store_user_hashes=True,
        checkpoint=None,
    ):
        self.estimators = estimators
        self.weights = weights
        self.normalization = normalization
        self.validation_fraction = validation_fraction
        self.refit = refit
        self.prefit = prefit
        self.random_state = random_state
        self.verbose = verbose
        self.store_user_hashes = store_user_hashes
        self.checkpoint = checkpoint

    @with_callbacks
    @ends_alike
    def fit(self, X, y=None, *, X_val=None):
        """Fit the members, and learn their weights where those are "auto".

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            Non-negative interactions; members get them as CSR. With prefit the validation users.
        y : ignored
        X_val : matrix of shape (n_validation_users, n_items), or pair, default=None
            Validation users, of whom items are hidden, or a pair (fold_in, held_out), which searches need.

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
        MemoryError
            Where the fit needs more than this machine's memory; before any of the work (`skvae.estimate_cost`).
        TypeError
            Where a member has no ``decision_function``, or no ``fit`` without prefit, or a parameter has the
            wrong type.
        """
        processes = process_group("BlendRecommender.fit")
        with processes.agreed():
            parameters = self._checked_parameters()
            pairs = self._checked_pairs(parameters)
            _check_no_checkpoint(parameters, processes)
            check_columns(self, pairs, X)
            candidate, X = self._checked_anew(X, y)
            check_blend(self, parameters, X, hold_out=X_val is None)
            trained, validation = candidate._hold_out(parameters, pairs, X, X_val)
        given = given_to_validate(X_val, validation)
        devices = {name: None for name in self.get_params() if name.endswith("__device")}  # which members compare
        processes.check_same(partial(identity_of, self, X, given, **devices))
        with processes.agreed():
            context = callback_context(self, processes, max_subtasks=None)
        with checkpoint_of(parameters.checkpoint, self, X, given) as checkpoint, self._begin_fit(candidate):
            with as_task(context, self, processes):
                verbose = parameters.verbose and processes.is_first
                members = fit_members(self, pairs, trained, validation, checkpoint, context, verbose)
                weights, score = weights_of_kept(self.weights, pairs), None
                if validation is not None and isinstance(self.weights, str):
                    learned_from = kept_members(members), normalizer(parameters.normalization), *validation
                    weights, score = processes.by_first(learned_weights, *learned_from)
                weights = weights / weights.max()  # of which the sum stays finite
                weights /= weights.sum()
                if verbose and score is not None:
                    _report_weights(self, members, weights, score)
                if trained is not X and parameters.refit:
                    with muted(ConvergenceWarning):  # beta ends where it did at the best epoch
                        members = fit_members(self, for_refit(members), X, None, checkpoint, context, verbose, "refit")
                self.estimators_, self._named_members = kept_members(members), dict(members)
                self.weights_, self.best_validation_score_ = weights, score
            checkpoint.remove()
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
            Higher is better; the items in X included. float64 where a member of another library gives it.
        """
        check_is_fitted(self)
        model = as_it_is(self)
        X = model._check_interactions(X, reset=False)
        weights, members = _weighted_members(model)
        normalize, scores = normalizer(self.normalization), np.empty((0, X.shape[1]), np.float32)
        for block in blocks_of_users(X):
            part = weighted_sum(weights, normalized_scores(members, normalize, X[block]))
            scores = scores if len(scores) else np.empty(X.shape, part.dtype)
            scores[block] = part
        return scores

    def block_scorer(self):
        """What `skvae.recommend` ranks by: the members of now for all users, whatever add_items changes meanwhile.

        Returns
        -------
        object
            With ``scores(X)``, a float32 tensor of shape (n_users, n_items), and its ``device``.
        """
        return DecisionFunctionScorer(as_it_is(self))

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

        return VotingClassifier._sk_visual_block_(SimpleNamespace(estimators=self._pairs()))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        pairs = self._pairs()
        members = kept_members(pairs) if are_pairs(pairs) else []  # what are none is refused by fit
        members = [member for member in members if hasattr(member, "__sklearn_tags__")]
        tags.input_tags.sparse = all(get_tags(member).input_tags.sparse for member in members)
        return tags

    def _pairs(self, random_state=None, verbose=0, store_user_hashes=True):
        """The (name, estimator) pairs, of which the default ones get what is given."""
        if self.estimators is not None:
            return self.estimators
        shared = {"verbose": verbose, "store_user_hashes": store_user_hashes}
        autoencoders = [("dae", MultDAERecommender), ("vae", MultVAERecommender)]
        return [("linear", LinearRecommender(**shared))] + [
            (name, model(random_state=random_state, **shared)) for name, model in autoencoders
        ]

    def _checked_pairs(self, parameters):
        """The (name, estimator) pairs, checked with the weights."""
        pairs = self._pairs(parameters.random_state, max(0, parameters.verbose - 1), self.store_user_hashes)
        check_members(self, pairs)
        check_weights(self.weights, pairs)
        return pairs

    def _hold_out(self, parameters, pairs, X, X_val):
        """The users to fit the members on, and the validation pair (fold_in, held_out) or None.

        Whom the blend knows then are the users that its members were fitted on.
        """
        own_hashes = self._user_hashes
        if parameters.prefit:
            self._user_hashes = None  # nobody is trained on
        trained, validation = trained_and_validated(self, X, X_val, parameters.validation_fraction)
        fitted_before = fitted_pairs(pairs, parameters.prefit)
        if fitted_before and validation is not None and len(kept_pairs(pairs)) > 1:
            warn_of_fitted_members(fitted_before, sum(validation))
        if fitted_before and own_hashes is not None:
            counts = not parameters.prefit or (validation is not None and X_val is None)
            self._user_hashes = hashes_with_members(own_hashes if counts else None, fitted_before)
        return trained, validation

    def _refit_parameters(self):
        weights = iter(self.weights_.tolist())
        return {
            "estimators": for_refit(self._named_members.items()),
            "weights": [0.0 if member == "drop" else next(weights) for member in self._named_members.values()],
        }

    def _item_similarity(self, items):
        weights, members = _weighted_members(self)
        normalize, own = normalizer(self.normalization), (np.arange(len(items)), items)
        return weighted_sum(weights, [normalize(_similarities(member, items), own) for member in members])

    def _wider(self, n_items, names):
        members = [pair for member in members_to_widen(self, n_items, names) for pair in wider(member, n_items, names)]
        return [*{id(member): (member, state) for member, state in members}.values(), *super()._wider(n_items, names)]


def _check_no_checkpoint(parameters, processes):
    if parameters.checkpoint is not None and processes.size > 1:
        given = f"checkpoint={parameters.checkpoint!r} is of one process"
        raise ValueError(f"{given}, and {processes.size} fit this blend together: leave it None.")


def _report_weights(blend, members, weights, score):
    named = zip(dict(kept_pairs(members)), weights, strict=True)
    learned = "  ".join(f"{name} {weight:.2f}" for name, weight in named)
    report(f"[{type(blend).__name__}] weights  {learned}  {VALIDATION_METRIC} {score:.4f}")


def _weighted_members(blend):
    """The weights above 0 in float32, and whose they are."""
    weighted = blend.weights_.astype(np.float32) > 0
    members = [member for member, is_weighted in zip(blend.estimators_, weighted, strict=True) if is_weighted]
    return blend.weights_[weighted], members


def _similarities(member, items):
    """A member's similarity of every item to the given ones, -inf where it has none."""
    similar, similarities = member.similar_items(items, member.n_features_in_)
    every = np.full((len(items), member.n_features_in_), -np.inf, np.float32)
    rows, places = np.nonzero(similar >= 0)
    every[rows, similar[rows, places]] = similarities[rows, places]
    return every
