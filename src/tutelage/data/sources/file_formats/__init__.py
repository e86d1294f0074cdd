"""File formats for reading and writing rows: one module each, with a record named `FORMAT`.

To add one, write its module and add it to `config/extensions.py` under its file extension.
"""

import codecs
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from tutelage.codes import Message
from tutelage.config.extensions import FILE_FORMATS
from tutelage.config.recipe import DataSettings
from tutelage.data.rows.records import Record
from tutelage.errors import DataError

HEAD_BYTES = 2**16
MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}

Row = dict[str, Any]
# Takes a file positioned after its byte-order mark, and yields its records.
ReadRows = Callable[[BinaryIO], Iterator[Record]]


@dataclass(frozen=True)
class Head:
    """The first bytes of an open file, by which its format is recognized.

    Notes about the file are collected in `notes`, also by its reader.
    """

    path: Path
    file: BinaryIO  # positioned after `content`
    content: bytes
    settings: DataSettings
    notes: list[Message] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether `content` is the whole file."""
        return len(self.content) < HEAD_BYTES

    @property
    def ending(self) -> str:
        """File extension, without .gz."""
        return ending_of(self.path)

    @cached_property
    def mark(self) -> bytes:
        """The byte-order mark at the beginning, or b""."""
        return next((mark for mark in MARKS if self.content.startswith(mark)), b"")

    @cached_property
    def encoding(self) -> str:
        """Text encoding: from the byte-order mark, or else from the settings."""
        return MARKS.get(self.mark) or _chosen(self.settings.encoding)

    @cached_property
    def begin(self) -> str:
        """The decoded text, starting at the first character that is not whitespace."""
        return self.content[len(self.mark) :].decode(self.encoding, "replace").lstrip()

    @cached_property
    def text(self) -> str:
        """The decoded text, without a character that is cut off at its end."""
        decoder = codecs.getincrementaldecoder(self.encoding)("replace")
        return decoder.decode(self.content[len(self.mark) :], final=self.is_whole)

    def add_note(self, message: Message) -> None:
        """Add a note, unless it was already added by an earlier read."""
        if message not in self.notes:
            self.notes.append(message)


@dataclass(frozen=True)
class Recognised:
    """A recognized file: its kind and how to read it; `is_text_table` means that all its cells are text."""

    kind: str
    read: ReadRows
    is_text_table: bool = False


@dataclass(frozen=True)
class FileFormat:
    """How files of one format are recognized and written.

    The content decides: binary formats are tried first, then the one matching the extension, then the others.
    `write` raises ValueError or TypeError if the rows do not fit. With `read_back`, written rows are read again
    before they are published, because the format may change them. In a text table, a spreadsheet would run
    formulas.
    """

    recognise: Callable[[Head], Recognised | None]
    write: Callable[[Sequence[Row]], bytes]
    is_text: bool = True
    is_text_table: bool = False
    read_back: Callable[[BinaryIO, str], Iterator[Record]] | None = None


@cache
def load_format(ending: str) -> FileFormat:
    """Return the format of files with an extension."""
    return import_module(FILE_FORMATS[ending]).FORMAT


def recognise_binary(head: Head) -> Recognised | None:
    """Recognize a binary file, or return None."""
    return _first([format for format in map(load_format, FILE_FORMATS) if not format.is_text], head)


def recognise_text(head: Head) -> Recognised | None:
    """Recognize a text file, or return None."""
    own_first = sorted(FILE_FORMATS, key=lambda ending: ending != head.ending)
    return _first([format for format in map(load_format, own_first) if format.is_text], head)


def ending_of(path: Path) -> str:
    """Return the lowercase extension of a file name, without .gz."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _first(formats: Sequence[FileFormat], head: Head) -> Recognised | None:
    return next(filter(None, (format.recognise(head) for format in formats)), None)


def _chosen(encoding: str | None) -> str:
    try:
        "a".encode(encoding or "utf-8")
    except LookupError as fault:
        raise DataError(
            "data.unknown_encoding",
            f"data.encoding is {encoding!r}, which is not a text encoding. Try gb18030 or latin-1.",
        ) from fault
    return encoding or "utf-8"
