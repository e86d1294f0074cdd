"""Ctrl-C and SIGTERM: the first one ends the run where it can go on, the second one leaves at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tutelage.errors import EXIT_LEFT_AT_ONCE, Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Whether this process was asked to stop, and whether that is acted upon at once or at the next good place."""

    def __init__(self) -> None:
        self.requested = False
        self._acts_at_once = True

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear the signals; outside the main thread, where that cannot be, nothing is heard."""
        self.requested = False
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._hear) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            os._exit(
                EXIT_LEFT_AT_ONCE
            )  # every file is whole at every instant, so nothing has to be cleared up
        self.requested = True
        if self._acts_at_once:
            raise Interrupted

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let a signal wait: who is inside asks `requested` and ends soon; then Interrupted is raised at the latest."""
        yield from self._acting(at_once=False)
        if self.requested and self._acts_at_once:
            raise Interrupted

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside `deferred`, let a signal raise Interrupted again wherever it comes."""
        yield from self._acting(at_once=True)

    def _acting(self, *, at_once: bool) -> Iterator[None]:
        before, self._acts_at_once = self._acts_at_once, at_once
        try:
            if at_once and self.requested:
                raise Interrupted
            yield
        finally:
            self._acts_at_once = before


# Signals come to the process, so there is one for all of it.
INTERRUPTION = Interruption()
