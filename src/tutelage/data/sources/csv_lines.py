"""Feed the lines of a CSV file to `csv.reader` and measure each row; an oversized row is not held in memory."""

import csv
import io
import re
from collections.abc import Iterator
from itertools import chain

from tutelage.data.rows.encodings import DecodedText
from tutelage.data.rows.text_window import bytes_of, takes_ascii

CHARACTERS_AT_ONCE = 2**16
MOST_CELLS = 100_000  # cells counted in an oversized row
INSIDE_QUOTES = re.compile(r'(?:[^"]++|"")*+')
MARK = "\ufeff"  # a byte-order mark from concatenated files


class CsvLines:
    """Yields lines for a `csv.reader`, block by block, and tracks the size of the current row.

    The consumer calls `begin_row` with the number of lines the reader has consumed. If a row above
    `max_row_bytes` does not end in its block, the reader gets empty cells instead, as many as the row has. So
    it is parsed as strictly as other rows, but never held in memory as a whole.
    """

    def __init__(
        self,
        text: DecodedText,
        *,
        encoding: str,
        delimiter: str,
        max_row_bytes: int,
        quotes: bool = True,
        lines_before: int = 0,
    ) -> None:
        self.max_row_bytes = max_row_bytes
        self.marks = 0  # byte-order marks at the beginning of lines
        self._text, self._encoding, self._takes_ascii = text, encoding, takes_ascii(encoding)
        self._delimiter, self._quotes = delimiter, quotes
        self._skipped = lines_before
        self._lines_more = lines_before  # file lines that the reader did not see
        self._begin = 0  # lines consumed when the current row began
        self._given, self._carried = 0, 0  # lines in earlier blocks, and bytes of the current row in them
        self._wholes: list[int] = []  # bytes of each line in the block
        self._contents: list[int] = []  # the same without line endings

    def begin_row(self, had: int) -> int:
        """Record that a row begins after `had` consumed lines; return its line number in the file, from 1."""
        self._begin = had
        return had + self._lines_more + 1

    def line(self, had: int) -> int:
        """Return the line number in the file after `had` consumed lines."""
        return had + self._lines_more

    def row_bytes(self, had: int) -> int:
        """Return the size in bytes of the row that ends after `had` consumed lines, without its line ending."""
        last, first = had - self._given - 1, self._begin - self._given
        if first == last:
            return self._contents[last]
        if first > last:
            return 0  # nothing was read
        earlier = self._carried if first < 0 else 0
        return earlier + sum(self._wholes[max(first, 0) : last]) + self._contents[last]

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self._blocks())

    def _blocks(self) -> Iterator[list[str]]:
        held, is_whole = "", False
        while not is_whole:
            # Doubling, so that a long line is scanned only a few times.
            piece = self._text.read(max(CHARACTERS_AT_ONCE, len(held)))
            is_whole, seen = not piece, held + piece
            lines, held = _lines_of(seen, is_whole=is_whole)
            if self._skipped:
                self._skipped, lines = max(0, self._skipped - len(lines)), lines[self._skipped :]
            if lines:
                yield self._measured(lines, seen)
            # The reader has consumed all lines by now and is asking for the incomplete one.
            in_row = self._in_row()
            is_large = in_row > self.max_row_bytes or len(held) >= CHARACTERS_AT_ONCE
            if is_large and not is_whole and in_row + self._bytes_of(held) > self.max_row_bytes:
                line, held = self._passed_over(held)
                yield [line]

    def _in_row(self) -> int:
        """Return the bytes of the incomplete row so far."""
        first = self._begin - self._given
        return (self._carried if first < 0 else 0) + sum(self._wholes[max(first, 0) :])

    def _measured(self, lines: list[str], text: str) -> list[str]:
        """Measure a block of complete lines; return it without byte-order marks at the beginning of lines."""
        self._carried, self._given = self._in_row(), self._given + len(self._wholes)
        if self._takes_ascii and text.isascii():
            self._wholes = list(map(len, lines))
        elif self._encoding == "utf-8":
            self._wholes = list(map(len, map(str.encode, lines)))
        else:
            self._wholes = list(map(self._bytes_of, lines))
        end = self._bytes_of("\n")
        if "\r" not in text and lines[-1][-1] == "\n":
            self._contents = [size - end for size in self._wholes]
        else:
            ends = [len(line) - len(line.rstrip("\r\n")) for line in lines]
            self._contents = [size - end * more for size, more in zip(self._wholes, ends, strict=True)]
        if MARK in text:
            self.marks += sum(line[0] == MARK for line in lines)
            return [line.removeprefix(MARK) for line in lines]
        return lines

    def _passed_over(self, held: str) -> tuple[str, str]:
        """Skip to the end of the incomplete row; return a line that ends it, and the text after it."""
        is_quoted = self._begin < self._given + len(self._wholes)  # or the row would end on its line
        cells = _Cells(self._delimiter, is_inside_quotes=is_quoted, quotes=self._quotes)
        whole, line_end, passed, rest = 0, 0, 0, held
        is_at_end, is_at_end_of_file = False, False
        while not is_at_end:
            lines, rest = _pieces_of(rest, is_whole=is_at_end_of_file)
            for place, line in enumerate(lines):
                is_at_end = cells.pass_over(line)
                whole += self._bytes_of(line)
                line_end = self._bytes_of(line[len(line.rstrip("\r\n")) :])
                passed += line_end > 0
                if is_at_end:
                    rest = "".join(lines[place + 1 :]) + rest
                    break
            if is_at_end_of_file:
                break
            if not is_at_end:
                piece = self._text.read(CHARACTERS_AT_ONCE)
                rest, is_at_end_of_file = rest + piece, not piece
        if cells.is_inside_quotes:
            raise csv.Error("unexpected end of data")
        self._carried, self._given = self._in_row(), self._given + len(self._wholes)
        self._wholes, self._contents = [whole], [whole - line_end]
        self._lines_more += max(passed - 1, 0)
        first = '"' if is_quoted else '""'  # closed quotation marks
        return f"{first}{self._delimiter * min(cells.delimiters, MOST_CELLS)}\n", rest

    def _bytes_of(self, text: str) -> int:
        return len(text) if self._takes_ascii and text.isascii() else bytes_of(text, self._encoding)


