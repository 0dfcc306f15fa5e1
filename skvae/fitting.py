"""One fit of an autoencoder, from its parameters to its fitted attributes.

Where the weights begin, who is validated, and what is stored. What "auto" is resolved to stands in
`skvae.auto_parameters`; the training itself is that of `skvae.core.training`.

An autoencoder gives, of its checked parameters, its architecture (``_architecture(parameters)``), what is minimised
(``_objective(parameters, network)``) and the schedule of beta (``_kl_schedule(parameters)``). One whose schedule
depends on the data has ``_resolve_schedule`` as well, which prepares it when a fit begins.
"""

import copy
import functools

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from . import auto_parameters
from .callbacks import EpochMonitor, NoCallbacks
from .columns import check_columns_of_model
from .core.architecture import to_numpy
from .core.batches import UserRows
from .core.devices import is_half_precision, resolve
from .core.inference import Inference
from .core.initialization import INITIALIZATIONS, begin_items, by_own
from .core.interrupts import Interrupts
from .core.isolation import isolated
from .core.likelihoods import LIKELIHOODS, takes_item_weights, takes_unknown
from .core.training import DivergenceError, History, Settings, Training
from .core.user_warnings import report, warn_user
from .hiding import hide_for_validation
from .ranking import users_per_block
from .scoring import mean_validation_score
from .user_hashes import user_hashes
from .validation_users import refits

NO_HASHES = np.zeros(0, np.uint64)


def fit(estimator, parameters, X, validation, context, checkpoint, processes, *, held_out):
    """Train for max_iter epochs at most, from initial weights or, with warm_start, from those of the last fit.

    Parameters
    ----------
    estimator : autoencoder
        Gets its fitted attributes.
    parameters : SimpleNamespace
        Its parameters, checked.
    X : csr_array of shape (n_users, n_items)
        Checked.
    validation : pair of csr_array, or None
        Fold-in and held-out of validation users, checked.
    context : callback context
        Of the fit.
    checkpoint : Checkpoint or NoCheckpoint
        Where the fit goes on from what it holds; removed at the end, but for a Ctrl-C.
    processes : Alone or ProcessGroup
        That fit together, each with all of X.
    held_out : pair of int64 arrays
        Row numbers of the users to train on, and of those to validate on; of the latter none with ``validation``.

    Returns
    -------
    History
        For `pass_on`.
    """
    users = None
    with processes.agreed():
        context.call_on_fit_task_begin(estimator=estimator)
        trained, validated = held_out[0], X[held_out[1]]
        if validated.shape[0]:
            users, validation = trained, hide_for_validation(validated)
        _remember_held_out(estimator, user_hashes(validated))
    with isolated():
        snapshot = processes.by_first(checkpoint.read, torch.tensor)
        of_refit = snapshot if _is_of_refit(snapshot) else None  # a training uses up its own
        parts = estimator, parameters, X, context, checkpoint, processes
        try:
            history = _train(*parts, snapshot, users, validation)
            ended = history.stopped or history.interrupt is not None
            if users is not None and refits(parameters) and not ended:
                _refit(*parts, of_refit, history)
        except DivergenceError:
            processes.by_first(checkpoint.remove)  # going on from it would end here again
            raise
    if history.interrupt is None:
        with processes.agreed():
            context.call_on_fit_task_end(estimator=estimator)
            checkpoint.remove()
    return history


