"""The state of a fit in a file, from which the same fit goes on after its process was killed."""

import glob
import json
import os
import time
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from . import checkpoint_file
from .files import Lock
from .user_warnings import warn_user

FORMAT = 3
# A kill costs this much of the training at the most, or 50 times what one write takes. The first write is early, so
# that people who try a kill see the fit go on.
SECONDS, FIRST_SECONDS = 60.0, 5.0
SHARE_OF_TIME = 0.02

_kept: ContextVar = ContextVar("kept", default=False)


class NoCheckpoint:
    """What a fit has that is not to go on after a kill: nothing is there, and nothing is written."""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def read(self, as_array=np.asarray):
        """The state to go on from: None."""

    def is_due(self, in_haste=False):
        """Whether it is time to write: never."""
        return False

    def write(self, state):
        """Whether something was written: no."""
        return False

    def remove(self):
        """Remove nothing."""

    def of_member(self, number):
        """Path of the checkpoint of a fit that is a part of this one: None."""

    def remove_member(self, number):
        """Remove nothing."""


class Checkpoint(NoCheckpoint):
    """A context in which one fit alone has a file, and what the fit does with it.

    Parameters
    ----------
    path : str
        Of the file. Of a folder, which is there already or whose name ends with a slash: the fit has a file of its
        own in it.
    identity : dict of str to json
        All that the fit depends on. Its first entry begins the name of a file in a folder.

    Raises
    ------
    ValueError
        By entering: where another fit has the file, where the file is of a fit that depends on something else or is
        damaged, or where no file can be written. In a folder it is the same fit that has the file: a warning says so,
        and this one is without a checkpoint.
    """

    def __init__(self, path, identity):
        self.identity = json.loads(json.dumps(identity))  # as it will be read: lists for tuples
        self.path = os.path.realpath(path)  # a link stays one
        self._has_folder = path.endswith(("/", os.sep)) or os.path.isdir(path)
        if self._has_folder:
            kind, *_ = identity.values()
            self.path = os.path.join(self.path, f"{kind}-{checkpoint_file.checksum(identity)}.npz")
        self._lock = Lock(f"{self.path}.lock")

    def __enter__(self):
        try:
            if self._has_folder:
                os.makedirs(os.path.dirname(self.path), exist_ok=True)
            self._lock.acquire()
        except BlockingIOError as holder:
            if self._has_folder:  # as where a search draws a candidate twice
                warn_user(f"The same fit is running elsewhere{holder}, and has the checkpoint: this one has none.")
                return NoCheckpoint()
            raise ValueError(
                f"The checkpoint {self.path} is in use by another fit{holder}: wait for its end, or name another file; "
                "a folder holds one for each fit."
            ) from None
        except OSError as error:
            raise ValueError(
                f"The checkpoint {self.path} cannot be written: {error}. Name a file in a folder that is there."
            ) from error
        try:
            self._check()
        except BaseException:
            self._lock.release()
            raise
        self._due = time.monotonic() + min(SECONDS, FIRST_SECONDS)
        return self

    def __exit__(self, *exception):
        if self._lock.is_held:
            self._lock.release()

    def _check(self):
        """Raise where the file is not of this fit."""
        if not os.path.exists(self.path):
            return
        if not os.path.isfile(self.path):
            raise ValueError(f"The checkpoint {self.path} is a pipe or a device: name a file.")
        document = checkpoint_file.read_document(self.path)
        is_ours = isinstance(document, dict) and document.get("checkpoint") == FORMAT
        there = document.get("identity") if is_ours else None
        if not isinstance(there, dict):
            raise ValueError(f"{self.path} is no checkpoint of this version of skvae: remove it, or name another file.")
        differences = [
            f"{name} is {there.get(name)!r} there and {value!r} here"
            for name, value in self.identity.items()
            # a NaN is not equal to itself
            if there.get(name) != value and json.dumps(there.get(name)) != json.dumps(value)
        ]
        if differences:
            raise ValueError(
                f"{self.path} is the checkpoint of another fit: {'; '.join(differences)}. Fit with what is there to go "
                "on from it, remove it, or name another file; a folder holds one for each fit."
            )

    def read(self, as_array=np.asarray):
        """The state to go on from, or None where the fit begins; arrays become what as_array makes of them."""
        return checkpoint_file.read_state(self.path, as_array) if os.path.exists(self.path) else None

    def is_due(self, in_haste=False):
        """Whether it is time to write, as above; in haste at once."""
        return in_haste or time.monotonic() >= self._due

    def write(self, state):
        """Write a state in the place of the one before; whether that was done, with a warning where a disk is full."""
        start, written = time.monotonic(), False
        try:
            checkpoint_file.write(self.path, {"checkpoint": FORMAT, "identity": self.identity}, state)
            written = True
        except OSError as error:
            kept = "the one before is kept" if os.path.exists(self.path) else "there is none yet"
            warn_user(
                f"The checkpoint {self.path} could not be written, {kept}, and the fit goes on without: {error}.",
                RuntimeWarning,
            )
        end = time.monotonic()
        self._due = end + max(SECONDS, (end - start) / SHARE_OF_TIME)
        return written

    def remove(self):
        """Remove the file and those of members, unless who asked for the fit keeps them."""
        if not _kept.get():
            _remove(self.path)

    def of_member(self, number):
        """Path of the checkpoint of a fit that is a part of this one."""
        return _of_member(self.path, number)

    def remove_member(self, number):
        """Remove it."""
        _remove(self.of_member(number))


def _of_member(path, number):
    return f"{path}.member{number}"


def _remove(path):
    of_members = glob.glob(_of_member(glob.escape(path), "[0-9]*"))  # and of their members
    for file in (*of_members, checkpoint_file.part_of(path), path):
        try:
            os.unlink(file)
        except FileNotFoundError:
            pass
        except OSError as error:  # such as a folder that is read-only by now: no reason to lose the fit
            warn_user(f"The checkpoint {file} could not be removed, it is of no use any more: {error}.", RuntimeWarning)


@contextmanager
def kept():
    """Checkpoints whose fits end in this block stay where they are."""
    token = _kept.set(True)
    try:
        yield
    finally:
        _kept.reset(token)
