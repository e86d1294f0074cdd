"""Passes what the stages report to a listener, and into the log of the run while that is written."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tutelage.errors import StorageError, TutelageError
from tutelage.run.event_log import EventLog
from tutelage.run.events import (
    Advanced,
    Event,
    Level,
    Listener,
    LocatingModel,
    Message,
    Stage,
    StageFailed,
    StageFinished,
    StageStarted,
    Waited,
    Waiting,
    ignore,
)

# Takes the result of a stage.
Finish = Callable[[Any], None]
# Of what advances all the time, a line of the log after so many.
SECONDS_BETWEEN_LINES = 2.0


def without_raising(listener: Listener) -> Listener:
    """Return a listener that cannot stop what it listens to: once the given one raises, it is called no more."""
    is_silent = False

    def hear(event: Event) -> None:
        nonlocal is_silent
        if is_silent:
            return
        try:
            listener(event)
        except Exception as fault:
            is_silent = True
            with suppress(Warning):  # where warnings are errors
                told = f"The listener raised {fault!r} and will not be called again."
                warnings.warn(told, RuntimeWarning, stacklevel=2)

    return hear


class Reporter:
    """Whom the stages of one run report to."""

    def __init__(self, listener: Listener = ignore) -> None:
        self._listener = listener
        self.log: EventLog | None = None
        self._last_line = 0.0
        self._is_waiting_for_work = False

    def emit(self, event: Event) -> None:
        """Write an event into the log, and pass it to the listener, whatever becomes of the line."""
        try:
            if self.log is not None and event.is_logged and not self._is_too_soon(event):
                if isinstance(event, Advanced | StageFinished):
                    self.begin_work()
                self.log.emit(event)
        finally:
            self._listener(event)

    def hold_until_work(self) -> None:
        """Let the log have the lines from here on once something was done: a stage that is refused leaves none."""
        if self.log is not None:
            self.log.hold(is_live=False)
            self._is_waiting_for_work = True

    def begin_work(self) -> None:
        """Let the log have the lines that wait for work."""
        if self.log is not None and self._is_waiting_for_work:
            self.log.go_on()
            self._is_waiting_for_work = False

    def note(self, code: str, text: str) -> None:
        self._message("note", code, text)

    def warn(self, code: str, text: str) -> None:
        self._message("warning", code, text)

    def _message(self, level: Level, code: str, text: str) -> None:
        self.emit(Message(level=level, code=code, text=text))

    @contextmanager
    def locating(self) -> Iterator[Callable[[str], None]]:
        """Give what reports each step of locating or loading the model."""
        try:
            yield lambda label: self.emit(LocatingModel(label=label.removesuffix(".")))
        finally:
            self.emit(Waited())

    @contextmanager
    def waiting(self, label: str) -> Iterator[None]:
        """Report that something of unknown length is under way."""
        with self.one_at_a_time() as wait:
            wait(label)
            yield

    @contextmanager
    def one_at_a_time(self) -> Iterator[Callable[[str], None]]:
        """Give what reports one wait after the other, each of which ends the one before."""
        try:
            yield lambda label: self.emit(Waiting(label=label))
        finally:
            self.emit(Waited())

    def progress(self, label: str, total: int | None) -> Callable[[int], None]:
        """Return what reports how many more are done."""
        done = 0
        self.emit(Advanced(label=label, done=0, total=total))

        def advance(count: int) -> None:
            nonlocal done
            done += count
            self.emit(Advanced(label=label, done=done, total=total))

        return advance

    @contextmanager
    def stage(self, name: Stage) -> Iterator[Finish]:
        """Report the beginning and the end of a stage, whose result is given to what this gives."""
        begin, result = time.monotonic(), None

        def give(value: Any) -> None:
            nonlocal result
            result = value

        try:
            self.emit(StageStarted(stage=name))
            yield give
        except BaseException as fault:
            with suppress(StorageError):  # which may be the fault itself
                self.emit(StageFailed(stage=name, code=_code_of(fault), message=str(fault)))
            raise
        self.emit(StageFinished(stage=name, seconds=time.monotonic() - begin, result=result))

    @contextmanager
    def logging(self, path: Path) -> Iterator[EventLog]:
        """Write into a log too, once a stage has begun it."""
        self._is_waiting_for_work = False
        self.log = EventLog(path)
        try:
            yield self.log
        finally:
            self.log.close()
            self.log = None

    def _is_too_soon(self, event: Event) -> bool:
        if not isinstance(event, Advanced) or event.done == event.total:
            return False
        now = time.monotonic()
        if now - self._last_line < SECONDS_BETWEEN_LINES:
            return True
        self._last_line = now
        return False


def _code_of(fault: BaseException) -> str:
    if isinstance(fault, TutelageError):
        return fault.code
    return "run.interrupted" if isinstance(fault, KeyboardInterrupt) else "internal.unexpected"
