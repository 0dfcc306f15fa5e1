"""One fit of an autoencoder, from its parameters to its fitted attributes.

What "auto" comes to, where the weights begin, who is validated, and what is stored; the training itself,
early stopping included, is that of `skvae.core.training`.

An autoencoder gives its architecture (``_architecture()``), what is minimised (``_objective(network)``)
and the schedule of beta (``_kl_schedule()``, which ``_resolve_schedule`` may prepare when a fit begins).
"""

import functools
import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from .callbacks import EpochMonitor, NoCallbacks
from .core.architecture import to_numpy, trainable
from .core.batches import UserRows
from .core.devices import is_half_precision, resolve
from .core.inference import Inference
from .core.initialization import INITIALIZATIONS
from .core.interrupts import Interrupts
from .core.training import Settings, Training
from .model_selection import hold_out_users
from .ranking import users_per_block
from .scoring import VALIDATION_METRIC, hide_items, score_users


def fit(estimator, X, X_val, context):
    """Train for max_iter epochs at most, from initial weights or, with warm_start, from those of the last fit.

    Parameters
    ----------
    estimator : autoencoder
        Its parameters checked; gets its fitted attributes.
    X : csr_array of shape (n_users, n_items)
        Checked.
    X_val : matrix, pair or None
        Validation users as in `skvae.MultVAERecommender.fit`.
    context : callback context
        Of the fit.
    """
    X, validation = _hold_out(estimator, X, X_val)
    rows = UserRows(X, device=resolve(estimator.device))
    network = _fitted_network(estimator) if estimator.warm_start and _can_continue(estimator, X) else None
    if network is None:
        network = _begin(estimator, rows)
    estimator.early_stopping_ = validation is not None and estimator.early_stopping in ("auto", True)
    _warn_below_final(estimator, estimator.n_updates_ + estimator.max_iter * _updates_per_epoch(estimator, rows))
    _train(estimator, network, rows, estimator.max_iter, estimator.averaging_epochs, validation, context)


def partial_fit(estimator, X):
    """Train for one epoch, from initial weights or those that there are; nothing is validated or averaged.

    Parameters
    ----------
    estimator : autoencoder
        Its parameters checked; gets its fitted attributes.
    X : csr_array of shape (n_users, n_items)
        Checked.
    """
    rows = UserRows(X, device=resolve(estimator.device))
    if hasattr(estimator, "weights_"):
        network = _fitted_network(estimator)
    else:
        network = _begin(estimator, rows)
        estimator.early_stopping_ = False
    _train(estimator, network, rows, 1, 0.0, None, NoCallbacks(), keep_state=True)


# -- where a fit begins


def _hold_out(estimator, X, X_val):
    """The users to train on, and the validation pair (fold_in, held_out) or None."""
    if X_val is not None:
        return X, estimator._validation_pair(X_val)
    if estimator.early_stopping not in ("auto", True):
        return X, None
    required = estimator.early_stopping != "auto"
    trained, validated = hold_out_users(X, estimator.validation_fraction, required=required)
    if len(validated):
        return X[trained], hide_items(X[validated])
    if required:
        estimator._warn_of_no_validation()
    return X, None


def _begin(estimator, rows):
    """Set what a fit begins with: seed, counters, what "auto" means; the network with its initial weights."""
    estimator.__dict__.pop("weights_", None)  # a fit that fails leaves no model
    estimator.architecture_ = estimator._architecture()
    estimator._seed = int(check_random_state(estimator.random_state).randint(np.iinfo(np.int32).max))
    _resolve(estimator, n_users=len(rows.non_empty()), n_interactions=len(rows.items))
    estimator._resolve_schedule(
        estimator.max_iter * _updates_per_epoch(estimator, rows), len(rows.items) / len(rows.non_empty())
    )
    estimator.n_iter_ = estimator.n_updates_ = 0
    estimator.loss_curve_, estimator.beta_curve_ = [], []
    estimator.validation_scores_ = estimator.best_validation_score_ = None
    estimator._training_state = None
    network = estimator.architecture_.build(rows.n_items).to_empty(device="cpu")
    name = estimator.initialization
    initialize = INITIALIZATIONS[name] if isinstance(name, str) else name
    initialize(network, rows, torch.Generator().manual_seed(estimator._seed))
    return network


def _resolve(estimator, n_users, n_interactions):
    """Set what "auto" comes to."""
    batch_size, patience = estimator.batch_size, estimator.n_iter_no_change
    estimator.batch_size_ = _auto_batch_size(n_users) if batch_size == "auto" else batch_size
    estimator.n_iter_no_change_ = _auto_patience(n_interactions) if patience == "auto" else patience


