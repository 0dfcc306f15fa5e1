"""What all autoencoders share in public: training, scores, codes, likelihoods and saving."""

import numbers
import os
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.extmath import row_norms
from sklearn.utils.validation import check_is_fitted

from . import fitting
from .autoencoder_memory import check_autoencoder, of_autoencoder
from .callbacks import CallbackSupportMixin, callback_context, with_callbacks
from .core.activations import ACTIVATIONS
from .core.architecture import Architecture, widened
from .core.devices import PRECISIONS, check_device, tensor_of
from .core.initialization import INITIALIZATIONS
from .core.isolation import isolated
from .core.likelihoods import LIKELIHOODS, takes_item_weights, takes_unknown
from .core.objectives import TARGETS
from .core.pieces import piece_of
from .core.processes import ends_alike, process_group
from .fit_identity import check_same_training, checkpoint_of_training, given_to_validate
from .fitted_network import NetworkScorer, forget_inference, inference_and_users, inference_of
from .items import ItemsMixin
from .matrix_checks import check_holds_interactions
from .parameters import (
    flag,
    flag_or_auto,
    integer,
    layer_sizes,
    number,
    optional,
    or_auto,
    path,
    piece,
    random_state,
    share,
)
from .recommender import BaseRecommender, all_or_nothing
from .user_hashes import add_fitted_users
from .validation_users import hold_out_of_fit, refits
from .value_checks import warn_of_full_users, warn_of_lone_items, warn_of_scale, warn_of_uneven_counts

FORMAT_VERSION = 2  # 1: the architecture was a dict without the parts of RecVAE


# Parameter -> check of what all autoencoders have
CHECKS = {
    "n_components": integer(1),
    "hidden_layer_sizes": layer_sizes,
    "activation": piece(ACTIVATIONS),
    "likelihood": piece(LIKELIHOODS, "log_prob", "mean"),
    "dropout": number(minimum=0, maximum=1, boundaries="left"),
    "initialization": or_auto(
        piece(INITIALIZATIONS, "__call__", otherwise=', "auto", or a function of (network, rows, generator)')
    ),
    "learning_rate": number(minimum=0, boundaries="neither"),
    "l2_regularization": number(minimum=0),
    "batch_size": integer(1, auto=True),
    "n_sampled_items": optional(integer(1, auto=True)),
    "max_iter": integer(1),
    "averaging_epochs": number(minimum=0),
    "early_stopping": flag_or_auto,
    "validation_fraction": share,
    "n_iter_no_change": integer(1, auto=True),
    "refit": flag,
    "warm_start": flag,
    "checkpoint": optional(path),
    "precision": piece(PRECISIONS),
    "device": check_device,
    "random_state": random_state,
    "verbose": integer(0),
}

check_target = or_auto(piece(TARGETS, otherwise=', or "auto"'))  # of those that have it


class VectorsMixin:
    """The vectors whose inner products are an autoencoder's scores, for an index of nearest neighbours."""

    weights_: dict[str, np.ndarray]
    _check_interactions: Callable

    def item_vectors(self):
        """A vector of each item: the weights of the decoder's last layer, and the bias as one more component.

        Returns
        -------
        float32 array of shape (n_items, n_components + 1)
            A copy. With hidden layers in the decoder their last one counts instead of n_components. The bias of an
            item that was added and not trained yet is -inf: leave it out of an index.

        Examples
        --------
        >>> import numpy as np
        >>> from skvae import MultDAERecommender
        >>> from skvae.datasets import make_interactions
        >>> X = make_interactions(n_users=100, n_items=30, random_state=0)
        >>> model = MultDAERecommender(4, max_iter=2, random_state=0).fit(X)
        >>> scores = model.query_vectors(X) @ model.item_vectors().T
        >>> np.allclose(scores, model.decision_function(X), atol=1e-5)
        True
        """
        check_is_fitted(self)
        weights = self.weights_
        return np.column_stack([weights["decoder.item_weight"], weights["decoder.item_bias"]])

    def query_vectors(self, X):
        """A vector of each user, to be multiplied by `item_vectors`: the decoder's last hidden layer, and a 1.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)

        Returns
        -------
        float32 array of shape (n_users, n_components + 1)
            As wide as `item_vectors`. The products are the scores of ``decision_function``, to rounding, which with
            precision="bfloat16" is coarse.
        """
        inference, X = inference_and_users(self, X)
        codes = inference.codes(X)
        with isolated(), torch.inference_mode():
            hidden = inference.network.decoder.hidden(tensor_of(codes).to(inference.device))
        return np.column_stack([hidden.numpy(force=True), np.ones(len(codes), np.float32)])