def _lines_of(text: str, *, is_whole: bool) -> tuple[list[str], str]:
    """Split a text into its complete lines, with line endings, and the rest."""
    lines = list(io.StringIO(text, newline=""))
    if is_whole or not lines or lines[-1].endswith("\n"):
        return lines, ""
    return lines, lines.pop()  # may end with the first half of a CRLF


def _pieces_of(text: str, *, is_whole: bool) -> tuple[list[str], str]:
    """Split a text into lines, the last of which may be incomplete, and a possible first half of a CRLF."""
    rest = "\r" if text.endswith("\r") and not is_whole else ""
    return list(io.StringIO(text[: len(text) - len(rest)], newline="")), rest


class _Cells:
    """Counts the cells of one row, skipped in pieces, by the rules of a strict `csv.reader`."""

    def __init__(self, delimiter: str, *, is_inside_quotes: bool, quotes: bool = True) -> None:
        self.delimiters = 0
        self.is_inside_quotes = is_inside_quotes
        self._delimiter, self._quotes = delimiter, quotes
        self._delimiters = re.compile(f"{re.escape(delimiter)}+")
        self._plain = re.compile(f"[^{re.escape(delimiter)}\r\n]+")
        self._is_at_begin, self._is_after_quote = not is_inside_quotes, False

    def pass_over(self, piece: str) -> bool:
        """Skip a piece; return True if the row ends, which is at the end of a line and of the piece."""
        at = 0
        while at < len(piece):
            if self.is_inside_quotes:
                at = _end(INSIDE_QUOTES, piece, at) + 1
                self.is_inside_quotes = at > len(piece)
                self._is_after_quote = not self.is_inside_quotes
            elif self._quotes and piece[at] == '"' and (self._is_at_begin or self._is_after_quote):
                self.is_inside_quotes, self._is_at_begin, self._is_after_quote = True, False, False
                at += 1
            elif piece[at] in "\r\n":
                return True
            elif piece[at] == self._delimiter:
                end = _end(self._delimiters, piece, at)
                self.delimiters += end - at
                self._is_at_begin, self._is_after_quote, at = True, False, end
            elif self._is_after_quote:
                raise csv.Error(f"'{self._delimiter}' expected after '\"'")
            else:
                self._is_at_begin, at = False, _end(self._plain, piece, at)
        return False


def _end(pattern: re.Pattern[str], piece: str, at: int) -> int:
    found = pattern.match(piece, at)
    assert found is not None  # only called where the pattern matches
    return found.end()
