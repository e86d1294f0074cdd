"""Ctrl-C, SIGTERM and SIGHUP: the first one ends the run where it can go on; a second Ctrl-C or SIGTERM leaves at once.

A signal that the parent process set to be ignored stays ignored: `nohup` does that, and a shell for what it runs in the
background of a script.
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
    """Whether this process was asked to stop, and whether that is acted upon at once or at the next good place."""

    def __init__(self) -> None:
        self.requested = False
        self.by: int | None = None  # the number of the signal that asked
        self._is_urgent = False  # whether somebody has asked by Ctrl-C or SIGTERM before
        self._acts_at_once = True

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear the signals; outside the main thread, where that cannot be, nothing is heard."""
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
        """Take what was asked for as done: the next signal is the first again."""
        self.requested, self.by, self._is_urgent = False, None, False

    def forgive_ctrl_c(self) -> bool:
        """Tell whether it was Ctrl-C that asked, and take that as done; another signal stays asked for."""
        if self.by != signal.SIGINT:
            return False
        self.forget()
        return True

    def _hear(self, number: int, frame: FrameType | None) -> None:
        # A closed terminal tells more than once, and a service manager does so after SIGTERM; nobody means haste by it.
        if number != CLOSED_TERMINAL:
            if self._is_urgent:
                os._exit(
                    EXIT_LEFT_AT_ONCE
                )  # every file is whole at every instant, so nothing has to be cleared up
            self._is_urgent = True
        if self.requested:
            return
        self.requested, self.by = True, number
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
