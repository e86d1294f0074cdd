"""What a terminal shows of the bytes that a program writes: text, colours, and bars that are drawn over themselves."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace
from typing import Any

from rich.cells import cell_len

# A control sequence, a title of the window, a control character, or a character of the text.
TOKEN = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[^\x1b]", re.DOTALL)
INCOMPLETE = re.compile(r"\x1b(?:\[\??[0-9;]*|\][^\x07\x1b]*\x1b?)?\Z")

TAB = 8
# The 16 colours of a dark terminal: black, red, green, yellow, blue, magenta, cyan, white, and the bright ones.
PALETTE = (
    *("#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4"),
    *("#6e7681", "#ffa198", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#f0f6fc"),
)
CUBE = (0, 95, 135, 175, 215, 255)  # the levels of red, green and blue in the 256 colours


@dataclass(frozen=True)
class Style:
    colour: str | None = None
    is_bold: bool = False
    is_dim: bool = False
    is_italic: bool = False
    is_underlined: bool = False


PLAIN = Style()
SWITCHES: dict[int, dict[str, Any]] = {
    1: {"is_bold": True},
    2: {"is_dim": True},
    3: {"is_italic": True},
    4: {"is_underlined": True},
    22: {"is_bold": False, "is_dim": False},
    23: {"is_italic": False},
    24: {"is_underlined": False},
}


@dataclass(frozen=True)
class Cell:
    """One place on the screen; a wide character takes two, the second of which has no text."""

    text: str = " "
    style: Style = PLAIN


BLANK = Cell()


@dataclass(frozen=True)
class Run:
    """Characters of one style that stand beside each other."""

    column: int
    cells: int
    text: str
    style: Style


Line = tuple[Run, ...]


class Screen:
    """A terminal as wide as `columns` and as high as it needs to be, so that nothing scrolls out of it.

    A sequence that it does not know is an error, for the picture would show something else than a terminal does.
    """

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._rows: list[list[Cell]] = [[]]
        self._row = self._column = 0
        self._style = PLAIN
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._pending = ""

    def feed(self, written: bytes) -> None:
        """Take what the program wrote next; characters and sequences may be cut anywhere."""
        text = self._pending + self._decoder.decode(written)
        place = 0
        while place < len(text):
            token = TOKEN.match(text, place)
            if token is None:
                if INCOMPLETE.match(text, place):
                    break
                raise ValueError(f"unknown escape sequence: {text[place : place + 12]!r}")
            self._take(token)
            place = token.end()
        self._pending = text[place:]

    def lines(self) -> tuple[Line, ...]:
        """Return what is seen, from the first line to the last that is not empty."""
        lines = [_runs(row) for row in self._rows]
        while lines and not lines[-1]:
            lines.pop()
        return tuple(lines)

    def _take(self, token: re.Match[str]) -> None:
        private, numbers, final = token.groups()
        if final is not None:
            if not private:  # a private one hides the cursor or the like
                self._control([int(number or 0) for number in numbers.split(";")], final)
        elif len(token[0]) == 1:
            self._put(token[0])

    def _put(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._move_to_row(self._row + 1)
        elif character == "\b":
            self._column = max(0, self._column - 1)
        elif character == "\t":
            self._column = min(self._columns - 1, (self._column // TAB + 1) * TAB)
        elif character >= " ":
            self._write(character)
        elif character != "\a":
            raise ValueError(f"unknown control character: {character!r}")

    def _write(self, character: str) -> None:
        width = cell_len(character)
        if width == 0:  # an accent that belongs to the character before it
            self._extend(character)
            return
        if self._column + width > self._columns:
            self._column = 0
            self._move_to_row(self._row + 1)
        row = self._rows[self._row]
        row.extend([BLANK] * (self._column + width - len(row)))
        self._break_wide_character(self._column)
        self._break_wide_character(self._column + width)
        row[self._column] = Cell(character, self._style)
        if width == 2:
            row[self._column + 1] = Cell("", self._style)
        self._column += width

    def _extend(self, accent: str) -> None:
        row, place = self._rows[self._row], self._column - 1
        if 0 <= place < len(row):
            place -= row[place].text == ""
            row[place] = replace(row[place], text=row[place].text + accent)

    def _break_wide_character(self, column: int) -> None:
        """Blank both halves of a wide character whose second half is at `column`, before one of them is overwritten."""
        row = self._rows[self._row]
        if 0 < column < len(row) and row[column].text == "":
            row[column - 1] = row[column] = BLANK

    def _move_to_row(self, row: int) -> None:
        self._row = max(0, row)
        self._rows.extend([] for _ in range(self._row + 1 - len(self._rows)))

    def _control(self, numbers: list[int], final: str) -> None:
        first = numbers[0]
        if final == "m":
            self._set_style(numbers)
        elif final == "A":
            self._move_to_row(self._row - max(1, first))
        elif final == "B":
            self._move_to_row(self._row + max(1, first))
        elif final == "C":
            self._column = min(self._columns - 1, self._column + max(1, first))
        elif final == "D":
            self._column = max(0, self._column - max(1, first))
        elif final == "G":
            self._column = max(1, first) - 1
        elif final == "K" and first in (0, 1, 2):
            self._erase_in_line(first)
        elif final == "J" and first == 0:
            self._erase_in_line(0)
            del self._rows[self._row + 1 :]
        else:
            raise ValueError(f"unknown control sequence: {numbers} {final}")

    def _erase_in_line(self, part: int) -> None:
        """Erase to the end of the line (0), up to the cursor (1), or the whole line (2); the cursor stays."""
        row = self._rows[self._row]
        if part != 1:
            self._break_wide_character(self._column)
            del row[self._column if part == 0 else 0 :]
            return
        self._break_wide_character(self._column + 1)
        end = min(self._column + 1, len(row))
        row[:end] = [BLANK] * end

    def _set_style(self, numbers: list[int]) -> None:
        rest = iter(numbers)
        for number in rest:
            if number == 0:
                self._style = PLAIN
            elif number in SWITCHES:
                self._style = replace(self._style, **SWITCHES[number])
            elif number == 39:
                self._style = replace(self._style, colour=None)
            elif number in range(30, 38):
                self._style = replace(self._style, colour=PALETTE[number - 30])
            elif number in range(90, 98):
                self._style = replace(self._style, colour=PALETTE[number - 90 + 8])
            elif number == 38:
                is_of_256 = next(rest) == 5
                colour = (
                    _of_256(next(rest)) if is_of_256 else _hexadecimal(next(rest), next(rest), next(rest))
                )
                self._style = replace(self._style, colour=colour)
            else:
                raise ValueError(f"unknown style: {numbers}")


def _of_256(number: int) -> str:
    if number < 16:
        return PALETTE[number]
    if number < 232:
        red, rest = divmod(number - 16, 36)
        return _hexadecimal(CUBE[red], CUBE[rest // 6], CUBE[rest % 6])
    return _hexadecimal(*[8 + 10 * (number - 232)] * 3)


def _hexadecimal(red: int, green: int, blue: int) -> str:
    return f"#{red:02x}{green:02x}{blue:02x}"


def _runs(row: list[Cell]) -> Line:
    """Return what is written in a row; two spaces end a run, so that none has spaces a drawing could lose."""
    runs: list[Run] = []
    begin = 0
    for end in range(1, len(row) + 1):
        if end < len(row) and row[end].style == row[begin].style and not _is_gap(row, end):
            continue
        text = "".join(cell.text for cell in row[begin:end])
        left = len(text) - len(text.lstrip(" "))
        if text.strip(" "):
            right = len(text) - len(text.rstrip(" "))
            runs.append(Run(begin + left, end - begin - left - right, text.strip(" "), row[begin].style))
        begin = end
    return tuple(runs)


def _is_gap(row: list[Cell], place: int) -> bool:
    return row[place].text == row[place - 1].text == " "
