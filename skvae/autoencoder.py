"""What both autoencoders share: parameters, fit, and inference through the torch half."""

import functools
import numbers
import warnings
from weakref import WeakKeyDictionary

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted

from .core.batches import UserRows
from .core.devices import check_device, is_present, resolve
from .core.inference import Inference
from .core.initialization import initialize, start_from_svd
from .core.likelihoods import LIKELIHOODS
from .core.networks import ACTIVATIONS, has_bfloat16_products
from .core.optimizer import Adam
from .core.training import train
from .model_selection import MIN_INTERACTIONS, count_interactions
from .ranking import item_scores, users_per_block
from .recommender import BaseRecommender, ItemSimilarityMixin
from .scoring import hide_items, score_users


class _NoCallbacks:
    """A callback context that nobody listens to."""

    def subcontext(self, **task):
        return self

    def call_on_fit_task_begin(self, **task):
        return self

    def call_on_fit_task_end(self, **task):
        return False


class _NoCallbackSupport:
    """The part of scikit-learn's CallbackSupportMixin that fit calls."""

    def _init_callback_context(self, **task):
        return _NoCallbacks()


def _unchanged(method):
    return method


try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9: the same calls without callbacks
    CallbackSupportMixin, with_callbacks = _NoCallbackSupport, _unchanged


# Validation users from which "auto" stops early. With fewer, the standard error of NDCG@100 is
# above .03 and the best epoch is mostly luck.
MIN_VALIDATION_USERS = 50
VALIDATION_METRIC = "ndcg@100"
FORMAT_VERSION = 1

# Fitted estimator -> (its weights_, device, inference): inference writes nothing to the estimator
_inferences: WeakKeyDictionary = WeakKeyDictionary()


