"""Detect the layout of a text table: delimiter, quoting, and position of the header.

The right reading is the one that splits all lines into the same number of cells. What a sample cannot show is
left to the settings data.delimiter, data.quoting and data.header.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from tutelage.codes import Message
from tutelage.config.recipe import DataSettings
from tutelage.data.formats.schemas import SCHEMAS

DELIMITERS = "\t;|,"  # the first wins a tie: commas also occur in prose and in decimal numbers
NAMES = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
OF_ENDING = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
UNNAMED = "column"  # followed by a number from 1: the name of a column without one
ROWS_LOOKED_AT = 400
MOST_LINES_BEFORE = 10
MOSTLY = 0.8
# In prose, a quotation mark may begin a cell that a comma ends, so a few such lines prove nothing.
ROWS_THAT_PROVE = {",": 10, ";": 10}

SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)
BARE_VALUE = re.compile(
    r"[-+]?[\d.,' ]*\d[\d.,]*\s?[%€$£]?|\d{1,4}[-./]\d{1,2}[-./]\d{1,4}([T ].*)?|\w+://\S+|\S+@\S+\.\w+"
)
ENDS_SENTENCE = re.compile(r"""[.!?…。！？؟]["')»”’]?\s*\Z""")
LONG_NAME = 60  # characters
PLAIN_QUOTES = Message(
    "data.plain_quotes",
    "Quotation marks are read as plain characters, because only then do all lines have the same number of"
    " cells. --set data.quoting=double reads them as quotes.",
)
BLOCK_BYTES, SAMPLE_BYTES = 2**20, 2**16
LONGEST_BEGINNING = 8  # bytes of a delimiter and a quotation mark, in any encoding
PLACES_LOOKED_AT = 16


@dataclass(frozen=True)
class TableShape:
    """Delimiter, quoting, presence of a header, and the number of lines before the table.

    `known_header` means that the header contains names that a format or data.column_map expects.
    """

    delimiter: str = ","
    quotes: bool = True
    header: bool = True
    lines_before: int = 0
    known_header: bool = False
    notes: tuple[Message, ...] = ()


@dataclass(frozen=True)
class _Split:
    """A sample split with one delimiter and one way of quoting."""

    delimiter: str
    quotes: bool
    rows: list[list[str]]
    lines: list[int]  # line on which each row ends
    is_whole: bool  # no fault was found
    faulty_line: int = 0

    @property
    def width(self) -> int:
        """Number of cells in most rows."""
        return Counter(map(len, self.rows)).most_common(1)[0][0] if self.rows else 0

    @property
    def first(self) -> int:
        """Index of the first row that is as wide as most; narrower rows before it are a title."""
        width = self.width
        place = next((place for place, row in enumerate(self.rows) if len(row) == width), 0)
        is_title = all(sum(cell != "" for cell in row) <= 1 for row in self.rows[:place])
        is_table = width > 1 and len(self.rows) - place > 2 and self._share(place) == 1
        return place if is_title and is_table and place <= MOST_LINES_BEFORE else 0

    @property
    def share(self) -> float:
        """Share of rows that are as wide as the header."""
        return self._share(self.first)

    def _share(self, first: int) -> float:
        rows = self.rows[first:]
        return sum(len(row) == len(rows[0]) for row in rows) / len(rows) if rows else 0.0

    @property
    def header(self) -> list[str]:
        return self.rows[self.first] if self.rows else []