def partial_fit(estimator, parameters, X, processes):
    """Train for one epoch, from initial weights or those that there are; nothing is validated.

    The weights are averaged over the epochs of several calls.

    Parameters
    ----------
    estimator : autoencoder
        Gets its fitted attributes.
    parameters : SimpleNamespace
        Its parameters, checked.
    X : csr_array of shape (n_users, n_items)
        Checked.
    processes : Alone or ProcessGroup
        As in `fit`.

    Returns
    -------
    History
        For `pass_on`.
    """
    if getattr(estimator, "_held_out_hashes", None) is not None:
        estimator._held_out_hashes = np.setdiff1d(estimator._held_out_hashes, user_hashes(X))
    with isolated():
        rows = UserRows(X, device=resolve(parameters.device))
        if hasattr(estimator, "weights_"):
            network = _fitted_network(estimator, rows)
        else:
            network = _begin(estimator, parameters, rows, processes)
            estimator.early_stopping_ = False
            _remember_held_out(estimator, NO_HASHES)
        _resolve_auto(estimator, parameters, rows, network)
        training = _training(estimator, parameters, network, rows, processes, estimator.n_updates_, n_epochs=1)
        monitor = EpochMonitor(estimator, network, 1, None, NoCallbacks(), _learned_in_epoch)
        return _run(estimator, training, None, monitor, keep_state=True, goes_on_averaging=True)


def is_warm(estimator, parameters):
    """Whether a fit goes on from the model that there is.

    Parameters
    ----------
    estimator : autoencoder
    parameters : SimpleNamespace
        Its parameters, checked.

    Returns
    -------
    bool
    """
    return parameters.warm_start and hasattr(estimator, "weights_")


def check_goes_on(estimator, parameters, X, call, table=None):
    """Raise where a training cannot go on from the fitted network: of other items, or of other parts.

    Parameters
    ----------
    estimator : autoencoder
        Fitted.
    parameters : SimpleNamespace
        Its parameters, checked.
    X : csr_array of shape (n_users, n_items)
    call : {"partial_fit", "warm_start=True"}
        What goes on.
    table : sparse matrix, array or DataFrame, default=None
        What X was read from, where the names of its columns are still to be compared.

    Raises
    ------
    ValueError
    """
    n_items = len(estimator.weights_["decoder.item_bias"])
    afresh = "call fit" if call == "partial_fit" else "warm_start=False"
    if n_items != X.shape[1]:
        raise ValueError(
            f"{call} goes on from a model of {n_items} items, X has {X.shape[1]}: pass the same items, add new ones by "
            f"add_items, or {afresh}."
        )
    check_columns_of_model(estimator, table, "X")
    changed = estimator.architecture_.differences(estimator._architecture(parameters))
    if changed:
        raise ValueError(
            f"{call} goes on from a fitted network, whose {' and '.join(changed)} cannot be changed: set "
            f"{getattr(estimator.architecture_, changed[0])!r} again, or {afresh}."
        )


# -- where a fit begins


def _begin(estimator, parameters, rows, processes, snapshot=None):
    """Set what a fit begins with: seed, counters; the network with its initial weights.

    The seed is that of the first process, or of the snapshot to go on from.
    """
    estimator.architecture_ = estimator._architecture(parameters)
    estimator.n_iter_ = estimator.n_updates_ = 0
    estimator.loss_curve_, estimator.beta_curve_ = [], []
    estimator.validation_scores_ = estimator.best_validation_score_ = None
    estimator.refitted_ = False
    estimator._training_state = None
    seed = int(check_random_state(parameters.random_state).randint(np.iinfo(np.int32).max))
    estimator._seed = processes.of_first(seed) if snapshot is None else snapshot["seed"]
    return _first_network(estimator, parameters, rows, processes, snapshot)


def _first_network(estimator, parameters, rows, processes, snapshot):
    """The network with the initial weights of the first process; with a snapshot they are still to be set."""
    network = estimator.architecture_.build(rows.n_items).to_empty(device="cpu")
    if snapshot is None:
        name = auto_parameters.initialization(parameters.initialization, rows.n_interactions / rows.n_non_empty)
        initialize = INITIALIZATIONS[name] if isinstance(name, str) else by_own(name)
        processes.by_first(initialize, network, rows, torch.Generator().manual_seed(estimator._seed))
        processes.broadcast_(*_tensors(network))
    return network


