"""Handle Ctrl-C, SIGTERM and SIGHUP: the first ends the run cleanly; a second Ctrl-C or SIGTERM exits at once.

A signal that the parent process ignores stays ignored, as with `nohup` and background jobs in shell scripts.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tutelage.errors import EXIT_LEFT_AT_ONCE, Interrupted
from tutelage.system.platforms import CLOSED_TERMINAL, ENDING_SIGNALS

NOTHING_CHANGED = "No file was changed. Run the same command to start over."


class Interruption:
    """Whether this process was asked to stop, and whether it reacts at once or at the next safe point."""

    def __init__(self) -> None:
        self.requested = False
        self.by: int | None = None  # signal number
        self._is_urgent = False  # whether there was an earlier Ctrl-C or SIGTERM
        self._acts_at_once = True

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals; outside the main thread, where that is impossible, do nothing."""
        self.forget()
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        heard = [
            number for number in ENDING_SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)
        ]
        before = {number: signal.signal(number, self._hear) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def forget(self) -> None:
        """Clear the request: the next signal counts as the first."""
        self.requested, self.by, self._is_urgent = False, None, False

    def forgive_ctrl_c(self) -> bool:
        """Return whether the request came from Ctrl-C, and clear it if so."""
        if self.by != signal.SIGINT:
            return False
        self.forget()
        return True

    def _hear(self, number: int, frame: FrameType | None) -> None:
        # Closing a terminal sends more than one signal, and service managers send SIGHUP after SIGTERM; neither
        # is urgent.
        if number != CLOSED_TERMINAL:
            if self._is_urgent:
                os._exit(
                    EXIT_LEFT_AT_ONCE
                )  # files are consistent at all times, so there is nothing to clean up
            self._is_urgent = True
        if self.requested:
            return
        self.requested, self.by = True, number
        if self._acts_at_once:
            raise Interrupted

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer signals: the code inside checks `requested`; otherwise Interrupted is raised at the end."""
        yield from self._acting(at_once=False)
        if self.requested and self._acts_at_once:
            raise Interrupted

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside `deferred`, let signals raise Interrupted at once again."""
        yield from self._acting(at_once=True)

    def _acting(self, *, at_once: bool) -> Iterator[None]:
        before, self._acts_at_once = self._acts_at_once, at_once
        try:
            if at_once and self.requested:
                raise Interrupted
            yield
        finally:
            self._acts_at_once = before


# Signals go to the whole process, so there is one instance.
INTERRUPTION = Interruption()
