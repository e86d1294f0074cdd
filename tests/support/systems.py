"""What tests want of the system they run on, as each system has it."""

import _thread
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a folder holds no pipes on this system")


class TookTooLong(BaseException):
    """No Exception, which is told as a fault of a file, and no KeyboardInterrupt, which ends all tests."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TookTooLong where something takes longer, wherever it hangs."""

    def interrupt(*_: object) -> None:
        raise TookTooLong(f"took more than {seconds} s")

    if not hasattr(signal, "setitimer"):
        clock = threading.Timer(seconds, _thread.interrupt_main)
        clock.start()
        try:
            yield
        except KeyboardInterrupt:
            interrupt()
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
