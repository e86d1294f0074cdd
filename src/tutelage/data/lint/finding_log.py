"""Store findings in a temporary file, because there can be more of them than rows."""

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence

from tutelage.data.quality.rules import Finding

BYTES_IN_MEMORY = 2**18


class FindingLog:
    """Stores findings and yields them in order, any number of times."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(BYTES_IN_MEMORY)  # noqa: SIM115 - deleted with the log

    def add(self, findings: Iterable[Finding]) -> None:
        for one in findings:
            self._file.write(json.dumps([one.code, one.row, one.message]).encode() + b"\n")

    def __iter__(self) -> Iterator[Finding]:
        place = 0
        while True:
            self._file.seek(place)  # several iterators may read at different positions
            line = self._file.readline()
            if not line:
                return
            place += len(line)
            code, row, message = json.loads(line)
            yield Finding(code, row, message)


class Findings:
    """The findings of several parts in order; `placed` adds the location of each."""

    def __init__(self, parts: Sequence[Iterable[Finding]], placed: Callable[[Finding], Finding]) -> None:
        self._parts, self._placed = parts, placed

    def __iter__(self) -> Iterator[Finding]:
        for part in self._parts:
            yield from map(self._placed, part)
