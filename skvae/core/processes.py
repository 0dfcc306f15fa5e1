"""The processes that train one model together: what of a batch is mine, sums over them, and what all of them agree on.

A process group of torch.distributed is such a group; where there is none, or one of a single process, nothing is shared
and nothing is done. Every process has all users and the same generator, from which all random numbers of a batch are
drawn: together they make the updates that one process would make, to rounding.

A process that fails between two sums would let the others wait for it. What may fail in one alone (its data, its
part of a loss, a callback) therefore stands in a block that ends alike in all, `Alone.agreed`; a Ctrl-C between two
blocks waits for the next, `ends_alike`.
"""

import functools
from contextlib import contextmanager, nullcontext

import torch
import torch.distributed as dist

from .interrupts import Interrupts, opening


class Alone:
    """A process that shares with nobody."""

    rank, size = 0, 1

    @property
    def is_first(self):
        """Whether this is the process that prints, calls callbacks and writes files."""
        return self.rank == 0

    def rows_of(self, X):
        """The users of a CSR matrix that are this process's."""
        return X

    def share(self, batch):
        """This process's users of a batch, and what their mean weighs in that of all of them."""
        return batch, 1.0

    def sum_(self, *tensors):
        """Add up tensors, in place, with those of the same place in the other processes."""

    def broadcast_(self, *tensors):
        """Write the first process's tensors into those of the same place here."""

    def totals(self, *numbers):
        """Sums of numbers over the processes, a list of them; the same to the bit everywhere."""
        return [*numbers]

    def of_first(self, value):
        """The first process's value."""
        return value

    def by_first(self, function, *arguments):
        """What a function gives in the first process, which calls it alone; where it raises there all raise."""
        return function(*arguments)

    def agreed(self):
        """Context of a block without sums: where it raises in one process it raises in all."""
        return nullcontext()

    def check_same(self, identify):
        """Raise where identify() gives another dict, of names to values that a message can show, in another process."""


class ProcessGroup(Alone):
    """One of the processes of the default group of torch.distributed.

    All of them make the same calls in the same order. One whose process ends, or that does not answer within the
    timeout of the group, ends the others with a RuntimeError.
    """

    def __init__(self):
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        backends = dist.get_backend_config()  # such as cpu:gloo,cuda:nccl
        self._devices = [backend.partition(":")[0] for backend in backends.split(",")]

    def rows_of(self, X):
        return X[self._own(X.shape[0])]

    def share(self, batch):
        users = self._own(batch.n_users)
        weight = (users.stop - users.start) / batch.n_users
        # of fewer users than processes some get one that weighs nothing: they take part in all sums
        return batch.part(users if weight else slice(0, 1)), weight

    def sum_(self, *tensors):
        if not tensors:
            return
        flat = tensors[0] if len(tensors) == 1 else torch.cat([tensor.flatten() for tensor in tensors])
        sums = self._sendable(flat)
        self._call(dist.all_reduce, sums)
        if sums is not tensors[0]:
            for tensor, part in zip(tensors, sums.flatten().split([t.numel() for t in tensors]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def broadcast_(self, *tensors):
        for tensor in tensors:
            sent = self._sendable(tensor)
            self._call(dist.broadcast, sent, 0)
            if sent is not tensor:
                tensor.copy_(sent)

    def totals(self, *numbers):
        return [sum(of_number) for of_number in zip(*self._gathered(numbers), strict=True)]

    def of_first(self, value):
        values = [value if self.is_first else None]
        self._call(dist.broadcast_object_list, values, 0)
        return values[0]

    def by_first(self, function, *arguments):
        with self.agreed():
            value = function(*arguments) if self.is_first else None
        return self.of_first(value)

    @contextmanager
    def agreed(self):
        try:
            with opening():
                yield
        except BaseException as error:
            self._report(error)
            raise
        self._report(None)

    def check_same(self, identify):
        with self.agreed():
            own = identify()
        first, *others = self._gathered(own)
        for rank, other in enumerate(others, 1):
            differences = [
                f"{name} is {first.get(name)!r} in process 0 and {other.get(name)!r} in process {rank}"
                for name in first | other
                # a NaN is not equal to itself
                if first.get(name) != other.get(name) and repr(first.get(name)) != repr(other.get(name))
            ]
            if differences:
                raise ValueError(
                    f"The {self.size} processes of the group do not fit the same: {'; '.join(differences)}. Give each "
                    "of them the same estimator and all of X; each takes its share of the users itself."
                )

    def _own(self, n):
        """Slice of n users that is this process's, as large as those of the others or smaller by one."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def _report(self, error):
        """Tell the others of an error, or None, and raise where one of them has one."""
        n_failed = torch.tensor([error is not None], dtype=torch.int32, device="cpu")
        self.sum_(n_failed)
        if not n_failed:
            return
        own = None if error is None else (isinstance(error, KeyboardInterrupt), _in_words(error))
        reports = self._gathered(own)
        if error is not None:
            return
        rank, (is_interrupt, text) = next((rank, report) for rank, report in enumerate(reports) if report)
        if is_interrupt:
            raise KeyboardInterrupt(f"of process {rank}")
        raise RuntimeError(f"Process {rank} of the {self.size} that fit together failed, which ends all: {text}")

    def _gathered(self, value):
        values = [None] * self.size
        self._call(dist.all_gather_object, values, value)
        return values

    def _sendable(self, tensor):
        """The tensor itself where the group can send it, else a copy."""
        if tensor.device.type not in self._devices:
            tensor = tensor.to(self._devices[0])
        return tensor.contiguous()

    def _call(self, collective, *arguments):
        try:
            collective(*arguments)
        except RuntimeError as error:
            raise RuntimeError(
                f"Process {self.rank} of the {self.size} that fit together lost another one, which ended or did not "
                "answer within the timeout of the process group: see the error of that one, and start all of them anew."
            ) from error


def _in_words(error):
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # of its own __str__: the others wait for this process
        return type(error).__name__


ALONE = Alone()


def process_group(call=None):
    """The processes that a fit is shared by: those of the group of torch.distributed, if one is initialized.

    Parameters
    ----------
    call : str, default=None
        What all of them are to call, such as "EASERecommender.fit"; None: that was checked already.

    Returns
    -------
    Alone or ProcessGroup

    Raises
    ------
    ValueError
        Where another process calls something else, which would ask for other sums.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return ALONE
    processes = ProcessGroup()
    if call is not None:
        processes.check_same(lambda: {"the call": call})
    return processes


def ends_alike(fit):
    """Where processes fit together, a Ctrl-C in one of them between two `agreed` blocks waits for the next.

    Parameters
    ----------
    fit : method

    Returns
    -------
    method
    """

    @functools.wraps(fit)
    def fit_of_group(self, *arguments, **keywords):
        processes = process_group()
        if processes is ALONE:
            return fit(self, *arguments, **keywords)
        with Interrupts(processes.agreed, has_openings=True):
            return fit(self, *arguments, **keywords)

    return fit_of_group