def _resolve_auto(estimator, parameters, rows, network):
    """Set what the parameters of a training are resolved to that may be "auto"; "auto" goes on as it began."""
    if hasattr(estimator, "weights_"):
        parameters = auto_parameters.as_resolved(estimator, parameters)
    n_users, n_interactions = rows.n_non_empty, rows.n_interactions
    per_user = n_interactions / n_users
    estimator.batch_size_ = auto_parameters.batch_size(parameters.batch_size, n_users)
    estimator.n_iter_no_change_ = auto_parameters.n_iter_no_change(parameters.n_iter_no_change, n_interactions)
    likelihood = network.likelihood
    can_sample = takes_item_weights(likelihood)
    estimator.n_sampled_items_ = auto_parameters.n_sampled_items(parameters.n_sampled_items, rows.n_items, can_sample)
    if hasattr(parameters, "target"):
        is_multinomial = isinstance(likelihood, LIKELIHOODS["multinomial"]) and takes_unknown(likelihood)
        estimator.target_ = auto_parameters.target(parameters.target, parameters.dropout, is_multinomial, per_user)
    if hasattr(estimator, "_resolve_schedule"):
        planned_updates = parameters.max_iter * rows.n_batches(estimator.batch_size_)
        estimator._resolve_schedule(parameters, planned_updates, per_user)


def _remember_held_out(estimator, hashes):
    """Which of the users whose hashes are stored the model was not trained on."""
    estimator._held_out_hashes = None if estimator._user_hashes is None else np.unique(hashes)


def _tensors(network):
    """All that a network holds."""
    return network.state_dict().values()


def _fitted_network(estimator, rows):
    """A network of copies of the weights, which stay in the model as they are; added items get their first ones."""
    network = estimator.architecture_.build_with(estimator.weights_, copy=True)
    added = network.decoder.item_bias.detach().isinf()
    if added.any():
        begin_items(network, rows, added)
    return network


def _warn_below_final(estimator, parameters, rows):
    n_updates = estimator.n_updates_ + parameters.max_iter * rows.n_batches(estimator.batch_size_)
    schedule = estimator._kl_schedule(parameters)
    end = schedule.weight(max(1, n_updates - 1))
    if end < schedule.final:
        warn_user(
            f"beta will end at {end:.3g}, below its final {schedule.final:.3g}: the schedule takes more than the "
            f"{n_updates} updates of this fit. Use a shorter schedule, for the linear one with fewer "
            'total_anneal_steps or "auto", or more epochs.',
            ConvergenceWarning,
        )


# -- training, and what is stored of it


def _train(estimator, parameters, X, context, checkpoint, processes, snapshot, users, validation):
    """Train on these users, None for all, and store what came of it; returns the history."""
    with processes.agreed():
        rows = UserRows(X, device=resolve(parameters.device), users=users)
    warm = is_warm(estimator, parameters)
    network = _fitted_network(estimator, rows) if warm else _begin(estimator, parameters, rows, processes, snapshot)
    _resolve_auto(estimator, parameters, rows, network)
    estimator.early_stopping_ = validation is not None and parameters.early_stopping is not False
    if _is_of_refit(snapshot):
        return _trained_before(estimator, network, **snapshot["history"]["searched"])
    _warn_below_final(estimator, parameters, rows)
    with processes.agreed():
        training = _training(estimator, parameters, network, rows, processes, estimator.n_updates_, parameters.max_iter)
    validate = None
    if validation is not None:
        fold_in, held_out = map(processes.rows_of, validation)
        validate = functools.partial(validation_score, fold_in, held_out, processes)
    if warm and validate and snapshot is None:
        training.count_first_weights(validate)
    monitor = EpochMonitor(estimator, network, parameters.max_iter, validation, context, _learned_in_epoch)
    return _run(estimator, training, validate, monitor, parameters.warm_start, checkpoint, snapshot)


