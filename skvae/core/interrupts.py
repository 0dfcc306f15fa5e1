"""Ctrl-C put off until what must not be done by halves is done."""

import signal
import threading
from contextlib import contextmanager, nullcontext
from typing import Any


class Interrupts:
    """A context in which a Ctrl-C waits for the next `pass_on`, or for the end of the context.

    A second one is not put off: ``impatient`` then says that something may have been done by halves. Outside the main
    thread, and where a Ctrl-C is ignored or ends the process, nothing is changed. In another such context, what waits
    there waits here, and back.

    Parameters
    ----------
    agreed : callable, default=nullcontext
        Gives the context of the last `pass_on`, such as `Alone.agreed`.
    has_openings : bool, default=False
        Whether a Ctrl-C does not wait in an `opening`.
    """

    def __init__(self, agreed=nullcontext, has_openings=False):
        self.agreed, self.has_openings = agreed, has_openings
        self._handler_before: Any = None
        self._handler: Any = None
        self._arrived: tuple | None = None
        self._waits = True
        self.impatient = False

    def __enter__(self):
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(before):
            self._handler_before = self._handler = before
            outer = _interrupts_of(before)
            if outer is not None:
                self._handler = outer._handler
                self._arrived, outer._arrived = outer._arrived, None
            signal.signal(signal.SIGINT, self._put_off)
        return self

    def __exit__(self, kind, *exception):
        try:
            with self.agreed() if kind is None else nullcontext():
                self.pass_on()
        finally:
            self._end()

    def _end(self):
        if self._handler_before is not None:
            signal.signal(signal.SIGINT, self._handler_before)
        outer = _interrupts_of(self._handler_before)
        if outer is None:
            self.pass_on()
        else:
            outer._arrived, self._arrived = self._arrived, None

    def _put_off(self, *arguments):
        if self._arrived is not None:
            self.impatient = True
            self.pass_on()
        self._arrived = arguments
        if not self._waits:
            self.pass_on()

    @property
    def has_arrived(self):
        """Whether a Ctrl-C waits."""
        return self._arrived is not None

    def pass_on(self):
        """Let the handler from before have the Ctrl-C that arrived: Python's own raises KeyboardInterrupt."""
        arrived, self._arrived = self._arrived, None
        if arrived is not None:
            self._handler(*arrived)

    @contextmanager
    def open(self):
        """Context of a block in which a Ctrl-C does not wait, that of before neither."""
        before, self._waits = self._waits, False
        try:
            self.pass_on()
            yield
        finally:
            self._waits = before


def opening():
    """Context of a block in which a Ctrl-C does not wait, where the innermost `Interrupts` has openings.

    Returns
    -------
    context manager
    """
    is_main = threading.current_thread() is threading.main_thread()
    interrupts = _interrupts_of(signal.getsignal(signal.SIGINT)) if is_main else None
    return interrupts.open() if interrupts is not None and interrupts.has_openings else nullcontext()


def _interrupts_of(handler):
    """Those whose handler it is, or None."""
    owner = getattr(handler, "__self__", None)
    return owner if isinstance(owner, Interrupts) else None