def find_shape(sample: str, *, is_whole: bool, settings: DataSettings, ending: str) -> TableShape | None:
    """Return the layout of the table that a sample begins with, or None if it is not a table.

    If the file's extension says nothing, a text only counts as a table if the header has the fields of a
    format, or if data.column_map or data.delimiter apply to it.
    """
    if not is_whole and "\n" in sample:
        sample = sample[: sample.rindex("\n") + 1]
    separator = SEPARATOR_LINE.match(sample)
    chosen = NAMES.get(settings.delimiter or "", settings.delimiter) or (separator and separator[1])
    begin = separator.end() if separator else 0
    sample, skipped = sample[begin:], int(begin > 0)
    splits = [_split_of(sample, one, settings.quoting, is_whole=is_whole) for one in chosen or DELIMITERS]
    best = max(splits, key=lambda split: _quality(split, settings.column_map))
    known = _knows(best.header, settings.column_map)
    if chosen is None and not known and ending not in OF_ENDING:
        return None
    if chosen is None and len(best.header) < 2 and ending in OF_ENDING:
        # A single column: prefer a delimiter that splits no line, or else the one of the extension.
        best = max(splits, key=lambda split: (split.share == 1, split.delimiter == OF_ENDING[ending]))
    header = _has_header(best, settings, known=known)
    before = best.lines[best.first - 1] if best.first else 0
    shape = TableShape(best.delimiter, best.quotes, header, skipped + before, known)
    return replace(shape, notes=tuple(_notes(shape, settings, before, ending)))


def look_at_more_rows(file: BinaryIO, shape: TableShape, *, sample: str, encoding: str) -> TableShape:
    """Decide about quoting if the sample leaves it open, by reading more of the file.

    The file position is after the sample. Places where a quotation mark begins a cell are checked with the
    lines around them.
    """
    quoted = _read(sample, shape.delimiter, quotes=True, is_whole=False)
    begins = tuple(f'{sign}"'.encode(encoding) for sign in (shape.delimiter, "\n"))
    before = b""
    for _ in range(PLACES_LOOKED_AT):
        if any(_needs_quotes(row, shape.delimiter) for row in quoted.rows):
            return shape  # quoted, because the cell would otherwise be split
        while (block := file.read(BLOCK_BYTES)) and not any(begin in before + block for begin in begins):
            before = block[-LONGEST_BEGINNING:]
        if not block:
            return shape
        whole = before + block
        place = min(place for begin in begins if (place := whole.find(begin)) >= 0)
        line_end = "\n".encode(encoding)
        start = whole.rfind(line_end, 0, place) + len(line_end)
        part = whole[max(start, 0) :][:SAMPLE_BYTES].decode(encoding, "replace")
        part = part[: part.rfind("\n") + 1]
        quoted, plain = (_read(part, shape.delimiter, quotes=one, is_whole=False) for one in (True, False))
        if plain.rows and _are_plain(quoted, plain):
            return replace(shape, quotes=False, notes=(*shape.notes, PLAIN_QUOTES))
        before = b""
    return shape


def column_name(number: int) -> str:
    """Return the default name of a column; columns count from 1."""
    return f"{UNNAMED}{number}"


def _split_of(sample: str, delimiter: str, quoting: str | None, *, is_whole: bool) -> _Split:
    """Split a sample with the way of quoting that gives rows of equal width."""
    if quoting is not None:
        return _read(sample, delimiter, quotes=quoting == "double", is_whole=is_whole)
    quoted = _read(sample, delimiter, quotes=True, is_whole=is_whole)
    if '"' not in sample:
        return quoted
    plain = _read(sample, delimiter, quotes=False, is_whole=is_whole)
    return plain if _are_plain(quoted, plain) else quoted


def _are_plain(quoted: _Split, plain: _Split) -> bool:
    """Return whether quotation marks are plain characters: only then do all lines have the same number of
    cells.
    """
    spans_lines = len(quoted.rows) < len(plain.rows)
    if quoted.is_whole and not spans_lines:
        return False
    if quoted.faulty_line and quoted.faulty_line >= plain.lines[-1] and not spans_lines:
        return False  # the last line was cut inside a quoted cell
    enough = ROWS_THAT_PROVE.get(plain.delimiter, 2)
    return len(plain.rows) >= enough and len(plain.rows[0]) > 1 and plain.share == 1


def _needs_quotes(row: Sequence[str], delimiter: str) -> bool:
    return any(delimiter in cell or "\n" in cell or '"' in cell for cell in row)


