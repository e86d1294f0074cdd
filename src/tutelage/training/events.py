"""The log of a training run: one JSON object a line, written as things happen."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from tutelage.errors import StorageError
from tutelage.system.storage import before_operation, is_out_of_space, retrying, storage_faults

Emit = Callable[..., None]


class EventLog:
    """Writes whole lines at the end of a file; where the disk is full, lines wait until there is room again."""

    def __init__(self, path: Path, file: BinaryIO, listener: Callable[[dict[str, Any]], None]) -> None:
        self._path, self._file, self._listener = path, file, listener
        self._bytes = file.tell()
        self._waiting = b""
        self._not_synced = b""

    def emit(self, event: str, **fields: Any) -> None:
        """Write `{"event": name, ...}` and pass it to the listener."""
        record = {"event": event, **fields}
        self._waiting += (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n").encode()
        try:
            self._write()
        except StorageError as fault:
            if not is_out_of_space(fault):
                raise
        self._listener(record)

    def sync(self) -> int:
        """Wait until all lines are on the disk; return how many bytes they are."""
        self._write()
        is_again = False

        def settle() -> None:
            nonlocal is_again
            if is_again:  # what a failed sync did not write, the system may have forgotten
                self._put(self._bytes - len(self._not_synced), self._not_synced)
            is_again = True
            before_operation("sync", self._path)
            os.fsync(self._file.fileno())

        with storage_faults(self._path):
            retrying(settle)
        self._not_synced = b""
        return self._bytes

    def _write(self) -> None:
        if not self._waiting:
            return

        with storage_faults(self._path):
            retrying(lambda: self._put(self._bytes, self._waiting))
        self._bytes += len(self._waiting)
        self._not_synced += self._waiting
        self._waiting = b""

    def _put(self, place: int, lines: bytes) -> None:
        before_operation("write", self._path)
        self._file.seek(place)  # over what a failed try may have left
        self._file.truncate()
        self._file.write(lines)


@contextmanager
def event_log(
    path: Path, listener: Callable[[dict[str, Any]], None], *, keep_bytes: int = 0
) -> Iterator[EventLog]:
    """Open the log; of what is there the first `keep_bytes` stay, which a checkpoint says belong to it."""
    with storage_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("r+b" if keep_bytes else "wb", buffering=0)
    with file:
        with storage_faults(path):
            file.truncate(keep_bytes)
            file.seek(keep_bytes)
        yield EventLog(path, file, listener)
