"""The training loop: epochs of Adam updates, validation, and the weights of the best epoch kept."""

import math
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch

from .averaging import MovingAverage
from .batches import N_PADDING_USERS
from .checkpoint import NoCheckpoint
from .early_stopping import is_best, is_out_of_patience
from .item_products import ItemProducts
from .item_sampling import SampledProducts
from .optimizer import Adam
from .pieces import is_ours
from .processes import ALONE
from .updates import updates_of


@dataclass
class History:
    """What a training did, one list entry per epoch.

    ``stopped`` says whether its monitor ended it, ``refit`` whether its refit was finished, None where there is none.

    ``best_epoch`` counts from 1 and is the last epoch where nothing was validated. ``interrupt`` is
    the KeyboardInterrupt that ended the training after its first epoch, ``restored`` whether the
    weights of the best epoch were put back. ``first_score`` is that of the weights that a training
    went on from, which are epoch 0; -inf where there were none. ``searched`` is, of a refit, the history and the
    weights of the training before it, by which the number of epochs was found.
    """

    losses: list = field(default_factory=list)
    betas: list = field(default_factory=list)
    validation_scores: list = field(default_factory=list)
    first_score: float = -math.inf
    n_updates: int = 0
    best_epoch: int = 0
    interrupt: KeyboardInterrupt | None = None
    restored: bool = False
    stopped: bool = False
    refit: bool | None = None
    searched: dict | None = None


@dataclass(frozen=True)
class Settings:
    """How a network is trained, whatever its objective.

    Parameters
    ----------
    schedule : object with ``weight(update)`` and ``final``
        Of beta, as in `skvae.core.annealing`.
    n_epochs : int
        At most; each has as many passes over the users as the objective makes.
    batch_size : int
        Users per update.
    learning_rate, l2_regularization : float
    averaging_epochs : float
        How many epochs the moving average of the weights reaches back, which takes the place of the
        weights after each epoch and at the end; 0 for the weights themselves.
    patience : int or None
        Epochs after the best one that early stopping waits; None: it does not stop.
    half_precision : bool
        The products with the decoder's item matrix in bfloat16; everything else in float32.
    n_sampled_items : int or None
        Items that an update draws besides those of its users, which stand for all the others; None: it takes all.
    """

    schedule: Any
    n_epochs: int
    batch_size: int
    learning_rate: float
    l2_regularization: float = 0.0
    averaging_epochs: float = 0.0
    patience: int | None = None
    half_precision: bool = False
    n_sampled_items: int | None = None


@dataclass
class Position:
    """Where in an epoch a training is.

    ``n_passes`` over the users are finished. Of the one under way the order of the users was drawn with the generator
    in the state ``order``, and ``n_batches`` were trained on. ``loss`` is the sum over the ``n_users`` of the epoch so
    far, ``objective`` what its objective needs besides to go on.
    """

    n_passes: int = 0
    n_batches: int = 0
    order: Any = None
    loss: Any = 0.0
    n_users: int = 0
    beta: float = 0.0
    objective: Any = None


class DivergenceError(ValueError):
    """The loss or a weight is not finite any more."""


class Monitor:
    """What is told of each epoch; this one keeps it to itself."""

    def epoch_begins(self):
        """Called before the first update of an epoch."""

    def epoch_ends(self, history):
        """Called after the epoch was validated; True stops the training."""
        return False