def _trained_before(estimator, network, history, weights):
    """Store what came of a training whose refit was under way; returns its history."""
    network.load_state_dict(weights)
    history = History(**history)
    _store(estimator, network, history)
    return history


def _refit(estimator, parameters, X, context, checkpoint, processes, snapshot, history):
    """Train anew on all users, by as many epochs as were best of the history, and store the weights.

    Where a Ctrl-C or a callback ends it before, or it diverges, the weights stay as they are. The history tells.
    """
    history.refit = False
    with processes.agreed():
        task = context.subcontext(task_name="refit", max_subtasks=history.best_epoch)
        task.call_on_fit_task_begin(estimator=estimator)
    if estimator.verbose and processes.is_first:
        n_epochs = history.best_epoch
        report(f"[{type(estimator).__name__}] epoch {n_epochs} was the best: a refit of {n_epochs} epochs on all users")
    parts = estimator, parameters, X, task, processes, snapshot, history
    try:
        with Interrupts(processes.agreed) as interrupts:
            training, monitor = _training_of_refit(*parts)
            refit = training.run(interrupts, None, monitor, checkpoint)
            processes.broadcast_(*_tensors(training.network))
            if refit.interrupt is None and len(refit.losses) == history.best_epoch:
                weights = to_numpy(training.network)
                vars(estimator).update(weights_=weights, n_updates_=refit.n_updates, refitted_=True)
                _remember_held_out(estimator, NO_HASHES)
                history.refit = True
            history.interrupt = refit.interrupt
    except KeyboardInterrupt as interrupt:
        if interrupts.impatient and processes.size > 1:  # the others may have stored what this one did not
            raise
        history.interrupt = interrupt
    except DivergenceError as error:
        warn_user(f"The refit on all users failed, and the weights from before it stay. {error}", ConvergenceWarning)
    if history.interrupt is None:
        with processes.agreed():
            task.call_on_fit_task_end(estimator=estimator)


def _training_of_refit(estimator, parameters, X, task, processes, snapshot, history):
    """The training of a refit, from initial weights or from its snapshot; and its monitor."""
    with processes.agreed():
        rows = UserRows(X, device=resolve(parameters.device))
    network = _first_network(estimator, parameters, rows, processes, snapshot)
    with processes.agreed():
        training = _training(estimator, parameters, network, rows, processes, 0, history.best_epoch)
    monitor = EpochMonitor(estimator, network, history.best_epoch, None, task, None, "refit epoch")
    if snapshot is not None:
        training.go_on(snapshot)
        processes.by_first(monitor.goes_on, training.history)
    training.history.searched = {"history": vars(history) | {"refit": None}, "weights": estimator.weights_}
    return training, monitor


def _is_of_refit(snapshot):
    return snapshot is not None and snapshot["history"]["searched"] is not None


def _training(estimator, parameters, network, rows, processes, n_updates, n_epochs):
    """A training of the network that goes on from so many updates."""
    device = rows.offsets.device
    settings = Settings(
        schedule=estimator._kl_schedule(parameters),
        n_epochs=n_epochs,
        batch_size=estimator.batch_size_,
        learning_rate=parameters.learning_rate,
        l2_regularization=parameters.l2_regularization,
        averaging_epochs=parameters.averaging_epochs,
        patience=estimator.n_iter_no_change_ if estimator.early_stopping_ else None,
        half_precision=is_half_precision(parameters.precision, device),
        n_sampled_items=estimator.n_sampled_items_,
    )
    seed = (estimator._seed + n_updates) % 2**63
    objective = estimator._objective(parameters, network.to(device))
    return Training(objective, rows, settings, seed, n_updates, processes)