class BaseAutoencoder(
    CallbackSupportMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, VectorsMixin, ItemsMixin, BaseRecommender
):
    """Base of the autoencoders.

    A subclass has its parameters and their ``_checks``, and what `skvae.fitting` asks for, each of checked parameters:
    ``_architecture``, ``_objective`` and ``_kl_schedule``, and ``_resolve_schedule`` where that depends on the data.
    """

    weights_: dict[str, np.ndarray]
    architecture_: Architecture
    _beside_model = ("_training_state", "_held_out_hashes")
    _memory_of_fit = of_autoencoder

    @with_callbacks
    @ends_alike
    def fit(self, X, y=None, *, X_val=None):
        """Train on the users of X.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            Non-negative interactions; users without any are skipped.
        y : ignored
        X_val : matrix of shape (n_validation_users, n_items), or pair, default=None
            Validation users, of whom items are hidden, or a pair (fold_in, held_out). The epoch with the best NDCG@100
            on them is kept. Searches split a matrix that has as many rows as X: pass them the pair.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Where a parameter is out of range, X is negative, not finite or without any interaction, or the loss stops
            being finite; where ``checkpoint`` is that of another fit, is damaged, is in use or cannot be written.
        TypeError
            Where a parameter has the wrong type.
        MemoryError
            Where the fit needs more memory than its device has; before any of the work (`skvae.estimate_cost`).
        KeyboardInterrupt
            Passed on after a Ctrl-C, so that a search stops. Once an epoch is finished the model is
            fitted nevertheless, with the best epoch so far, or without validation users with the
            weights reached; and the checkpoint stays.
        RuntimeError
            Where another process of a process group of torch.distributed failed or ended.
        """
        processes = process_group(f"{type(self).__name__}.fit")
        with processes.agreed():
            parameters = self._checked_parameters()
            table = X
            candidate, X = self._checked_anew(table, y)
            _warn_of_values(X, parameters.likelihood)
            warn_of_lone_items(X)
            if X_val is None and parameters.early_stopping is not False:
                remedy = ", or, to reconstruct the values, pass early_stopping=False"
                warn_of_full_users(X, ", by which epochs are chosen too,", remedy)
            check_autoencoder(self, parameters, X, hold_out=X_val is None)
            is_warm = fitting.is_warm(self, parameters)
            if is_warm:
                fitting.check_goes_on(self, parameters, X, "warm_start=True", table)
            validation = None if X_val is None else candidate._validation_pair(X_val)
            held_out = np.arange(X.shape[0]), np.zeros(0, np.int64)
            if X_val is None:
                wanted = parameters.validation_fraction, parameters.early_stopping
                held_out = hold_out_of_fit(self, X, *wanted, is_warm)
        # whom a model that goes on is validated on depends on its users of before
        given = held_out[1] if is_warm and X_val is None else given_to_validate(X_val, validation)
        fit_of = self, parameters, X, given, processes, is_warm
        check_same_training(*fit_of)
        with ExitStack() as stack:
            with processes.agreed():
                checkpoint = stack.enter_context(checkpoint_of_training(*fit_of))
                n_parts = parameters.max_iter + refits(parameters)
                context = callback_context(self, processes, max_subtasks=n_parts)
            stack.enter_context(self._begin_fit(candidate, keep_model=is_warm))
            if not is_warm:
                forget_inference(self)  # which holds the weights of before
            history = fitting.fit(self, parameters, X, validation, context, checkpoint, processes, held_out=held_out)
        # a Ctrl-C after the last epoch found none to write
        goes_on = parameters.checkpoint is not None and os.path.isfile(parameters.checkpoint)
        fitting.pass_on(history, self, goes_on=goes_on)
        return self

    @ends_alike
    def partial_fit(self, X, y=None):
        """One more pass over the users of X, going on from the weights and the update counter.

        Weights are averaged over the passes of about averaging_epochs calls. Nothing is validated, and no epoch is
        restored. The state of the optimizer is kept from one partial_fit to the next, but not in a saved model.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            The same items as before.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As `fit`, and where sizes of layers or the likelihood are not those of the fitted model.
        """
        processes, goes_on = process_group(f"{type(self).__name__}.partial_fit"), hasattr(self, "weights_")
        with processes.agreed():
            parameters = self._checked_parameters()
            if goes_on:
                X, change = self._check_interactions(X, reset=False), all_or_nothing(self)
                check_holds_interactions(X)
                fitting.check_goes_on(self, parameters, X, "partial_fit")
            else:
                candidate, X = self._checked_anew(X, y)
                change = self._begin_fit(candidate)
            _warn_of_values(X, parameters.likelihood)
        check_same_training(self, parameters, X, None, processes, goes_on)
        with change:
            history = fitting.partial_fit(self, parameters, X, processes)
            add_fitted_users(self, X)
        fitting.pass_on(history, self)
        return self

    def decision_function(self, X):
        """Score of every item for every user: the decoder's output.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            The users' interactions; users that fit never saw are rows like any other.

        Returns
        -------
        float32 array of shape (n_users, n_items)
            Logits, higher is better; the items in X included.
        """
        inference, X = inference_and_users(self, X)
        return inference.decision_function(X)

    def transform(self, X):
        """Code of each user: the posterior mean of the VAE, the code of the DAE.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)

        Returns
        -------
        float32 array of shape (n_users, n_components)
        """
        inference, X = inference_and_users(self, X)
        return inference.codes(X)

    def inverse_transform(self, X):
        """What the likelihood expects of each item, given codes.

        Parameters
        ----------
        X : array of shape (n_users, n_components)
            Codes, as `transform` gives them.

        Returns
        -------
        float32 array of shape (n_users, n_items)
            Item probabilities for multinomial (softmax of the logits, rows summing to 1), the
            probability of each interaction for logistic (sigmoid), the mean itself for gaussian.
            0 for items that were added since and not yet trained.

        Raises
        ------
        ValueError
            Where the codes do not have n_components columns.
        """
        check_is_fitted(self)
        codes = check_array(X, dtype=np.float32, order="C")
        if codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"The codes have {codes.shape[1]} columns, {type(self).__name__} has "
                f"{self._n_features_out} components: pass what transform returned."
            )
        return inference_of(self).item_means(codes)

    def score_samples(self, X, *, n_draws=10):
        """Log-likelihood of each user's interactions, or its lower bound.

        The DAE gives log p(x | code(x)), the VAE the importance-weighted bound on log p(x) from
        draws of the code that are the same for each user. Terms in x alone are dropped, and so are
        items that were added since and not yet trained.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
        n_draws : int, default=10
            Draws of the code: one gives the evidence lower bound, more give a tighter one. The
            DAE draws nothing.

        Returns
        -------
        float64 array of shape (n_users,)
        """
        inference, X = inference_and_users(self, X)
        n_draws = integer(1)("n_draws", n_draws)
        noise = np.random.default_rng(self._seed).standard_normal((n_draws, self._n_features_out), np.float32)
        return inference.log_likelihood(X, noise)

    def block_scorer(self):
        """What `skvae.recommend` ranks by instead of ``decision_function``: the same scores, left on the device.

        Returns
        -------
        object
            With ``scores(X)``, a float32 tensor of shape (n_users, n_items), its ``device``, and
            ``scores_of_items(X)``, a function from a slice of the items to their part of it.
        """
        check_is_fitted(self)
        return NetworkScorer(self)

    def _checked_parameters(self):
        parameters = super()._checked_parameters()
        likelihood = piece_of(parameters.likelihood, LIKELIHOODS)
        if isinstance(parameters.n_sampled_items, int) and not takes_item_weights(likelihood):
            raise ValueError(
                f"n_sampled_items={parameters.n_sampled_items} needs a likelihood with takes_item_weights = True, "
                f"which {parameters.likelihood!r} does not have: use n_sampled_items=None, or one of "
                f"{', '.join(name for name, row in LIKELIHOODS.items() if takes_item_weights(row))}."
            )
        if getattr(parameters, "target", "all") == "dropped":
            _check_can_drop(parameters.dropout, likelihood)
        return parameters

    def _widen(self, n_items):
        self.weights_ = widened(self.weights_, n_items)
        self._training_state = None

    def _refit_parameters(self):
        """Parameters of a fit on more users that ends, without validation users, where this one was best."""
        resolved = {"target": self.target_} if hasattr(self, "target_") else {}
        if not isinstance(self.random_state, numbers.Integral):  # whose state is another one after a kill
            resolved["random_state"] = self._seed
        return {"max_iter": self.best_iter_, "early_stopping": False, **resolved}

    def _item_similarity(self, items):
        vectors, trained = self.weights_["decoder.item_weight"], np.isfinite(self.weights_["decoder.item_bias"])
        norms = row_norms(vectors)
        lengths = np.where(norms > 0, norms, 1)
        cosines = (vectors[items] / lengths[items, None]) @ vectors.T
        cosines /= lengths
        cosines[:, ~trained] = cosines[~trained[items]] = -np.inf  # an added item is like no other yet
        return cosines

    @property
    def _n_features_out(self):
        """Components of the fitted code, which get_feature_names_out counts."""
        return self.architecture_.n_components

    def __getstate__(self):
        state = dict(super().__getstate__())
        if "architecture_" in state:  # fitted, or in training
            state["_training_state"] = None  # as large as three copies of the weights
            state["architecture_"] = dict(vars(self.architecture_))  # no class in a file but the estimator's
        return {**state, "_skvae_format": FORMAT_VERSION}

    def __setstate__(self, state):
        state = dict(state)
        version = state.pop("_skvae_format", FORMAT_VERSION)
        if version > FORMAT_VERSION:
            raise ValueError(
                f"This model was saved in format {version}, this version of skvae reads up to "
                f"{FORMAT_VERSION}: upgrade skvae."
            )
        state = _of_format_1(state) if version == 1 else state
        if "architecture_" in state:
            state["architecture_"] = Architecture(**state["architecture_"])
        super().__setstate__(state)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


