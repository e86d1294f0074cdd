"""The lines of a CSV file as `csv.reader` takes them, with the bytes of each row; of a row too large little is kept."""

import csv
import io
import re
from collections.abc import Iterator

from tutelage.data.text_window import bytes_of, takes_ascii

CHARACTERS_AT_ONCE = 2**16
MOST_CELLS = 100_000  # of a row that is too large, beyond which they are not counted
LONGEST_PIECE = 2**31
INSIDE_QUOTES = re.compile(r'(?:[^"]++|"")*+')


class CsvLines:
    """Gives the reader one line after the other, and knows the line and the bytes of the row that it is in.

    A row above `max_row_bytes` reaches the reader as empty cells, as many as it has, so that it is as strictly read as
    the others and never in memory as a whole.
    """

    def __init__(self, text: io.TextIOBase, *, encoding: str, delimiter: str, max_row_bytes: int) -> None:
        self.line = 0  # how many were begun
        self.max_row_bytes = max_row_bytes
        self._text, self._encoding, self._takes_ascii = text, encoding, takes_ascii(encoding)
        self._delimiter = delimiter
        self._row_bytes, self._line_end, self._held = 0, "", ""
        self._begins_line = True

    def begin_row(self) -> None:
        """Count the bytes of the next row."""
        self._row_bytes, self._line_end = 0, ""

    @property
    def row_bytes(self) -> int:
        """The bytes of the row that was read, without its line end."""
        return self._row_bytes - self._bytes_of(self._line_end)

    def __iter__(self) -> Iterator[str]:
        # More characters are more bytes. Whoever asks may change the limit between two lines.
        while line := self._read(min(self.max_row_bytes, LONGEST_PIECE) + 1):
            is_quoted = self._row_bytes > 0  # a row goes on in another line inside of quotation marks alone
            self._count(line)
            if self.row_bytes > self.max_row_bytes:
                line = self._as_empty_cells(line, is_quoted=is_quoted)
            yield line

    def _read(self, size: int) -> str:
        """Read a line, or a piece of one that is longer; a line end of two characters is in one piece."""
        held, self._held = self._held, ""
        piece = held if held == "\r" else held + self._text.readline(size)
        if piece.endswith("\r") and (held == "\r" or len(piece) >= size):
            following = self._text.readline(1)
            if following == "\n":
                return piece + following
            self._held = following
        return piece

    def _count(self, piece: str) -> None:
        self._row_bytes += self._bytes_of(piece)
        self._line_end = piece[len(piece.rstrip("\r\n")) :]
        self.line += self._begins_line and piece != ""
        self._begins_line = bool(self._line_end)

    def _as_empty_cells(self, piece: str, *, is_quoted: bool) -> str:
        """Go to the end of the row that a piece belongs to, and return a line that ends it."""
        cells = _Cells(self._delimiter, is_inside_quotes=is_quoted)
        while piece and not cells.pass_over(piece):
            piece = self._read(CHARACTERS_AT_ONCE)
            self._count(piece)
        if cells.is_inside_quotes:
            raise csv.Error("unexpected end of data")
        first = '"' if is_quoted else '""'  # closed quotation marks
        return f"{first}{self._delimiter * min(cells.delimiters, MOST_CELLS)}\n"

    def _bytes_of(self, text: str) -> int:
        return len(text) if self._takes_ascii and text.isascii() else bytes_of(text, self._encoding)


class _Cells:
    """Counts the cells of one row, which is passed over piece by piece, by the rules of a strict `csv.reader`."""

    def __init__(self, delimiter: str, *, is_inside_quotes: bool) -> None:
        self.delimiters = 0
        self.is_inside_quotes = is_inside_quotes
        self._delimiter = delimiter
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
            elif piece[at] == '"' and (self._is_at_begin or self._is_after_quote):
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
