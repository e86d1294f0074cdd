"""What tests want of the system they run on, as each system has it."""

import _thread
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a folder holds no pipes on this system")


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Interrupt what takes longer, wherever it hangs; by no Exception, which would be told as a fault of a file."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt(f"took more than {seconds} s")

    if not hasattr(signal, "setitimer"):
        clock = threading.Timer(seconds, _thread.interrupt_main)
        clock.start()
        try:
            yield
        finally:
            clock.cancel()
        return
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