def _read(sample: str, delimiter: str, *, quotes: bool, is_whole: bool) -> _Split:
    quoting = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
            if len(rows) == ROWS_LOOKED_AT and quotes and '"' not in sample:
                break
    except csv.Error as fault:
        is_cut = not is_whole and "unexpected end" in str(fault)
        begun = lines[-1] + 1 if lines else 1  # line where the faulty row begins
        return _Split(delimiter, quotes, rows, lines, is_cut, 0 if is_cut else begun)
    return _Split(delimiter, quotes, rows, lines, True)


def _quality(split: _Split, paths: dict[str, str]) -> tuple:
    """Return a sort key for delimiters: known names in the header first, then how evenly lines are split."""
    header = split.header
    is_prose = split.delimiter == "," and _is_prose(split)
    splits = len(header) > 1
    return (
        _knows(header, paths),
        splits and not is_prose,
        splits and split.share >= MOSTLY,
        round(split.share, 1) if splits else 0.0,
        len(header) if not any(cell.count('"') % 2 for cell in header) else 0,
        -DELIMITERS.find(split.delimiter),
    )


def _is_prose(split: _Split) -> bool:
    """Return whether the commas in a header belong to a sentence or a number rather than separate names."""
    cells = split.header[1:]
    return bool(cells) and all(cell.startswith(" ") or cell[:1].isdigit() for cell in cells)


def _knows(header: Sequence[str], paths: dict[str, str]) -> bool:
    """Return whether a header contains the columns of data.column_map or the fields of a format, ignoring case."""
    names = {cell.strip().strip("\ufeff").casefold() for cell in header}
    if paths and all(_names_of(path) & names for path in paths.values()):
        return True
    fields = _renamed(names, paths)
    return any(schema.has_fields(fields) for schema in SCHEMAS.values() if len(schema.required) > 1)


def _names_of(path: str) -> set[str]:
    return {path.strip().casefold(), path.split(".", maxsplit=1)[0].casefold()}


def _renamed(names: Collection[str], paths: dict[str, str]) -> set[str]:
    return {*names, *(field for field, path in paths.items() if _names_of(path) & set(names))}


def _has_header(split: _Split, settings: DataSettings, *, known: bool) -> bool:
    if settings.header is not None:
        return settings.header
    if known or not split.rows:
        return True
    numbered = [re.fullmatch(rf"{UNNAMED}\d+", path) for path in settings.column_map.values()]
    if numbered and all(numbered):
        return False
    return not _is_row(split.header, split.rows[split.first + 1 :])


def _is_row(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Return whether the first line is a row like the others rather than a header."""
    below = [row for row in others if len(row) == len(first) and list(row) != list(first)]
    for place, cell in enumerate(text.strip() for text in first):
        column = [row[place].strip() for row in below]
        if cell and (BARE_VALUE.fullmatch(cell) or cell[:1] in "{["):
            return True
        if cell and cell in column and len(set(column)) < len(column):
            return True  # a class that also occurs in other rows
        is_long = len(cell) > LONG_NAME or (ENDS_SENTENCE.search(cell) and " " in cell)
        if is_long and sum(bool(ENDS_SENTENCE.search(one)) for one in column) > len(column) / 2:
            return True
    return False


def _notes(shape: TableShape, settings: DataSettings, before: int, ending: str) -> list[Message]:
    notes: list[Message] = []
    named = {value: name for name, value in NAMES.items()}
    usual = {".csv": ",;", ".tsv": "\t", ".tab": "\t"}.get(ending, DELIMITERS)
    if settings.delimiter is None and shape.delimiter not in usual:
        told = f"The cells are separated by {named.get(shape.delimiter, shape.delimiter)}."
        notes.append(Message("data.delimiter_found", told))
    if settings.quoting is None and not shape.quotes:
        notes.append(PLAIN_QUOTES)
    if settings.header is None and not shape.header:
        told = (
            f"The first line looks like a row, so the columns are named {column_name(1)}, {column_name(2)}"
            " and so on. If it is a header, add --set data.header=true."
        )
        notes.append(Message("data.no_header", told))
    if before:
        told = f"{before:,} lines above the header are not part of the table and were not read."
        notes.append(Message("data.lines_before_header", told))
    return notes
