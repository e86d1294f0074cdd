"""Recognize a file of rows from its first bytes, decompress it and read it."""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from tutelage.codes import Message
from tutelage.config.recipe import DataSettings
from tutelage.data.rows.records import Record
from tutelage.data.rows.text_window import excerpt_of
from tutelage.data.sources.arrow_rows import HIGHEST_RATIO, RATIO_COUNTS_FROM
from tutelage.data.sources.file_formats import (
    HEAD_BYTES,
    Head,
    ReadRows,
    Recognised,
    recognise_binary,
    recognise_text,
)
from tutelage.errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


@dataclass(frozen=True)
class RowsFile:
    """A recognized file: its kind, notes, and how to read its records."""

    kind: str
    notes: list[Message]
    records: Callable[[], Iterator[Record]]
    is_text_table: bool  # whether all its cells are text


def look_at_file(path: Path, settings: DataSettings) -> RowsFile:
    """Recognize a file from its first bytes; raise DataError if it is not a file of rows."""
    with _opened(path, settings) as (file, is_packed):
        found, notes = _recognise(file, path, settings)
    return RowsFile(
        f"{found.kind}{', gzipped' if is_packed else ''}",
        notes,
        partial(_records, path, settings, found.read),
        found.is_text_table,
    )


def _records(path: Path, settings: DataSettings, read: ReadRows) -> Iterator[Record]:
    with _opened(path, settings) as (file, _):
        yield from read(file)


@contextmanager
def _opened(path: Path, settings: DataSettings) -> Iterator[tuple[BinaryIO, bool]]:
    """Open a file for its decompressed bytes, and return whether it was compressed."""
    with path.open("rb") as packed, _gzip_faults(path):
        is_packed = packed.read(2) == b"\x1f\x8b"
        packed.seek(0)
        if not is_packed:
            yield packed, False
            return
        with gzip.open(packed) as unpacked:
            yield cast(BinaryIO, io.BufferedReader(_Bounded(unpacked, path, settings.max_file_bytes))), True


class _Bounded(io.RawIOBase):
    """The decompressed bytes of a gzip file, limited in size, because a small file can expand to any amount."""

    def __init__(self, unpacked: gzip.GzipFile, path: Path, max_bytes: int) -> None:
        self._unpacked, self._path, self._max_bytes = unpacked, path, max_bytes
        self._size, self._total = path.stat().st_size, 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._total

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        count = self._unpacked.readinto(buffer)
        self._total += count
        if self._total > self._max_bytes:
            raise DataError(
                "data.file_too_large",
                f"{self._path} unpacks to more than {self._max_bytes:,} bytes. Split it, or raise data.max_file_bytes.",
            )
        if self._total > RATIO_COUNTS_FROM and self._total > HIGHEST_RATIO * self._size:
            raise DataError(
                "data.compression_ratio",
                f"{self._path} unpacks to more than {HIGHEST_RATIO} times its size, which text never does."
                " If you trust it, unpack it and give the file inside.",
            )
        return count


def _recognise(file: BinaryIO, path: Path, settings: DataSettings) -> tuple[Recognised, list[Message]]:
    head = Head(path, file, file.read(HEAD_BYTES), settings)
    if found := recognise_binary(head):
        return found, head.notes
    _check_binary(head.content, path)
    if head.mark:
        head.notes.append(_byte_order_mark_note(head.encoding))
    if head.begin.startswith("<"):
        raise DataError(
            "data.html_page",
            f"{path} holds HTML or XML, not JSON. Was an error page saved instead of the data?",
        )
    if found := recognise_text(head):
        return replace(found, read=partial(_after_mark, head.mark, found.read)), head.notes
    raise DataError(
        "data.unknown_file_type",
        f"{path} is neither JSON nor JSON lines: it begins with {excerpt_of(head.begin)!r}. If it is a"
        " table, rename it to .csv or .tsv, or set its delimiter: --set data.delimiter=tab (or comma,"
        " semicolon, pipe). A Parquet file begins with PAR1.",
    )


def _after_mark(mark: bytes, read: ReadRows, file: BinaryIO) -> Iterator[Record]:
    file.read(len(mark))
    return read(file)


def _check_binary(head: bytes, path: Path) -> None:
    known = {
        b"PK\x03\x04": "a zip archive or an Excel sheet. Save the sheet as CSV, or unpack the archive",
        b"\xd0\xcf\x11\xe0": "an old Excel sheet or other Office document. Save the sheet as CSV",
        b"SQLite format 3": "an SQLite database. Export its table as CSV",
        b"ARROW1": "an Arrow file. Write it as Parquet",
        b"\x28\xb5\x2f\xfd": "compressed with zstd. Decompress it, or use gzip",
        b"BZh": "compressed with bzip2. Decompress it, or use gzip",
        b"\xfd7zXZ": "compressed with xz. Decompress it, or use gzip",
        b"version https://git-lfs": "a Git LFS pointer, not the data. Fetch it with `git lfs pull`",
    }
    for begin, what in known.items():
        if head.startswith(begin):
            raise DataError(
                "data.unsupported_file_type",
                f"{path} is {what}.",
            )


def _byte_order_mark_note(encoding: str) -> Message:
    if encoding == "utf-8":
        return Message("data.byte_order_mark", "The file began with a byte-order mark, which was skipped.")
    return Message("data.utf_16", "The file was read as UTF-16.")


@contextmanager
def _gzip_faults(path: Path) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as fault:
        raise DataError(
            "data.damaged_gzip",
            f"{path} is a damaged gzip file: {fault}. Download or compress it again.",
        ) from fault