class PosteriorMixin:
    """``posterior`` and ``sample_posterior`` of an autoencoder whose code is a distribution."""

    def posterior(self, X):
        """Mean and standard deviation of q(z|x), the distribution of each user's code.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)

        Returns
        -------
        mean : float32 array of shape (n_users, n_components)
            What `transform` returns.
        standard_deviation : float32 array of shape (n_users, n_components)
        """
        inference, X = inference_and_users(self, X)
        return inference.posterior(X)

    def sample_posterior(self, X, n_draws=1, *, random_state=None):
        """Draw codes of each user from q(z|x).

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
        n_draws : int, default=1
        random_state : int, RandomState instance or None, default=None

        Returns
        -------
        float32 array of shape (n_draws, n_users, n_components)
            ``inverse_transform`` of a draw gives item probabilities.
        """
        n_draws = integer(1)("n_draws", n_draws)
        mean, standard_deviation = self.posterior(X)
        noise = check_random_state(random_state).standard_normal((n_draws, *mean.shape))
        return (mean + standard_deviation * noise).astype(np.float32)


def _warn_of_values(X, likelihood):
    warn_of_scale(X)
    if isinstance(likelihood, (str, *LIKELIHOODS.values())):  # another one may be of such values
        warn_of_uneven_counts(X)


def _check_can_drop(dropout, likelihood):
    """Raise where nothing is dropped, or the likelihood cannot leave out what is not."""
    if not (dropout and takes_unknown(likelihood)):
        lacking = "a likelihood that says takes_unknown = True" if dropout else "dropout above 0"
        raise ValueError(f'target="dropped" needs {lacking}: use target="all", or "auto".')


def _of_format_1(state):
    """The state of a model saved in format 1."""
    architecture = state.pop("_architecture", None)
    if architecture is not None:  # fitted
        is_recvae = architecture.get("prior") == "composite"
        state["architecture_"] = architecture | {"layer_normalization": is_recvae, "skip_connections": is_recvae}
    return state