def _run(estimator, training, validate, monitor, keep_state, checkpoint=None, snapshot=None, goes_on_averaging=False):
    """Train from a snapshot, or from where the last training was, and store what came of it."""
    processes = training.processes
    state, estimator._training_state = estimator._training_state, None
    if snapshot is not None:
        training.go_on(snapshot)
        processes.by_first(monitor.goes_on, training.history)
    elif state is not None:
        # copies of what the training changes, or one that fails would have used up the state of the model
        training.resume(state | {"moments": copy.deepcopy(state["moments"])}, goes_on_averaging)
    history = None
    try:
        with Interrupts(processes.agreed) as interrupts:
            history = training.run(interrupts, validate, monitor, checkpoint)
            processes.broadcast_(*_tensors(training.network))  # on unlike processors they differ in rounding
            _store(estimator, training.network, history)
            if keep_state and not history.restored:
                estimator._training_state = training.state()
    except KeyboardInterrupt as interrupt:
        if history is None and not interrupts.impatient:
            goes_on = "" if None in (checkpoint, estimator.checkpoint) else ": the same call goes on from a checkpoint"
            interrupt.args = interrupt.args or (f"before the first epoch was finished{goes_on}.",)
        if history is None or interrupts.impatient:
            raise
        history.interrupt = interrupt
    return history


def validation_score(fold_in, held_out, processes, network, products):
    """NDCG@100 of a network in training on the validation users.

    Parameters
    ----------
    fold_in, held_out : csr_array of shape (n_users, n_items)
        Of this process's users.
    processes : Alone or ProcessGroup
    network : module
    products : ItemProducts
        Of the training.

    Returns
    -------
    float
    """
    products.refresh(network.decoder.item_weight)
    model = Inference(network, products, users_per_block(fold_in.shape[1], network.decoder.item_bias.device))
    return mean_validation_score(model, fold_in, held_out, processes)


def _store(estimator, network, history):
    """Store the model in one step, so that other threads read the model of before or the new one."""
    vars(estimator).update(_learned(estimator, to_numpy(network), history))


def _learned(estimator, weights, history):
    """The attributes that a training adds to those of an estimator."""
    learned = {
        "weights_": weights,
        "n_iter_": estimator.n_iter_ + len(history.losses),
        "n_updates_": history.n_updates,
        "loss_curve_": [*estimator.loss_curve_, *history.losses],
        "beta_curve_": [*estimator.beta_curve_, *history.betas],
        "validation_scores_": None,  # those of an earlier fit say nothing of these weights
        "best_validation_score_": None,
    }
    if history.best_epoch:  # else the best one is of an earlier fit
        learned["best_iter_"] = estimator.n_iter_ + history.best_epoch
    if history.validation_scores:
        learned["validation_scores_"] = [*(estimator.validation_scores_ or []), *history.validation_scores]
        learned["best_validation_score_"] = max(history.first_score, *history.validation_scores)
    return learned


def _learned_in_epoch(estimator, weights, history):
    """The same, of the weights of the epoch under way, whether it is the best one or not."""
    learned = _learned(estimator, weights, history)
    learned["best_iter_"] = learned["n_iter_"]
    if history.validation_scores:
        learned["best_validation_score_"] = history.validation_scores[-1]
    return learned


def pass_on(history, estimator, goes_on=False):
    """Raise the KeyboardInterrupt of a training that was stored: or a search would go on with its next candidate.

    Parameters
    ----------
    history : History
    estimator : autoencoder
    goes_on : bool, default=False
        Whether the same call would go on from a checkpoint.

    Raises
    ------
    KeyboardInterrupt
    """
    if history.interrupt is None:
        return
    kept = f"of epoch {estimator.best_iter_}, the best so far" if history.restored else "reached"
    if history.refit is not None:
        best = f"of epoch {estimator.best_iter_}, the best, without the refit on all users"
        kept = "of the refit" if history.refit else best
    message = f"after {estimator.n_iter_} epochs; {type(estimator).__name__} is fitted, with the weights {kept}."
    if goes_on:
        message += " The same fit, from the same start and random_state, goes on from the checkpoint."
    raise KeyboardInterrupt(message).with_traceback(history.interrupt.__traceback__)