def _auto_batch_size(n_users):
    """Users a batch: a fortieth of them, at least 32 and at most the paper's 500."""
    return int(np.clip(n_users // 40, 32, 500))


def _auto_patience(n_interactions):
    """Epochs without a rise: those of three million interactions, at least 10 and at most 100."""
    return int(np.clip(3_000_000 // n_interactions, 10, 100))


def _updates_per_epoch(estimator, rows):
    """Of one pass over the users."""
    return -(-len(rows.non_empty()) // estimator.batch_size_)


def _can_continue(estimator, X):
    if not hasattr(estimator, "weights_"):
        return False
    n_items = len(estimator.weights_["decoder.item_bias"])
    if n_items != X.shape[1]:
        raise ValueError(
            f"warm_start=True goes on from a model of {n_items} items, X has {X.shape[1]}: pass the "
            "same items, or warm_start=False."
        )
    changed = estimator.architecture_.differences(estimator._architecture())
    if changed:
        raise ValueError(
            f"warm_start=True goes on from a fitted network, whose {' and '.join(changed)} cannot be changed: set "
            f"{getattr(estimator.architecture_, changed[0])!r} again, or warm_start=False."
        )
    return True


def _fitted_network(estimator):
    """A network of copies of the weights: those of a fitted model stay as they are."""
    return estimator.architecture_.build_with(trainable(estimator.weights_), copy=True)


def _warn_below_final(estimator, n_updates):
    schedule = estimator._kl_schedule()
    end = schedule.weight(max(1, n_updates - 1))
    if end < schedule.final:
        warnings.warn(
            f"beta will end at {end:.3g}, below its final {schedule.final:.3g}: the schedule takes more than the "
            f'{n_updates} updates of this fit. Use total_anneal_steps="auto", fewer steps, or more epochs.',
            ConvergenceWarning,
            stacklevel=4,
        )


# -- training, and what is stored of it


def _train(estimator, network, rows, n_epochs, averaging_epochs, validation, context, keep_state=False):
    """Train the network and store what came of it."""
    device = rows.offsets.device
    # taken, not copied: after a training that failed the next one starts with fresh moments
    state, estimator._training_state = estimator._training_state, None
    settings = Settings(
        schedule=estimator._kl_schedule(),
        n_epochs=n_epochs,
        batch_size=estimator.batch_size_,
        learning_rate=estimator.learning_rate,
        l2_regularization=estimator.l2_regularization,
        averaging_epochs=averaging_epochs,
        patience=estimator.n_iter_no_change_ if estimator.early_stopping_ else None,
        half_precision=is_half_precision(estimator.precision, device),
    )
    network = network.to(device)
    seed = (estimator._seed + estimator.n_updates_) % 2**63
    training = Training(estimator._objective(network), rows, settings, seed, estimator.n_updates_)
    if state is not None:
        training.resume(state)
    validate = validation and functools.partial(validation_score, *validation)
    with Interrupts() as interrupts:
        history = training.run(interrupts, validate, EpochMonitor(estimator, network, n_epochs, validation, context))
        _store(estimator, network, history)
        if (keep_state or estimator.warm_start) and not history.restored:
            estimator._training_state = training.state()
    if history.interrupt is not None:
        _pass_on(history, estimator)


def validation_score(fold_in, held_out, network, products):
    """NDCG@100 of a network in training on the validation users.

    Parameters
    ----------
    fold_in, held_out : csr_array of shape (n_users, n_items)
    network : module
    products : ItemProducts
        Of the training.

    Returns
    -------
    float
    """
    products.refresh(network.decoder.item_weight)
    model = Inference(network, products, users_per_block(fold_in.shape[1], network.decoder.item_bias.device))
    return float(np.nanmean(score_users(model, fold_in, held_out, VALIDATION_METRIC)[VALIDATION_METRIC]))


def _store(estimator, network, history):
    estimator.weights_ = to_numpy(network)
    estimator.best_iter_ = estimator.n_iter_ + history.best_epoch
    estimator.n_iter_ += len(history.losses)
    estimator.n_updates_ = history.n_updates
    estimator.loss_curve_ = [*estimator.loss_curve_, *history.losses]
    estimator.beta_curve_ = [*estimator.beta_curve_, *history.betas]
    if history.validation_scores:
        estimator.validation_scores_ = [*(estimator.validation_scores_ or []), *history.validation_scores]
        estimator.best_validation_score_ = history.validation_scores[history.best_epoch - 1]


def _pass_on(history, estimator):
    """Raise the KeyboardInterrupt of a training that was stored: or a search would go on with its next candidate."""
    kept = f"of epoch {estimator.best_iter_}, the best so far" if history.restored else "reached"
    message = f"after {estimator.n_iter_} epochs; {type(estimator).__name__} is fitted, with the weights {kept}."
    raise KeyboardInterrupt(message).with_traceback(history.interrupt.__traceback__)
