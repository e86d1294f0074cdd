"""Records: values of a source, with their places, before they are interpreted as rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tutelage.codes import Message

# Provenance fields allowed in every format: row number in the first source; for generated rows, the rows shown
# to the model, and the model's name.
SOURCE_ROW, MADE_FROM, MADE_BY = "source_row", "made_from", "made_by"

NO_LIMIT = 2**63  # for rows of any size
LEFT_OUT = "left out"  # used as the format of a row that a user's function left out


@dataclass(frozen=True, slots=True)
class Record:
    """One value of a source: its row number from 0, and its position, as far as the file type provides it."""

    row: int
    line: int | None  # 1-based
    value: Any
    offset: int | None = None  # bytes before it in the file
    size: int | None = None  # in bytes
    file: str | None = None  # if a source has several files
    is_from_arrow: bool = False  # Arrow gives every struct of a column all keys, with nulls
    was_read: bool = True  # False for a row above data.max_row_bytes, which has no value
    is_left_out: bool = False  # by a user's function; it then has no value


@dataclass(frozen=True)
class SourceReader:
    """A source that can be read any number of times, record by record.

    Only one record at a time is in memory; faults are raised when reading reaches them.
    """

    name: str
    sha256: str
    records: Callable[[], Iterator[Record]]
    notes: list[Message]
    kind: str = "JSON"


@dataclass(frozen=True)
class Source:
    """All records of a source, with the hash of its bytes and notes on how they were read."""

    name: str
    sha256: str
    records: list[Record]
    notes: list[Message]
    kind: str = "JSON"
