"""Ctrl-C put off until what must not be done by halves is done."""

import signal
import threading
from contextlib import nullcontext
from typing import Any

from .processes import ALONE


class Interrupts:
    """A context in which a Ctrl-C waits for the next `pass_on`, or for the end of the context.

    A second one is not put off: ``impatient`` then says that something may have been done by halves. Outside the main
    thread, and where a Ctrl-C is ignored or ends the process, nothing is changed.

    Parameters
    ----------
    processes : Alone or ProcessGroup
        A Ctrl-C in one of them is one in all, at the end of the context.
    """

    def __init__(self, processes=ALONE):
        self.processes = processes
        self._handler: Any = None
        self._arrived: tuple | None = None
        self.impatient = False

    def __enter__(self):
        handler = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(handler):
            self._handler = handler
            signal.signal(signal.SIGINT, self._put_off)
        return self

    def __exit__(self, kind, *exception):
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
        with self.processes.agreed() if kind is None else nullcontext():
            self.pass_on()

    def _put_off(self, *arguments):
        if self._arrived is not None:
            self.impatient = True
            self.pass_on()
        self._arrived = arguments

    @property
    def has_arrived(self):
        """Whether a Ctrl-C waits."""
        return self._arrived is not None

    def pass_on(self):
        """Let the handler from before have the Ctrl-C that arrived: Python's own raises KeyboardInterrupt."""
        arrived, self._arrived = self._arrived, None
        if arrived is not None:
            self._handler(*arrived)
