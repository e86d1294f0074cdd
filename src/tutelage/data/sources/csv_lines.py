"""The lines of a CSV file as `csv.reader` takes them, with the bytes of each row; of a row too large little is kept."""

import csv
import io
import re
from collections.abc import Iterator
from itertools import chain

from tutelage.data.rows.encodings import DecodedText
from tutelage.data.rows.text_window import bytes_of, takes_ascii

CHARACTERS_AT_ONCE = 2**16
MOST_CELLS = 100_000  # of a row that is too large, beyond which they are not counted
INSIDE_QUOTES = re.compile(r'(?:[^"]++|"")*+')
MARK = "\ufeff"  # a byte-order mark, where files were joined


class CsvLines:
    """Gives a `csv.reader` one line after the other, block by block, and knows the bytes of the row that it is in.

    Whoever reads says where each row begins, by how many lines the reader has had then. A row above `max_row_bytes`
    that does not end in its block reaches the reader as empty cells, as many as it has, so that it is as strictly read
    as the others and never in memory as a whole.
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
        self.marks = 0  # byte-order marks that stood at the beginning of a line
        self._text, self._encoding, self._takes_ascii = text, encoding, takes_ascii(encoding)
        self._delimiter, self._quotes = delimiter, quotes
        self._skipped = lines_before
        self._lines_more = lines_before  # of the file than the reader has had
        self._begin = 0  # the lines that the reader had had when its row began
        self._given, self._carried = 0, 0  # lines in earlier blocks, and the bytes of the row in them
        self._wholes: list[int] = []  # bytes of each line of the block
        self._contents: list[int] = []  # the same without line ends

    def begin_row(self, had: int) -> int:
        """Note that a row begins when the reader has had so many lines; return its line in the file, from 1."""
        self._begin = had
        return had + self._lines_more + 1

    def line(self, had: int) -> int:
        """Return the line of the file that the reader has come to."""
        return had + self._lines_more

    def row_bytes(self, had: int) -> int:
        """Return the bytes of the row that ends when the reader has had so many lines, without its line end."""
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
            # Doubling, so that a long line is gone over a few times at most.
            piece = self._text.read(max(CHARACTERS_AT_ONCE, len(held)))
            is_whole, seen = not piece, held + piece
            lines, held = _lines_of(seen, is_whole=is_whole)
            if self._skipped:
                self._skipped, lines = max(0, self._skipped - len(lines)), lines[self._skipped :]
            if lines:
                yield self._measured(lines, seen)
            # The reader has had all lines by now, and what it asks for is the line that is held.
            in_row = self._in_row()
            is_large = in_row > self.max_row_bytes or len(held) >= CHARACTERS_AT_ONCE
            if is_large and not is_whole and in_row + self._bytes_of(held) > self.max_row_bytes:
                line, held = self._passed_over(held)
                yield [line]

    def _in_row(self) -> int:
        """Return the bytes of the row that is not at its end yet."""
        first = self._begin - self._given
        return (self._carried if first < 0 else 0) + sum(self._wholes[max(first, 0) :])

    def _measured(self, lines: list[str], text: str) -> list[str]:
        """Take in the sizes of a block of whole lines, and return it without the marks at its lines' beginnings."""
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
        """Go to the end of the row that is held in part; return a line that ends it, and what was read beyond it."""
        is_quoted = self._begin < self._given + len(self._wholes)  # for only so a row goes on in another line
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
    """Return the whole lines of a text with their ends, and what stands behind the last of them."""
    lines = list(io.StringIO(text, newline=""))
    if is_whole or not lines or lines[-1].endswith("\n"):
        return lines, ""
    return lines, lines.pop()  # which may end with the first half of a line end


def _pieces_of(text: str, *, is_whole: bool) -> tuple[list[str], str]:
    """Return the lines of a text, the last of which may go on, and what may be the first half of a line end."""
    rest = "\r" if text.endswith("\r") and not is_whole else ""
    return list(io.StringIO(text[: len(text) - len(rest)], newline="")), rest


class _Cells:
    """Counts the cells of one row, which is passed over piece by piece, by the rules of a strict `csv.reader`."""

    def __init__(self, delimiter: str, *, is_inside_quotes: bool, quotes: bool = True) -> None:
        self.delimiters = 0
        self.is_inside_quotes = is_inside_quotes
        self._delimiter, self._quotes = delimiter, quotes
        self._delimiters = re.compile(f"{re.escape(delimiter)}+")
        self._plain = re.compile(f"[^{re.escape(delimiter)}\r\n]+")
        self._is_at_begin, self._is_after_quote = not is_inside_quotes, False

    def pass_over(self, piece: str) -> bool:
        """Pass over a piece; True at the end of the row, which is the end of a line and of its piece."""
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
    assert found is not None  # each is asked for where it matches
    return found.end()
