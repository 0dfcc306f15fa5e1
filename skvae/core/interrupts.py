"""Ctrl-C put off until what must not be done by halves is done."""

import signal
import threading
from typing import Any


class Interrupts:
    """A context in which a Ctrl-C waits for the next `check`, or for the end of the context.

    A second one is not put off: ``impatient`` then says that something may have been done by halves. Outside the main
    thread, and where a Ctrl-C is ignored or ends the process, nothing is changed.
    """

    def __init__(self):
        self._handler: Any = None
        self._arrived: tuple | None = None
        self.impatient = False

    def __enter__(self):
        handler = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(handler):
            self._handler = handler
            signal.signal(signal.SIGINT, self._put_off)
        return self

    def __exit__(self, *exception):
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            self.check()

    def _put_off(self, *arguments):
        if self._arrived is not None:
            self.impatient = True
            self.check()
        self._arrived = arguments

    def check(self):
        """Let the handler from before have the Ctrl-C that arrived: Python's own raises KeyboardInterrupt."""
        arrived, self._arrived = self._arrived, None
        if arrived is not None:
            self._handler(*arrived)
