"""What a source holds before it is known to be anything: records, each with its place."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tutelage.codes import Message

# Where a row came from, which every format may say: its number in its first source; for a row that a model wrote, the
# numbers of the rows that the model was shown, and the model's name.
SOURCE_ROW, MADE_FROM, MADE_BY = "source_row", "made_from", "made_by"

NO_LIMIT = 2**63  # where a row may have any size
LEFT_OUT = "left out"  # in place of the format of a row that the user's own function left out


@dataclass(frozen=True, slots=True)
class Record:
    """One value of a source: its 0-based row, and where it begins, as far as the kind of file tells that."""

    row: int
    line: int | None  # 1-based
    value: Any
    offset: int | None = None  # bytes before it in the file
    size: int | None = None  # its own bytes
    file: str | None = None  # where a source has several
    is_from_arrow: bool = False  # Arrow gives every struct of a column the keys of all of them, with nulls
    was_read: bool = True  # a row above data.max_row_bytes is not, and has no value
    is_left_out: bool = False  # by a function of the user's own; it has no value then


@dataclass(frozen=True)
class SourceReader:
    """A source that can be read as often as is wanted, each time record by record from its beginning.

    However large it is, one record at a time is in memory; a fault in it is raised when reading comes to it.
    """

    name: str
    sha256: str
    records: Callable[[], Iterator[Record]]
    notes: list[Message]
    kind: str = "JSON"


@dataclass(frozen=True)
class Source:
    """All records of one source, with what identifies its bytes and how they were read."""

    name: str
    sha256: str
    records: list[Record]
    notes: list[Message]
    kind: str = "JSON"
