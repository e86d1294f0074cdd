"""The kinds of files that rows come from and go to, a module for each with its one record, `FORMAT`.

To add one, write its module and name it in `config/extensions.py` by the ending of its files.
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
# From the file, which stands at its beginning, behind a byte-order mark, to its records.
ReadRows = Callable[[BinaryIO], Iterator[Record]]


@dataclass(frozen=True)
class Head:
    """The beginning of a file that is open, `content`, by which its format is recognised.

    What has to be said of the file goes into `notes`, by its reader as well.
    """

    path: Path
    file: BinaryIO  # stands behind the content
    content: bytes
    settings: DataSettings
    notes: list[Message] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Tell whether that is the whole file."""
        return len(self.content) < HEAD_BYTES

    @property
    def ending(self) -> str:
        """Return the ending of its name, without that of gzip."""
        return ending_of(self.path)

    @cached_property
    def mark(self) -> bytes:
        """Return the byte-order mark with which it begins, or nothing."""
        return next((mark for mark in MARKS if self.content.startswith(mark)), b"")

    @cached_property
    def encoding(self) -> str:
        """Return its encoding as a text: that of the mark, or else the one that is set."""
        return MARKS.get(self.mark) or _chosen(self.settings.encoding)

    @cached_property
    def begin(self) -> str:
        """Return the text, whatever its bytes, from the first character that is no space."""
        return self.content[len(self.mark) :].decode(self.encoding, "replace").lstrip()

    @cached_property
    def text(self) -> str:
        """Return the text as it stands, without a character that may be cut off at its end."""
        decoder = codecs.getincrementaldecoder(self.encoding)("replace")
        return decoder.decode(self.content[len(self.mark) :], final=self.is_whole)

    def add_note(self, message: Message) -> None:
        """Add to the notes, once however often the same file is read."""
        if message not in self.notes:
            self.notes.append(message)


@dataclass(frozen=True)
class Recognised:
    """What a file is called, and how to read it; `is_text_table` says that its cells are nothing but text."""

    kind: str
    read: ReadRows
    is_text_table: bool = False


@dataclass(frozen=True)
class FileFormat:
    """How files of one kind are recognised and written.

    A file is what its bytes say: all formats are asked, those that are not text first, then the one that its ending
    names. `write` raises ValueError or TypeError where the rows do not fit. With `read_back`, what was written is read
    again before it is published, for it may hold the rows as others. In a text table a spreadsheet would run formulas.
    """

    recognise: Callable[[Head], Recognised | None]
    write: Callable[[Sequence[Row]], bytes]
    is_text: bool = True
    is_text_table: bool = False
    read_back: Callable[[BinaryIO, str], Iterator[Record]] | None = None


@cache
def load_format(ending: str) -> FileFormat:
    """Return the format of files with an ending."""
    return import_module(FILE_FORMATS[ending]).FORMAT


def recognise_binary(head: Head) -> Recognised | None:
    """Return what a file that is not text is; None where no format knows it."""
    return _first([format for format in map(load_format, FILE_FORMATS) if not format.is_text], head)


def recognise_text(head: Head) -> Recognised | None:
    """Return what a file of text is; None where no format knows it."""
    own_first = sorted(FILE_FORMATS, key=lambda ending: ending != head.ending)
    return _first([format for format in map(load_format, own_first) if format.is_text], head)


def ending_of(path: Path) -> str:
    """Return the ending of a name, which says what kind of file it is, without that of gzip."""
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