class BaseAutoencoder(
    CallbackSupportMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, ItemSimilarityMixin, BaseRecommender
):
    """Base of MultVAERecommender and MultDAERecommender.

    A subclass has ``__init__``, ``_build_objective`` (its network and loss),
    ``_set_kl_schedule``, ``_kl_weight``, ``_final_beta`` and ``_check_own_parameters``.
    """

    weights_: dict[str, np.ndarray]

    @with_callbacks
    def fit(self, X, y=None, *, X_val=None):
        """Train on the users of X.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)
            Non-negative interactions; users without any are skipped.
        y : ignored
        X_val : matrix of shape (n_validation_users, n_items), or pair, default=None
            Validation users, of whom items are hidden, or a pair (fold_in, held_out). The epoch
            with the best NDCG@100 on them is kept.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Where a parameter is out of range, X is negative, not finite or without any
            interaction, or the loss stops being finite.
        TypeError
            Where a parameter has the wrong type.
        KeyboardInterrupt
            Passed on after a Ctrl-C, so that a search stops. Once an epoch is finished the model is
            fitted nevertheless, with the best epoch so far, or without validation users with the
            weights reached.
        """
        self._check_parameters()
        X = self._check_interactions(X, reset=True)
        train_users, validation = self._hold_out_users(X, X_val)
        rows = UserRows(X[train_users] if len(train_users) < X.shape[0] else X, device=self._device())
        weights = self.weights_ if self.warm_start and self._can_continue(X) else self._start(rows)
        context = self._init_callback_context(max_subtasks=self.max_iter)
        context.call_on_fit_task_begin(estimator=self)
        self._train(rows, weights, self.max_iter, validation, context, self.averaging_epochs)
        self._warn_below_cap()
        context.call_on_fit_task_end(estimator=self)
        return self

    def partial_fit(self, X, y=None):
        """One more pass over the users of X, going on from the weights and the update counter.

        Nothing is validated or averaged and no epoch is restored. Optimizer state is kept from one
        partial_fit to the next, but not in a saved model.

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
            As `fit`.
        """
        self._check_parameters()
        first = not hasattr(self, "weights_")
        X = self._check_interactions(X, reset=first)
        if X.nnz == 0:
            raise ValueError(f"X of shape {X.shape} holds no interaction: every entry is 0.")
        rows = UserRows(X, device=self._device())
        weights = self._start(rows) if first else self.weights_
        if first:
            self.early_stopping_ = False
        return self._train(rows, weights, 1, None, _NoCallbacks(), keep_state=True)

    def add_items(self, n_items):
        """Append columns for new items to a fitted model, without a refit.

        Until the next training an added item scores -inf and is recommended to nobody, and scores
        of the others are what they were for users who have none of the added (where blocks of
        users get smaller, to rounding). `partial_fit`, or fit with warm_start, trains all added
        items, from the lowest bias of the others and from zero vectors on. Optimizer state is
        dropped, and so are the names of a DataFrame's columns.

        Parameters
        ----------
        n_items : int
            Columns to append, at least 1.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Where n_items is below 1 or no int.

        Examples
        --------
        >>> from skvae import MultDAERecommender
        >>> from skvae.datasets import make_interactions
        >>> X = make_interactions(n_users=100, n_items=30, random_state=0)
        >>> model = MultDAERecommender(4, max_iter=1, random_state=0).fit(X[:, :28])
        >>> model.add_items(2).partial_fit(X).decision_function(X).shape
        (100, 30)
        """
        check_is_fitted(self)
        check_scalar(n_items, "n_items", numbers.Integral, min_val=1)
        fills = {"encoder.item_weight": 0, "decoder.item_weight": 0, "decoder.item_bias": -np.inf}
        self.weights_ = self.weights_ | {name: _with_rows(self.weights_[name], n_items, fills[name]) for name in fills}
        self.n_features_in_ += int(n_items)
        self.__dict__.pop("feature_names_in_", None)
        self._training_state = None
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
        check_is_fitted(self)
        return self._inference().decision_function(self._check_interactions(X, reset=False))

    def transform(self, X):
        """Code of each user: the posterior mean of the VAE, the code of the DAE.

        Parameters
        ----------
        X : sparse matrix, array or DataFrame of shape (n_users, n_items)

        Returns
        -------
        float32 array of shape (n_users, n_components)
        """
        check_is_fitted(self)
        return self._inference().codes(self._check_interactions(X, reset=False))

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
        return self._inference().item_means(codes)

    def score_samples(self, X, *, n_draws=10):
        """Log-likelihood of each user's interactions, or its lower bound.

        The DAE gives log p(x | code(x)), the VAE the importance-weighted bound on log p(x) from
        draws of the code that are the same for each user. Terms in x alone are dropped.

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
        check_is_fitted(self)
        X = self._check_interactions(X, reset=False)
        check_scalar(n_draws, "n_draws", numbers.Integral, min_val=1)
        noise = np.random.default_rng(self._seed).standard_normal((n_draws, self._n_features_out), np.float32)
        return self._inference().log_likelihood(X, noise)

    @property
    def _n_features_out(self):
        """Components of the fitted code, which get_feature_names_out counts."""
        return self._architecture["n_components"]

    def _item_similarity(self, items):
        vectors = self.weights_["decoder.item_weight"]
        norms = np.linalg.norm(vectors, axis=1)
        lengths = np.where(norms > 0, norms, 1)  # an item that was never trained on is like no other
        return (vectors[items] / lengths[items, None]) @ vectors.T / lengths

    def __sklearn_is_fitted__(self):
        return hasattr(self, "weights_")

    # -- training

    def _start(self, rows):
        """Set what a fit begins with: seed, counters, what "auto" means; returns the initial weights."""
        self.__dict__.pop("weights_", None)  # a fit that fails leaves no model
        self._architecture = self._current_architecture()
        self._seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        n_users = len(rows.non_empty())
        self.batch_size_ = _auto_batch_size(n_users) if self.batch_size == "auto" else self.batch_size
        patience = self.n_iter_no_change
        self.n_iter_no_change_ = _auto_patience(len(rows.items)) if patience == "auto" else patience
        self._set_kl_schedule(self.max_iter * -(-n_users // self.batch_size_), len(rows.items) / n_users)
        objective = self._objective(rows.n_items).to_empty(device="cpu")
        generator = torch.Generator().manual_seed(self._seed)
        initialize(objective, generator)
        if self.initialization == "svd":
            start_from_svd(objective, rows, generator)
        self.n_iter_ = self.n_updates_ = 0
        self.loss_curve_, self.beta_curve_ = [], []
        self.validation_scores_ = self.best_validation_score_ = None
        self._training_state = None
        return _to_numpy(objective)

    def _train(self, rows, weights, n_epochs, validation, callback_context, averaging_epochs=0, keep_state=False):
        """Train from these weights on and store what came of it; weights of a fitted model stay as they are."""
        device = rows.offsets.device
        # taken, not copied: after a training that failed the next one starts with fresh moments
        state, self._training_state = self._training_state, None
        is_held = weights is getattr(self, "weights_", None)  # by the estimator, and by who asked it for them
        objective = _load(self._objective(rows.n_items), _with_biases(weights), copy=is_held).to(device)
        optimizer = Adam(objective, self.learning_rate, self.l2_regularization)
        generator = torch.Generator(device).manual_seed((self._seed + self.n_updates_) % 2**63)
        if state is not None:
            if state["last_weights"] is not None:
                objective.load_state_dict(state["last_weights"])
            # the moments alone: learning rate and weight decay are those of today's parameters
            optimizer.load_state_dict(optimizer.state_dict() | {"state": state["moments"]})
            generator.set_state(state["generator"])
        on_epoch_begin, on_epoch_end = self._epoch_hooks(objective, n_epochs, validation, callback_context)
        history = train(
            objective,
            rows,
            optimizer=optimizer,
            generator=generator,
            batch_size=self.batch_size_,
            n_epochs=n_epochs,
            kl_weight=self._kl_weight,
            first_update=self.n_updates_,
            half_precision=self._half_precision(device),
            averaging_epochs=averaging_epochs,
            validate=validation and functools.partial(self._validate, objective, validation),
            on_epoch_begin=on_epoch_begin,
            on_epoch_end=on_epoch_end,
        )
        self._store(objective, history)
        if (keep_state or self.warm_start) and not history.restored:
            self._training_state = {
                "last_weights": history.last_weights,
                "moments": optimizer.state_dict()["state"],
                "generator": generator.get_state(),
            }
        if history.interrupt is not None:
            # passed on, or a search would go on with its next candidate
            kept = f"of epoch {self.best_iter_}, the best so far" if history.restored else "reached"
            message = f"after {self.n_iter_} epochs; {type(self).__name__} is fitted, with the weights {kept}."
            raise KeyboardInterrupt(message).with_traceback(history.interrupt.__traceback__)
        return self

    def _warn_below_cap(self):
        """A denoising autoencoder has no cap; the VAE says so where beta did not reach it."""

    def _store(self, objective, history):
        self.weights_ = _to_numpy(objective)
        self.best_iter_ = self.n_iter_ + history.best_epoch
        self.n_iter_ += len(history.losses)
        self.n_updates_ = history.n_updates
        self.loss_curve_ = [*self.loss_curve_, *history.losses]
        self.beta_curve_ = [*self.beta_curve_, *history.betas]
        if history.validation_scores:
            self.validation_scores_ = [*(self.validation_scores_ or []), *history.validation_scores]
            self.best_validation_score_ = history.validation_scores[history.best_epoch - 1]

    def _validate(self, objective, validation):
        """NDCG@100 of the network in training on the validation users."""
        fold_in, held_out = validation
        device = objective.decoder.item_bias.device
        model = Inference(objective, users_per_block(fold_in.shape[1], device), self._half_precision(device))
        return float(np.nanmean(score_users(model, fold_in, held_out, VALIDATION_METRIC)[VALIDATION_METRIC]))

    def _epoch_hooks(self, objective, n_epochs, validation, callback_context):
        """What train calls around each epoch: scikit-learn's callbacks, the report, early stopping."""
        # validation users for callbacks that score, and no users rather than those trained on
        X, y = validation or (None, None)
        task = _NoCallbacks()

        def on_epoch_begin():
            nonlocal task
            task = callback_context.subcontext(task_name="epoch")
            task.call_on_fit_task_begin(estimator=self, X=X, y=y)

        def on_epoch_end(history):
            stopped = task.call_on_fit_task_end(
                estimator=self,
                X=X,
                y=y,
                reconstruction_attributes=lambda: {"weights_": _to_numpy(objective, copy=True)},
            )
            return self._on_epoch(n_epochs, history) or stopped

        return on_epoch_begin, on_epoch_end

    def _on_epoch(self, n_epochs, history):
        """Report the epoch; True where early stopping has run out of patience."""
        epoch, scores = len(history.losses), history.validation_scores
        if self.verbose:
            score = f"  {VALIDATION_METRIC} {scores[-1]:.4f}" if scores else ""
            print(
                f"[{type(self).__name__}] epoch {epoch}/{n_epochs}  loss {history.losses[-1]:.3f}"
                f"  beta {history.betas[-1]:.3f}{score}"
            )
        if not (self.early_stopping_ and scores):
            return False
        # before beta is at its cap the objective still changes, and NDCG with it
        first = next((i for i, beta in enumerate(history.betas) if beta >= self._final_beta), epoch)
        waited_since = max(history.best_epoch, first)
        return epoch - waited_since >= self.n_iter_no_change_

    def _hold_out_users(self, X, X_val):
        """Rows to train on, and the validation pair (fold_in, held_out) or None."""
        everyone = np.arange(X.shape[0])
        if X_val is not None:
            validation = self._validation_pair(X_val)
            self.early_stopping_ = validation is not None and self.early_stopping is not False
            return everyone, validation
        users = np.flatnonzero(count_interactions(X) >= MIN_INTERACTIONS)
        n_validation = int(self.validation_fraction * len(users))
        if self.early_stopping == "auto" and n_validation < MIN_VALIDATION_USERS:
            n_validation = 0
        elif self.early_stopping is True and len(users):
            n_validation = max(1, n_validation)
        self.early_stopping_ = self.early_stopping is not False and 0 < n_validation < X.shape[0]
        if not self.early_stopping_:
            if self.early_stopping is True:
                _warn_no_validation()
            return everyone, None
        # always the same users of an X: a warm start must not train on those it validates on
        held_out_users = check_random_state(0).permutation(users)[:n_validation]
        return np.setdiff1d(everyone, held_out_users), hide_items(X[np.sort(held_out_users)])

    def _validation_pair(self, X_val):
        fold_in, held_out = self._hide_items(X_val)
        if held_out.nnz == 0:
            _warn_no_validation()
            return None
        return fold_in, held_out

    def _can_continue(self, X):
        if not hasattr(self, "weights_"):
            return False
        n_items = len(self.weights_["decoder.item_bias"])
        if n_items != X.shape[1]:
            raise ValueError(
                f"warm_start=True goes on from a model of {n_items} items, X has {X.shape[1]}: pass the "
                "same items, or warm_start=False."
            )
        changed = [name for name, value in self._current_architecture().items() if value != self._architecture[name]]
        if changed:
            raise ValueError(
                f"warm_start=True goes on from a fitted network, whose {' and '.join(changed)} cannot be changed: set "
                f"{self._architecture[changed[0]]!r} again, or warm_start=False."
            )
        return True

    # -- the network

    def _objective(self, n_items):
        """The objective that fit began with, its weights still to be set: initialized or loaded."""
        architecture = dict(self._architecture)
        activation, likelihood = ACTIVATIONS[architecture.pop("activation")], architecture.pop("likelihood")
        likelihood = LIKELIHOODS[likelihood]() if isinstance(likelihood, str) else likelihood
        with torch.device("meta"):  # no memory, and none of torch's own initialization
            return self._build_objective(n_items, activation, likelihood, **architecture)

    def _current_architecture(self):
        """The parameters that are fixed by the first fit: set_params does not reach a fitted network."""
        return {
            "n_components": self.n_components,
            "hidden_layer_sizes": tuple(self.hidden_layer_sizes),
            "activation": self.activation,
            "likelihood": self.likelihood,
        }

    def _inference(self):
        """The network around ``weights_`` on the device of inference, made once a device."""
        device = self._inference_device()
        cached = _inferences.get(self)
        if cached is None or cached[0] is not self.weights_ or cached[1:3] != (device, self.precision):
            n_items = len(self.weights_["decoder.item_bias"])
            objective = _load(self._objective(n_items), self.weights_).requires_grad_(False).to(device)
            inference = Inference(objective, users_per_block(n_items, device), self._half_precision(device))
            cached = self.weights_, device, self.precision, inference
            _inferences[self] = cached
        return cached[3]

    def _scorer_on_device(self):
        """What `recommend` ranks by: a function from a block of users to a tensor of scores, and its device."""
        check_is_fitted(self)
        if type(self).decision_function is not BaseAutoencoder.decision_function:  # a subclass ranks by its own
            return lambda X: torch.from_numpy(item_scores(self, X)), "cpu"
        inference = self._inference()
        return lambda X: inference.scores(self._check_interactions(X, reset=False)), inference.device

    def _device(self):
        """Device of training, torch.device."""
        return resolve(self.device)

    def _half_precision(self, device):
        return self.precision == "bfloat16" or (self.precision == "auto" and has_bfloat16_products(device))

    def _inference_device(self):
        if not is_present(self.device):
            warnings.warn(
                f'device="{self.device}" is not present on this machine: {type(self).__name__} answers on '
                'the CPU. Use set_params(device="cpu") to say so.',
                UserWarning,
                stacklevel=4,
            )
            return torch.device("cpu")
        return self._device()

    # -- parameters

    def _check_parameters(self):
        check_scalar(self.n_components, "n_components", numbers.Integral, min_val=1)
        check_scalar(self.max_iter, "max_iter", numbers.Integral, min_val=1)
        check_scalar(self.verbose, "verbose", numbers.Integral, min_val=0)
        check_scalar(self.warm_start, "warm_start", (bool, np.bool_))
        check_scalar(self.dropout, "dropout", numbers.Real, min_val=0, max_val=1, include_boundaries="left")
        check_scalar(self.averaging_epochs, "averaging_epochs", numbers.Real, min_val=0)
        check_scalar(self.learning_rate, "learning_rate", numbers.Real, min_val=0, include_boundaries="neither")
        check_scalar(self.l2_regularization, "l2_regularization", numbers.Real, min_val=0)
        check_scalar(
            self.validation_fraction,
            "validation_fraction",
            numbers.Real,
            min_val=0,
            max_val=1,
            include_boundaries="neither",
        )
        if self.batch_size != "auto":
            _check_number("batch_size", self.batch_size, numbers.Integral, 1)
        if self.n_iter_no_change != "auto":
            _check_number("n_iter_no_change", self.n_iter_no_change, numbers.Integral, 1)
        self._check_choices()
        self._check_own_parameters()

    def _check_choices(self):
        _check_layer_sizes("hidden_layer_sizes", self.hidden_layer_sizes)
        _check_choice("activation", self.activation, sorted(ACTIVATIONS))
        _check_choice("initialization", self.initialization, ["svd", "xavier"])
        _check_choice("precision", self.precision, ["auto", "bfloat16", "float32"])
        if isinstance(self.likelihood, str) or not all(hasattr(self.likelihood, m) for m in ("log_prob", "mean")):
            _check_choice("likelihood", self.likelihood, sorted(LIKELIHOODS), ", or an object with log_prob and mean")
        if self.early_stopping not in ("auto", True, False):
            raise ValueError(f'early_stopping must be "auto", True or False, got {self.early_stopping!r}.')
        check_device(self.device)

    # -- persistence

    def __getstate__(self):
        state = dict(super().__getstate__())
        if "_training_state" in state:
            state["_training_state"] = None  # as large as three copies of the weights
        return {**state, "_skvae_format": FORMAT_VERSION}

    def __setstate__(self, state):
        state = dict(state)
        version = state.pop("_skvae_format", FORMAT_VERSION)
        if version > FORMAT_VERSION:
            raise ValueError(
                f"This model was saved in format {version}, this version of skvae reads up to "
                f"{FORMAT_VERSION}: upgrade skvae."
            )
        super().__setstate__(state)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _auto_batch_size(n_users):
    """Users a batch: a fortieth of them, at least 32 and at most the paper's 500."""
    return int(np.clip(n_users // 40, 32, 500))


def _auto_patience(n_interactions):
    """Epochs without a rise: those of three million interactions, at least 10 and at most 100."""
    return int(np.clip(3_000_000 // n_interactions, 10, 100))


def _check_number(name, value, kind, minimum):
    """A number or the string "auto", said so."""
    if isinstance(value, str):
        raise ValueError(f'{name} must be a number or "auto", got {value!r}.')
    check_scalar(value, name, kind, min_val=minimum)


def _check_choice(name, value, choices, otherwise=""):
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}{otherwise}, got {value!r}.")


def _check_layer_sizes(name, sizes):
    if not isinstance(sizes, (tuple, list)) or not all(isinstance(n, numbers.Integral) and int(n) > 0 for n in sizes):
        raise ValueError(f"{name} must be a tuple of positive ints, such as (600,) or (), got {sizes!r}.")


def _warn_no_validation():
    warnings.warn(
        "No validation user can hide an item (that takes 5 interactions): training on all users for max_iter epochs, "
        "without validation.",
        UserWarning,
        stacklevel=4,
    )


def _load(objective, weights, copy=False):
    """Make the named arrays the parameters of the objective, without a copy unless asked for."""
    tensors = {name: torch.from_dlpack(np.array(w) if copy else w) for name, w in weights.items()}
    objective.load_state_dict(tensors, assign=True)
    return objective


def _with_rows(array, n_rows, value):
    """A copy with rows of one value below."""
    return np.concatenate([array, np.full((n_rows, *array.shape[1:]), value, array.dtype)])


def _with_biases(weights):
    """Weights in which added items, whose bias is -inf, have the lowest bias of the others."""
    bias = weights["decoder.item_bias"]
    known = np.isfinite(bias)
    return weights if known.all() else weights | {"decoder.item_bias": np.where(known, bias, bias[known].min())}


def _to_numpy(objective, copy=False):
    """Name -> float32 array on the CPU, C-contiguous; shares its memory with the objective unless copied."""
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in objective.state_dict().items()}
    return {name: array.copy() for name, array in arrays.items()} if copy else arrays
