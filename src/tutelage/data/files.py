"""One file of rows: what kind it is, which its first bytes decide, unpacked and read."""

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tutelage.data.json_rows import excerpt_of, read_json_rows
from tutelage.data.records import Record
from tutelage.data.schemas import SCHEMAS
from tutelage.data.tables import read_csv_rows, read_parquet_rows
from tutelage.errors import DataError
from tutelage.recipe import DataSettings

HEAD_BYTES = 2**16
HIGHEST_RATIO = 100  # what gzip makes of ordinary text is far below
RATIO_COUNTS_FROM = 10 * 2**20  # unpacked bytes; less does no harm, however well it was packed
MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
DELIMITERS = ",\t;"


@dataclass(frozen=True)
class FileContent:
    """The records of one file, what kind of file it is, and what has to be said of how it was read."""

    records: list[Record]
    kind: str
    notes: list[str]


def read_file(path: Path, settings: DataSettings) -> FileContent:
    """Read one file of any kind, or stop and say what it is instead."""
    with path.open("rb") as packed, _gzip_faults(path):
        is_packed = packed.read(2) == b"\x1f\x8b"
        packed.seek(0)
        file = _unpacked(packed, path, settings) if is_packed else packed
        content = _read(file, path, settings)
    return FileContent(content.records, f"{content.kind}{', gzipped' if is_packed else ''}", content.notes)


def _unpacked(packed: BinaryIO, path: Path, settings: DataSettings) -> BinaryIO:
    """Unpack a gzip file into memory, up to the limit and no further."""
    size = path.stat().st_size
    unpacked = io.BytesIO()
    with gzip.open(packed) as file:
        while block := file.read(2**20):
            unpacked.write(block)
            total = unpacked.tell()
            if total > settings.max_file_bytes:
                raise DataError(
                    f"{path} unpacks to more than {settings.max_file_bytes:,} bytes. Split it, or raise"
                    " data.max_file_bytes.",
                    rule=14,
                )
            if total > RATIO_COUNTS_FROM and total > HIGHEST_RATIO * size:
                raise DataError(
                    f"{path} unpacks to more than {HIGHEST_RATIO} times its size, as no text does. Unpack it yourself"
                    " if it can be trusted, and name the file inside.",
                    rule=14,
                )
    unpacked.seek(0)
    return unpacked


def _read(file: BinaryIO, path: Path, settings: DataSettings) -> FileContent:
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if head.startswith(b"PAR1"):
        rows = read_parquet_rows(file, str(path), max_bytes=settings.max_file_bytes)
        return FileContent(list(rows), "Parquet", [])
    _refuse_other_binaries(head, path)
    mark = next((mark for mark in MARKS if head.startswith(mark)), b"")
    encoding = MARKS.get(mark) or _chosen(settings.encoding)
    notes = [_told_of_mark(encoding)] if mark else []
    begin = head[len(mark) :].decode(encoding, "replace").lstrip()
    file.seek(len(mark))
    if begin.startswith("<"):
        raise DataError(
            f"{path} holds HTML or XML, not JSON. Was an error page saved in place of the data?", rule=29
        )
    if begin[:1] in ("[", "{", ""):
        records = list(read_json_rows(file, str(path), encoding=encoding))
        return FileContent(records, "JSON" if begin[:1] == "[" else "JSON lines", notes)
    if delimiter := _delimiter(begin, path):
        rows = read_csv_rows(file, str(path), encoding=encoding, delimiter=delimiter)
        return FileContent(list(rows), "CSV", notes)
    raise DataError(
        f"{path} is neither JSON nor JSON lines: it begins with {excerpt_of(begin)!r}. CSV needs a header that names"
        " the fields, or the ending .csv; a Parquet file begins with PAR1.",
        rule=2,
    )


def _refuse_other_binaries(head: bytes, path: Path) -> None:
    known = {
        b"PK\x03\x04": "a zip archive or an Excel sheet. Save the sheet as CSV, or unpack the archive",
        b"SQLite format 3": "an SQLite database. Export its table as CSV",
        b"ARROW1": "an Arrow file. Write it as Parquet",
        b"\x28\xb5\x2f\xfd": "packed with zstd. Unpack it, or pack it with gzip",
        b"BZh": "packed with bzip2. Unpack it, or pack it with gzip",
        b"\xfd7zXZ": "packed with xz. Unpack it, or pack it with gzip",
        b"version https://git-lfs": "a pointer of Git LFS, not the data. Fetch it with `git lfs pull`",
    }
    for begin, what in known.items():
        if head.startswith(begin):
            raise DataError(f"{path} is {what}.", rule=30)


def _chosen(encoding: str | None) -> str:
    try:
        "a".encode(encoding or "utf-8")
    except LookupError as fault:
        raise DataError(
            f"data.encoding is {encoding!r}, which is no encoding of text. Try gb18030 or latin-1.",
            rule=4,
        ) from fault
    return encoding or "utf-8"


def _told_of_mark(encoding: str) -> str:
    if encoding == "utf-8":
        return "The file began with a byte-order mark, which was skipped."
    return "The file was UTF-16 and was read as such."


def _delimiter(begin: str, path: Path) -> str | None:
    """Return what stands between the names of a CSV header, where the first line is one."""
    header = begin.splitlines()[0]
    candidates = [
        (len(names), delimiter) for delimiter in DELIMITERS if _is_header(names := _cells(header, delimiter))
    ]
    if candidates:
        return max(candidates)[1]
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    return {".csv": ",", ".tsv": "\t"}.get(suffix)


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _is_header(names: list[str]) -> bool:
    return any(set(schema.required) <= set(names) for schema in SCHEMAS.values() if len(schema.required) > 1)


@contextmanager
def _gzip_faults(path: Path) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as fault:
        raise DataError(f"{path} is a damaged gzip file: {fault}. Fetch or pack it again.", rule=1) from fault
