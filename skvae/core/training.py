"""The training loop: epochs of Adam updates, validation, early stopping, the best epoch kept."""

from contextlib import nullcontext
from dataclasses import dataclass, field

import torch

from .averaging import MovingAverage
from .interrupts import uninterrupted


@dataclass
class History:
    """What a run of ``train`` did, a list entry an epoch.

    ``best_epoch`` counts from 1 and is the last epoch where nothing was validated. ``interrupt`` is
    the KeyboardInterrupt that ended the run after its first epoch, ``restored`` whether the weights
    of the best epoch were put back; ``last_weights`` are those before averaging, which a further
    training goes on from.
    """

    losses: list = field(default_factory=list)
    betas: list = field(default_factory=list)
    validation_scores: list = field(default_factory=list)
    n_updates: int = 0
    best_epoch: int = 0
    last_weights: dict | None = None
    interrupt: KeyboardInterrupt | None = None
    restored: bool = False


def train(
    objective,
    rows,
    *,
    optimizer,
    generator,
    batch_size,
    n_epochs,
    kl_weight,
    first_update=0,
    half_precision=False,
    averaging_epochs=0,
    validate=None,
    on_epoch_begin=None,
    on_epoch_end=None,
):
    """Minimise ``objective`` over ``rows``.

    Parameters
    ----------
    objective : module called with (batch, beta, generator), with ``passes`` and ``decoder``
    rows : UserRows
    optimizer : Adam
        Of ``skvae.core.optimizer``.
    generator : torch.Generator
        On the device of the rows; all randomness of training.
    batch_size, n_epochs : int
        In users; in as many passes over the users as the objective makes an epoch.
    kl_weight : callable
        Update number -> beta.
    first_update : int
        Updates made before this call.
    half_precision : bool
        The products with the decoder's item matrix in bfloat16; everything else in float32.
    averaging_epochs : float
        How many epochs the moving average of the weights reaches back, which takes the place of the
        weights after each epoch and at the end; 0 for the weights themselves.
    validate : callable or None
        -> float, called after each epoch; the weights of the best epoch are put back at the end.
    on_epoch_begin : callable or None
        Called without arguments.
    on_epoch_end : callable or None
        (History) -> bool, True to stop.

    Returns
    -------
    History
        After a KeyboardInterrupt too, with the epochs that were finished. Then the weights are those
        of the best epoch, or where nothing is validated those of the last update.

    Raises
    ------
    ValueError
        Where the loss of an epoch is not finite.
    KeyboardInterrupt
        Where the first epoch was not finished.
    """
    history = History(n_updates=first_update)
    objective.encoder.optimizer = objective.decoder.optimizer = optimizer
    objective.decoder.prepare_training(min(batch_size, rows.n_users), half_precision)
    n_updates = objective.n_passes * -(-len(rows.non_empty()) // batch_size)
    average = MovingAverage(objective, averaging_epochs, n_updates) if averaging_epochs else None
    best_weights = None
    try:
        for epoch in range(1, n_epochs + 1):
            if on_epoch_begin is not None:
                on_epoch_begin()
            loss, beta = _train_epoch(objective, rows, history, optimizer, generator, batch_size, kl_weight, average)
            with average.in_place() if average else nullcontext():
                score = None if validate is None else validate()
                with uninterrupted():
                    history.losses.append(loss)
                    history.betas.append(beta)
                    if score is None:
                        history.best_epoch = epoch
                    else:
                        best = max(history.validation_scores, default=-torch.inf)
                        history.validation_scores.append(score)
                        if score > best:
                            history.best_epoch = epoch
                            best_weights = _copy_weights(objective, best_weights)
                stopped = on_epoch_end is not None and on_epoch_end(history)
            if stopped:
                break
    except KeyboardInterrupt as interrupt:
        if not history.losses:
            raise
        history.interrupt = interrupt
    if average:
        average.exchange()
        history.last_weights = average.averages  # those exchanged for them
    if best_weights is not None and (history.interrupt is not None or history.best_epoch < len(history.losses)):
        objective.load_state_dict(best_weights)
        history.restored = True
    return history


def _train_epoch(objective, rows, history, optimizer, generator, batch_size, kl_weight, average):
    """All passes over the users; returns the mean loss a user and the last beta, and counts updates."""
    total, n_users, beta = 0, 0, 0.0
    for batch in _batches(objective, rows, batch_size, generator):
        beta = kl_weight(history.n_updates)
        optimizer.zero_grad()
        loss = objective(batch, beta, generator)
        with uninterrupted():  # backward is part of it: it updates the item matrices
            loss.backward()
            optimizer.step()
            history.n_updates += 1
            if average:
                average.updated()
        total, n_users = total + loss.detach() * batch.n_users, n_users + batch.n_users
    mean_loss = float(total) / n_users
    if not abs(mean_loss) < float("inf"):  # NaN too
        raise ValueError(
            f"The loss is {mean_loss} in epoch {len(history.losses) + 1}: training diverged at "
            f"learning_rate={optimizer.param_groups[0]['lr']}. Lower learning_rate, or scale down "
            "the largest values of X."
        )
    return mean_loss, beta


def _batches(objective, rows, batch_size, generator):
    """The users once a pass; an update is made before the next batch is asked for."""
    for _ in objective.passes():
        yield from rows.shuffled_batches(batch_size, generator)


@torch.no_grad()
def _copy_weights(objective, copy):
    """Copy the weights, into an earlier copy if there is one."""
    if copy is None:
        return {name: tensor.clone() for name, tensor in objective.state_dict().items()}
    for name, tensor in objective.state_dict().items():
        copy[name].copy_(tensor)
    return copy
