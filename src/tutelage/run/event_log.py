"""Write events.jsonl, the log of a run: one JSON object per line, as events happen."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from tutelage.errors import StorageError
from tutelage.run.events import Event, StageStarted
from tutelage.system.storage import before_operation, is_out_of_space, retrying, storage_faults

LONGEST_FIRST_LINE = 1_000  # bytes


class EventLog:
    """Appends whole lines to a file; if the disk is full, lines are kept until there is room.

    A stage holds its lines until it starts to work or to replace earlier results: `hold`, then `begin` or
    `go_on`. So a rejected command leaves the log as it was.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._bytes = 0
        self._held: bytes | None = None
        self._waiting = b""
        self._not_synced = b""

    def hold(self, *, is_live: bool) -> None:
        """Hold new lines, in addition to those already held, until `begin` or `go_on`.

        If the log `is_live`, the lines are also written to a truncated file at once.
        """
        self.close()
        self._held = self._held or b""
        if is_live:
            self._open(0)

    def begin(self, keep_bytes: int) -> None:
        """Truncate the file to `keep_bytes`, and append the held lines."""
        held, self._held = self._held or b"", None
        self.close()
        self._open(keep_bytes)
        self._append(held)

    def go_on(self) -> None:
        """Append the held lines, and all further ones, after the last complete line of the file."""
        held, self._held = self._held or b"", None
        if self._file is None:
            with storage_faults(self._path):
                keep_bytes = bytes_of_whole_lines(self._path)
            self._open(keep_bytes)
            self._append(held)

    def emit(self, event: Event) -> None:
        """Write an event as one line."""
        line = (json.dumps(event.to_record(), ensure_ascii=False, allow_nan=False) + "\n").encode()
        if self._held is not None:
            self._held += line
        self._append(line)

    def sync(self) -> int:
        """Flush all lines to disk; return the size of the file in bytes."""
        assert self._file is not None, "the log was not started"
        file, is_again = self._file, False
        self._write()

        def settle() -> None:
            nonlocal is_again
            if is_again:  # after a failed sync, the system may have dropped the data
                self._put(self._bytes - len(self._not_synced), self._not_synced)
            is_again = True
            before_operation("sync", self._path)
            os.fsync(file.fileno())

        with storage_faults(self._path):
            retrying(settle)
        self._not_synced = b""
        return self._bytes

    def close(self) -> None:
        """Close the file; held lines stay held."""
        if self._file is not None:
            with suppress(StorageError):  # if the disk is still full
                self._write()
            self._file.close()
        self._file, self._waiting, self._not_synced = None, b"", b""

    def _open(self, keep_bytes: int) -> None:
        with storage_faults(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("r+b" if keep_bytes else "wb", buffering=0)
            file.truncate(keep_bytes)
            file.seek(keep_bytes)
        self._file, self._bytes = file, keep_bytes

    def _append(self, lines: bytes) -> None:
        if self._file is None:
            return
        self._waiting += lines
        try:
            self._write()
        except StorageError as fault:
            if not is_out_of_space(fault):
                raise

    def _write(self) -> None:
        if not self._waiting:
            return

        with storage_faults(self._path):
            retrying(lambda: self._put(self._bytes, self._waiting))
        self._bytes += len(self._waiting)
        self._not_synced += self._waiting
        self._waiting = b""

    def _put(self, place: int, lines: bytes) -> None:
        assert self._file is not None, "the log was not started"
        before_operation("write", self._path)
        self._file.seek(place)  # overwrite what a failed attempt may have left
        self._file.truncate()
        self._file.write(lines)


def bytes_before_training(path: Path) -> int:
    """Return the size of the log before the first training, or 0 if it names no stages.

    Unreadable lines, for example after an edit, end it, as everything after them does not belong to a known
    stage.
    """
    if not is_log(path):
        return 0
    whole, begin = path.read_bytes()[: bytes_of_whole_lines(path)], 0
    for line in whole.splitlines(keepends=True):
        record = _record(line)
        if not record or (record["event"], record.get("stage")) == (StageStarted.event, "train"):
            break
        begin += len(line)
    return begin


def is_log(path: Path) -> bool:
    """Return whether a file starts like the log of a run."""
    if not path.is_file():
        return False
    with suppress(OSError), path.open("rb") as file:
        return _record(file.readline(LONGEST_FIRST_LINE)).get("event") == StageStarted.event
    return False


def _record(line: bytes) -> dict[str, Any]:
    """Return the event in a line, or {} if there is none."""
    with suppress(ValueError):
        record = json.loads(line)
        if isinstance(record, dict) and isinstance(record.get("event"), str):
            return record
    return {}


def bytes_of_whole_lines(path: Path) -> int:
    """Return the length of a log up to its last line break."""
    return path.read_bytes().rfind(b"\n") + 1 if path.exists() else 0
