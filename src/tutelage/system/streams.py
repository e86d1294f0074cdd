"""Handle closed standard streams, readers that go away, and characters that cannot be encoded.

A command continues even if nobody reads its output; its exit code reports the result.
"""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from tutelage.system.platforms import READER_GONE
from tutelage.system.system_errors import OUT_OF_SPACE

TERMINAL_GONE = errno.EIO


class Outlet(io.FileIO):
    """A file descriptor whose reader may go away; later output is discarded."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.is_abandoned = False
        self.may_lose = False  # whether output is also discarded if the disk is full
        self.was_refused = False
        self._gone = {*READER_GONE, TERMINAL_GONE} if self.isatty() else {*READER_GONE}

    def write(self, content, /) -> int | None:  # noqa: ANN001 - any buffer
        try:
            return super().write(content)
        except OSError as fault:
            if self.may_lose and fault.errno in OUT_OF_SPACE:
                return len(memoryview(content).cast("B"))
            if fault.errno not in self._gone:
                self.was_refused = True
                raise
        self.abandon()
        return super().write(content)

    def abandon(self) -> None:
        """Discard all further output."""
        self.is_abandoned = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, self.fileno())
        finally:
            os.close(nowhere)


def settle_streams() -> None:
    """Replace stdout and stderr with such outlets, and occupy the descriptors of closed streams.

    Otherwise the next file that is opened would get the number of a closed stream, and receive a library's
    output.
    """
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(handle, True)
    os.close(handle)
    sys.stdout = _settled(sys.stdout, sys.__stdout__, 1)
    sys.stderr = _settled(sys.stderr, sys.__stderr__, 2)


def _settled(stream: TextIO | None, own: TextIO | None, descriptor: int) -> TextIO:
    if stream is not own or (stream is not None and outlet_of(stream)):
        assert stream is not None, "a replacement stream must be given"
        return stream
    if stream is not None:
        with suppress(OSError):
            stream.flush()
    is_terminal = os.isatty(descriptor)
    outlet = Outlet(descriptor)
    outlet.is_abandoned = stream is None
    return io.TextIOWrapper(
        io.BufferedWriter(outlet),
        encoding=stream.encoding if stream else "utf-8",
        errors="replace" if descriptor == 1 else "backslashreplace",
        line_buffering=is_terminal or descriptor == 2,
    )


def give_up_the_rest() -> None:
    """Flush stdout and stderr, and discard what cannot be written, because Python would change the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            if outlet := outlet_of(stream):
                outlet.abandon()


def outlet_of(stream: TextIO | None) -> Outlet | None:
    """Return the Outlet below a stream, or None if there is none."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, Outlet) else None


def has_reader() -> bool:
    """Return whether standard output was open at the start and still has its reader."""
    outlet = outlet_of(sys.stdout)
    return outlet is None or not outlet.is_abandoned


@contextmanager
def losing_lines() -> Iterator[None]:
    """Discard output that a full disk rejects: the work matters more than its messages."""
    outlets = [outlet for stream in (sys.stdout, sys.stderr) if (outlet := outlet_of(stream))]
    for outlet in outlets:
        outlet.may_lose = True
    try:
        yield
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # or buffered output would fail later
    finally:
        for outlet in outlets:
            outlet.may_lose = False
