"""Read rows from CSV files. All cells are text; types are not guessed."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from typing import BinaryIO

from tutelage.codes import Message
from tutelage.data.formats.table_shape import TableShape, column_name
from tutelage.data.rows.encodings import DecodedText
from tutelage.data.rows.records import NO_LIMIT, Record
from tutelage.data.sources.csv_lines import MARK, CsvLines
from tutelage.errors import DataError

LONGEST_CELL = 2**31 - 1  # csv's default is 131,072; data.max_row_bytes limits rows
LONGEST_HEADER = 2**20  # bytes, unless rows may be longer
LINES_NAMED = 5
ADVICE = {
    True: "Fix that row, or quote cells that contain line breaks or delimiters. If quotation marks are plain"
    " characters in this file, add --set data.quoting=none; if the delimiter is different, add --set"
    " data.delimiter=…",
    False: "Fix that row. If quotation marks surround cells in this file, add --set data.quoting=double; if"
    " the delimiter is different, add --set data.delimiter=…",
}


def read_csv_rows(
    file: BinaryIO,
    name: str,
    *,
    encoding: str,
    shape: TableShape,
    max_row_bytes: int = NO_LIMIT,
    tell: Callable[[Message], None] = lambda message: None,
) -> Iterator[Record]:
    """Yield the rows of a CSV file below its header as dicts of texts, each with its first line number.

    A row above `max_row_bytes` has a size but no value. At the end, `tell` is called with notes on what was
    left out: repeated headers from concatenated files, and unnamed empty columns.
    """
    csv.field_size_limit(LONGEST_CELL)
    text = DecodedText(file, name, encoding)
    longest_header = max(max_row_bytes, LONGEST_HEADER)
    lines = CsvLines(
        text,
        encoding=encoding,
        delimiter=shape.delimiter,
        max_row_bytes=longest_header if shape.header else max_row_bytes,
        quotes=shape.quotes,
        lines_before=shape.lines_before,
    )
    quoting = csv.QUOTE_MINIMAL if shape.quotes else csv.QUOTE_NONE
    reader = csv.reader(iter(lines), delimiter=shape.delimiter, quoting=quoting, strict=True)
    columns = _Columns(name)
    rows = had = 0
    try:
        if shape.header:
            header = next(filter(None, reader), [])
            had = reader.line_num
            if lines.row_bytes(had) > longest_header:
                raise DataError(
                    "data.row_too_large",
                    f"{name}: the header has more than {longest_header:,} bytes. If the first line is not a"
                    " header, add --set data.header=false.",
                )
            columns.take_header(header)
            lines.max_row_bytes = max_row_bytes
        line = lines.begin_row(had)
        for cells in reader:
            had = reader.line_num
            if cells:  # skip empty lines
                size = lines.row_bytes(had)
                if len(cells) != columns.width and not columns.fit(cells):
                    raise DataError(
                        "data.row_width",
                        f"{name}:{line}: row {rows} has {len(cells)} cells, but the header names {columns.width}"
                        f" columns. {ADVICE[shape.quotes]}",
                        row=rows,
                    )
                if size > max_row_bytes:
                    yield Record(rows, line, None, size=size, was_read=False)
                    rows += 1
                elif cells == columns.header:
                    columns.repeated.append(line)
                else:
                    is_plain = not columns.unnamed
                    value = dict(zip(columns.names, cells, strict=True)) if is_plain else columns.value(cells)
                    yield Record(rows, line, value, size=size)
                    rows += 1
            line = lines.begin_row(had)
        for message in columns.messages(lines.marks):
            tell(message)
    except csv.Error as fault:
        reason = str(fault).replace("\t", "\\t")
        raise DataError(
            "data.malformed_csv",
            f"{name}:{lines.line(reader.line_num)}: malformed CSV: {reason}. {rows:,} complete rows come"
            f" before it. {ADVICE[shape.quotes]}",
            row=rows,
        ) from fault


class _Columns:
    """The names of the columns; unnamed columns are left out unless they contain something."""

    def __init__(self, name: str) -> None:
        self.width = 0
        self.header: list[str] = []
        self.repeated: list[int] = []  # line numbers of repeated headers
        self.names: list[str] = []
        self.unnamed: list[int] = []  # positions of the unnamed columns
        self._file = name
        self._filled: set[int] = set()  # unnamed columns that contain something

    def take_header(self, cells: list[str]) -> None:
        """Take the column names from the first line."""
        self.header, self.width = cells, len(cells)
        self.names = [cell.strip().strip(MARK) or column_name(place + 1) for place, cell in enumerate(cells)]
        self.unnamed = [place for place, cell in enumerate(cells) if not cell.strip().strip(MARK)]
        if len(self.unnamed) == self.width > 0:
            self.unnamed = []
        check_columns(self.names, self._file)

    def fit(self, cells: list[str]) -> bool:
        """Remove empty cells after the last column, and return whether the row has the right width.

        Without a header, the first row determines the number of columns, which are named by their position.
        """
        if not self.names:
            self.width = len(cells)
            self.names = [column_name(place + 1) for place in range(self.width)]
        while len(cells) > self.width and not cells[-1].strip():
            cells.pop()
        return len(cells) == self.width

    def value(self, cells: list[str]) -> dict[str, str]:
        """Return a row as a dict, without the empty cells of unnamed columns."""
        self._filled.update(place for place in self.unnamed if cells[place].strip())
        left = {place for place in self.unnamed if not cells[place].strip()}
        pairs = enumerate(zip(self.names, cells, strict=True))
        return {name: cell for place, (name, cell) in pairs if place not in left}

    def messages(self, marks: int) -> Iterator[Message]:
        """Yield notes about skipped parts, including byte-order marks, and about columns named by position."""
        if marks:
            told = f"{marks:,} byte-order marks at the beginning of lines were skipped."
            yield Message("data.byte_order_mark", told)
        if self.repeated:
            named = ", ".join(map(str, self.repeated[:LINES_NAMED]))
            more = f" and {len(self.repeated) - LINES_NAMED:,} more" if self.repeated[LINES_NAMED:] else ""
            yield Message(
                "data.repeated_header",
                f"The header is repeated on line {named}{more}, which was not read as a row.",
            )
        if empty := len(self.unnamed) - len(self._filled):
            yield Message(
                "data.unnamed_column", f"{empty} columns without a name are empty and were dropped."
            )
        if self._filled:
            named = ", ".join(self.names[place] for place in sorted(self._filled))
            yield Message(
                "data.unnamed_column", f"Columns without a name were named {named}, by their position."
            )


def check_columns(columns: list[str], name: str) -> None:
    """Raise DataError if two columns have the same name."""
    repeated = next((column for column, count in Counter(columns).items() if count > 1), None)
    if repeated is not None:
        raise DataError(
            "data.duplicate_column",
            f"{name} has two columns named {repeated!r}. Rename one of them; if the first line is not a"
            " header, add --set data.header=false.",
        )
