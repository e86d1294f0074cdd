"""The log of a run, events.jsonl: one JSON object a line, written as things happen."""

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
    """Writes whole lines at the end of a file; where the disk is full, lines wait until there is room again.

    A stage holds its lines until it begins to replace what an earlier one left, or to work: `hold`, then `begin` or
    `go_on`. So the log of a run is as it was after a command that was refused.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._bytes = 0
        self._held: bytes | None = None
        self._waiting = b""
        self._not_synced = b""

    def hold(self, *, is_live: bool) -> None:
        """Keep the lines from here on, beside those that are held already, for `begin` or `go_on`.

        Where the log `is_live` they can be read in the file at once, of which nothing else is kept.
        """
        self.close()
        self._held = self._held or b""
        if is_live:
            self._open(0)

    def begin(self, keep_bytes: int) -> None:
        """Cut the file after the first `keep_bytes`, and write the lines that were held behind them."""
        held, self._held = self._held or b"", None
        self.close()
        self._open(keep_bytes)
        self._append(held)

    def go_on(self) -> None:
        """Write the lines that were held, and those from here on, behind the last whole line of the file."""
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
        """Wait until all lines are on the disk; return how many bytes they are."""
        assert self._file is not None, "the log was not started"
        file, is_again = self._file, False
        self._write()

        def settle() -> None:
            nonlocal is_again
            if is_again:  # what a failed sync did not write, the system may have forgotten
                self._put(self._bytes - len(self._not_synced), self._not_synced)
            is_again = True
            before_operation("sync", self._path)
            os.fsync(file.fileno())

        with storage_faults(self._path):
            retrying(settle)
        self._not_synced = b""
        return self._bytes

    def close(self) -> None:
        """Close the file; lines that are held stay so."""
        if self._file is not None:
            with suppress(StorageError):  # where the disk is still full
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
        self._file.seek(place)  # over what a failed try may have left
        self._file.truncate()
        self._file.write(lines)


def bytes_before_training(path: Path) -> int:
    """Return how many bytes of a log are of the stages before the first training; 0 where it tells of no stages.

    What cannot be read, as after an edit, is of no stage, and neither is what follows it.
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
    """Tell whether a file begins as the log of a run does."""
    if not path.is_file():
        return False
    with suppress(OSError), path.open("rb") as file:
        return _record(file.readline(LONGEST_FIRST_LINE)).get("event") == StageStarted.event
    return False


def _record(line: bytes) -> dict[str, Any]:
    """Return the object of a line, an empty one where it holds no event."""
    with suppress(ValueError):
        record = json.loads(line)
        if isinstance(record, dict) and isinstance(record.get("event"), str):
            return record
    return {}


def bytes_of_whole_lines(path: Path) -> int:
    """Return the length of a log without what follows its last line break; 0 where there is none."""
    return path.read_bytes().rfind(b"\n") + 1 if path.exists() else 0
