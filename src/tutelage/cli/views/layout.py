"""Lay out text for a terminal: escape invisible characters, and wrap between words where possible."""

from collections.abc import Callable, Iterator, Sequence

from tutelage.text.characters import is_unseen

BETWEEN = 2  # blanks between table columns
TAB = 8  # columns per tab stop


def printable(text: str) -> str:
    """Escape characters that are invisible or could control the terminal.

    These include lone surrogates, which represent invalid bytes in file names and cannot be written.
    """
    return "".join(_escape(character) if is_unseen(character) else character for character in text)


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class StreamWrapper:
    """Wraps a text between words while it arrives in pieces.

    `width` returns the current number of terminal columns, `cells` the number of columns that a text takes. A
    word is held back until it is known whether it fits on the line. Wide characters, such as Chinese, count as
    words. A word longer than a line is cut.
    """

    def __init__(self, width: Callable[[], int], *, cells: Callable[[str], int]) -> None:
        self._width, self._cells = width, cells
        self._column = 0  # current column
        self._blanks = 0  # pending blanks before the word; dropped at the end of a line
        self._word = ""

    def add(self, piece: str) -> str:
        """Add a piece, and return the text that can be printed now."""
        return "".join(shown for character in piece for shown in self._take(character))

    def finish(self) -> str:
        """Return the word that was held back."""
        return "".join(self._end_word())

    def _take(self, character: str) -> Iterator[str]:
        if character == "\n":
            yield from self._end_word()
            yield character
            self._column = self._blanks = 0
        elif character in " \t":
            yield from self._end_word()
            stop = self._column + self._blanks
            self._blanks += 1 if character == " " else TAB - stop % TAB
        elif self._cells(character) > 1:
            yield from self._end_word()
            self._word = character
            yield from self._end_word()
        else:
            if self._cells(self._word + character) > self._width():
                yield from self._end_word()
            self._word += character

    def _end_word(self) -> Iterator[str]:
        if not self._word:
            return
        cells = self._cells(self._word)
        if self._column + self._blanks + cells <= self._width():
            yield " " * self._blanks
            self._column += self._blanks
        elif self._column:
            yield "\n"
            self._column = 0
        yield self._word
        self._column += cells
        self._blanks, self._word = 0, ""


def column_widths(
    lines: Sequence[Sequence[str]], width: int, *, cells: Callable[[str], int]
) -> list[int] | None:
    """Return column widths at which no word is cut, or None if that is impossible.

    `cells` returns the number of terminal columns that a text takes.
    """
    columns = list(zip(*lines, strict=True))
    least = [max((cells(word) for text in column for word in text.split()), default=1) for column in columns]
    whole = [max(cells(line) for text in column for line in text.split("\n")) for column in columns]
    left = width - BETWEEN * (len(columns) - 1) - sum(least)
    if left < 0:
        return None
    widths = list(least)
    wanting = sorted(range(len(columns)), key=lambda index: whole[index] - least[index])
    for place, index in enumerate(wanting):  # columns that need the least come first
        given = min(max(0, whole[index] - least[index]), left // (len(wanting) - place))
        widths[index] += given
        left -= given
    return widths


def listed(columns: Sequence[str], row: Sequence[str]) -> list[str]:
    """Return a table row as one line per cell, with the column name in front."""
    names = columns or [""] * len(row)
    return [f"{name}: {cell}" if name else cell for name, cell in zip(names, row, strict=True) if cell]
