"""The command line in a child process that shares what is loaded here: it can be killed, and starts at once."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from tutelage.cli import main as command_line


@dataclass(frozen=True)
class Ended:
    """code: the exit code, or minus the number of the signal that ended it; said: what it printed, on both streams."""

    code: int
    said: str


def start(
    words: Sequence[object],
    output: Path,
    *,
    around: Callable[[], AbstractContextManager[object]] = nullcontext,
    encoding: str = "utf-8",
) -> int:
    """Begin a command in a child whose output goes to a file; `around` is entered there first. Return its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    try:
        handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        # The test runner's own streams, which the printer took when it was imported, are not this child's.
        sys.stdout = sys.__stdout__ = os.fdopen(1, "w", encoding=encoding)
        sys.stderr = sys.__stderr__ = os.fdopen(2, "w", encoding=encoding, errors="backslashreplace")
        command_line.console.out.file = command_line.console.err.file = None
        with around():
            command_line.main([str(word) for word in words])
    except SystemExit as left:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(left.code if isinstance(left.code, int) else 0)
    except BaseException as fault:
        sys.stdout.write(f"{fault!r}\n")
        sys.stdout.flush()
        os._exit(99)
    os._exit(98)


def wait(child: int, output: Path) -> Ended:
    """Wait for its end."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Ended(code, output.read_text(encoding="utf-8", errors="replace"))


def run(
    words: Sequence[object],
    output: Path,
    *,
    around: Callable[[], AbstractContextManager[object]] = nullcontext,
    encoding: str = "utf-8",
) -> Ended:
    """Run a command to its end."""
    return wait(start(words, output, around=around, encoding=encoding), output)
