"""Failpoints under every write: count the operations of the storage layer, fail one, or end the process there."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from tutelage.system import storage

CRASHED = 9


@contextmanager
def before_each(act: Callable[[int, str, Path], None]) -> Iterator[list[str]]:
    """Call `act(number, operation, path)` before every operation, counted from 1; give the list of those made."""
    made: list[str] = []

    def point(operation: str, path: Path, to: Path | None = None) -> None:
        made.append(operation)
        act(len(made), operation, path)

    with patch.object(storage, "before_operation", point):
        yield made


def count_operations(work: Callable[[], object]) -> int:
    """Return how many operations the work makes."""
    with before_each(lambda *_: None) as made:
        work()
    return len(made)


@contextmanager
def failing(*numbers: int, code: int) -> Iterator[list[str]]:
    """Let the operations of these numbers fail with an error of the system."""

    def fail(number: int, operation: str, path: Path) -> None:
        if number in numbers:
            raise OSError(code, os.strerror(code), str(path))

    with before_each(fail) as made:
        yield made


def crash_in_a_child(number: int, work: Callable[[], object]) -> bool:
    """Do the work in a child process that ends, without any cleaning up, before an operation; tell whether it did."""

    def crash(reached: int, operation: str, path: Path) -> None:
        if reached == number:
            os._exit(CRASHED)

    child = os.fork()
    if not child:
        try:
            with before_each(crash):
                work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, CRASHED), f"the child failed at operation {number}"
    return code == CRASHED