class Training:
    """An objective, the users that it is minimised over, and the state of Adam and of the generator.

    Parameters
    ----------
    objective : one of `skvae.core.objectives`
        Its network is trained, on the device of the rows.
    rows : UserRows
    settings : Settings
    seed : int
        Of all randomness.
    first_update : int, default=0
        Updates made before this training.
    processes : Alone or ProcessGroup
        Each has a training like this one, of the same weights and users, and makes its share of every update.
    """

    def __init__(self, objective, rows, settings, seed, first_update=0, processes=ALONE):
        self.objective, self.network, self.rows, self.settings = objective, objective.network, rows, settings
        self.processes = processes
        self.optimizer = Adam(self.network, settings.learning_rate, settings.l2_regularization, processes)
        self.seed, self.generator = seed, torch.Generator(rows.offsets.device).manual_seed(seed)
        self.history = History(n_updates=first_update)
        self.products = _products(self.network, rows, settings, self.optimizer, processes.size)
        self._average = self._best_weights = None
        if settings.averaging_epochs:
            n_updates = objective.n_passes * rows.n_batches(settings.batch_size)
            self._average = MovingAverage(self.network, settings.averaging_epochs, n_updates)
        self._position = Position()
        self._updates = updates_of(
            objective, rows, self.products, self.optimizer, processes, self.generator, settings.batch_size
        )

    def state(self):
        """What another training can `resume` from: moments, generator, and the weights before averaging."""
        return {
            "last_weights": self._average and self._average.averages,  # those exchanged for them
            "n_averaged": self._average and self._average.n_updates,
            "moments": {str(number): moment for number, moment in self.optimizer.state_dict()["state"].items()},
            "generator": self.generator.get_state(),
        }

    def resume(self, state, goes_on_averaging=False):
        """Go on from the `state` of another training; learning rate and weight decay are those of this one.

        The average begins anew, or goes on from the weights that the network has.
        """
        if self._average and goes_on_averaging:
            self._average.n_updates = state["n_averaged"] or 0
        if state["last_weights"] is not None:
            self.network.load_state_dict(state["last_weights"])
        moments = {int(number): moment for number, moment in state["moments"].items()}
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": moments})
        self.generator.set_state(state["generator"])

    def snapshot(self):
        """All that a training like this one needs to go on from here, between two updates; nothing is copied."""
        return self.state() | {
            "seed": self.seed,
            "last_weights": self.network.state_dict(),
            "average": self._average and self._average.state(),
            "best_weights": self._best_weights,
            "history": vars(self.history),
            # between two epochs there is no pass under way
            "position": vars(self._position)
            | {"objective": None if self._position.order is None else self.objective.state()},
        }

    def go_on(self, snapshot):
        """Be where the training was that made a `snapshot`, which is used up: `run` then ends as it would have."""
        self.resume(snapshot)
        if self._average:
            self._average.resume(snapshot["average"])
        self._best_weights = snapshot["best_weights"]
        self.history, self._position = History(**snapshot["history"]), Position(**snapshot["position"])
        snapshot.clear()  # or two copies of the weights would stay as long as the caller's name for it

    def count_first_weights(self, validate):
        """Score the weights that there are as epoch 0: they are kept where no epoch is better."""
        self.history.first_score = validate(self.network, self.products)
        self._keep_weights()

    def run(self, interrupts, validate=None, monitor=None, checkpoint=None):
        """Train, and leave the network with the weights of the best epoch, or where nothing is validated the last.

        Parameters
        ----------
        interrupts : Interrupts
        validate : callable or None
            (network, products) -> float, called after each epoch; higher is better.
        monitor : Monitor or None
        checkpoint : Checkpoint or None
            Gets a snapshot after an update, where it is due or a Ctrl-C has arrived, and where one arrives later,
            after the epoch.

        Returns
        -------
        History
            After a KeyboardInterrupt too, with the epochs that were finished.

        Raises
        ------
        DivergenceError
            Where the loss of an epoch is not finite, a ValueError.
        KeyboardInterrupt
            Where the first epoch was not finished, or a second Ctrl-C did not wait for the end of an update.
        """
        history = self.history
        monitor, checkpoint = monitor or Monitor(), checkpoint or NoCheckpoint()
        try:
            while not _is_over(history, self.settings):
                self._epoch(interrupts, validate, monitor, checkpoint)
        except KeyboardInterrupt as interrupt:
            if interrupts.impatient or not history.losses:
                raise
            history.interrupt = interrupt
        if self._average:
            self._average.exchange()
        is_last = history.best_epoch == len(history.losses)
        if self._best_weights is not None and (history.interrupt is not None or not is_last):
            self.network.load_state_dict(self._best_weights)
            history.restored = True
        self._check_weights()
        return history

    def _epoch(self, interrupts, validate, monitor, checkpoint):
        """Train, validate and record an epoch, or the rest of it."""
        self.processes.by_first(monitor.epoch_begins)
        loss, beta = self._update_all(interrupts, checkpoint)
        with self._average.in_place() if self._average else nullcontext():
            score = None if validate is None else validate(self.network, self.products)
            self._record(loss, beta, score)
            self.history.stopped = bool(self.processes.by_first(monitor.epoch_ends, self.history))
        with self.processes.agreed():
            if interrupts.has_arrived:
                checkpoint.write(self.snapshot())
            interrupts.pass_on()

    def _update_all(self, interrupts, checkpoint):
        """All passes over the users; returns the mean loss per user and the last beta, and counts updates."""
        position = self._position
        self.products.refresh(self.network.decoder.item_weight)
        try:
            for users, n_interactions in self._parts(position):
                position.beta = self.settings.schedule.weight(self.history.n_updates)
                loss = self._updates(users, n_interactions, position.beta)
                self.history.n_updates += 1
                if self._average:
                    self._average.updated(self.optimizer.catch_up)
                self.processes.sum_(loss)
                position.loss = position.loss + loss * len(users)
                position.n_users += len(users)
                position.n_batches += 1
                with self.processes.agreed():
                    if checkpoint.is_due(interrupts.has_arrived):
                        checkpoint.write(self.snapshot())
                    interrupts.pass_on()
        finally:
            self.optimizer.catch_up()
        self._position = Position()
        mean_loss = float(position.loss) / position.n_users
        if not abs(mean_loss) < float("inf"):  # NaN too
            raise self._divergence(f"The loss is {mean_loss}", [*self.history.losses, mean_loss])
        return mean_loss, position.beta

    def _parts(self, position):
        """Users and how many interactions they have, each user once a pass, from a position on."""
        n_finished = position.n_passes
        for number, _ in enumerate(self.objective.passes()):
            if position.objective is not None:
                self.objective.resume(position.objective)
                position.objective = None
            if number >= n_finished:
                yield from self._parts_of_pass(position)
                position.n_passes, position.n_batches, position.order = number + 1, 0, None

    def _parts_of_pass(self, position):
        now, is_resumed = self.generator.get_state(), position.order is not None
        if is_resumed:
            self.generator.set_state(position.order)
        else:
            position.order = now
        parts = self.rows.shuffled(self.settings.batch_size, self.generator)
        if is_resumed:
            self.generator.set_state(now)
        yield from parts[position.n_batches :]

    def _record(self, loss, beta, score):
        """Add an epoch to the history, and keep its weights where it is the best."""
        history = self.history
        best = is_best(score, history)
        history.losses.append(loss)
        history.betas.append(beta)
        if score is not None:
            history.validation_scores.append(score)
        if best:
            history.best_epoch = len(history.losses)
        if best and score is not None:
            self._keep_weights()

    def _keep_weights(self):
        self._best_weights = _copy_weights(self.network, self._best_weights)

    def _check_weights(self):
        """The loss of an epoch is that before its last update, which may have been one too many."""
        # by the extremes, which NaN is passed on to: isfinite() would hold a copy of each matrix
        if not all(end.isfinite() for parameter in self.network.parameters() for end in parameter.detach().aminmax()):
            raise self._divergence("The last update made weights that are not finite", self.history.losses)

    def _divergence(self, what, epochs):
        return DivergenceError(
            f"{what} in epoch {len(epochs)}: training diverged at learning_rate={self.settings.learning_rate}. Lower "
            f"learning_rate, or scale down the largest values of X.{_own_pieces(self.network)}"
        )


def _is_over(history, settings):
    is_last = len(history.losses) >= settings.n_epochs or history.stopped
    return is_last or is_out_of_patience(history, settings.patience, settings.schedule.final)


def _own_pieces(network):
    """A sentence on the pieces that are not ours, which may give such values themselves."""
    pieces = [getattr(network, name, None) for name in ("likelihood", "prior")]
    own = [type(piece).__name__ for piece in pieces if not is_ours(piece)]
    return f" Or {' or '.join(own)}, which is not of skvae, gives such values itself." if own else ""


def _products(network, rows, settings, optimizer, n_processes):
    if settings.n_sampled_items is not None:
        return SampledProducts.for_training(network, settings.half_precision, optimizer, settings.n_sampled_items)
    n_users = -(-min(settings.batch_size, rows.n_users) // n_processes) + N_PADDING_USERS * rows.offsets.is_cuda
    return ItemProducts.for_training(network, settings.half_precision, n_users, optimizer.update_rows)


@torch.no_grad()
def _copy_weights(network, copy):
    """Copy the weights, into an earlier copy if there is one."""
    if copy is None:
        return {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for name, tensor in network.state_dict().items():
        copy[name].copy_(tensor)
    return copy
