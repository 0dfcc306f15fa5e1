"""Ctrl-C put off until what must not be done by halves is done."""

import signal
import threading
from contextlib import contextmanager


@contextmanager
def uninterrupted():
    """Put a Ctrl-C off to the end of the block: what stands in it is done as a whole or not at all."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield  # nothing that could interrupt it
        return
    arrived = []
    signal.signal(signal.SIGINT, lambda *arguments: arrived.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if arrived:
        handler(*arrived[0])
