"""How text becomes lines of a terminal: nothing hidden in it, and no word cut where a line has room for it."""

from collections.abc import Callable, Sequence

from tutelage.characters import is_unseen

BETWEEN = 2  # blanks between the columns of a table


def printable(text: str) -> str:
    """Return a text with an escape for each character that is not seen or could drive the terminal.

    Among them are halves of surrogate pairs, which stand for the odd bytes of a file's name and cannot be written.
    """
    return "".join(_escape(character) if is_unseen(character) else character for character in text)


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def column_widths(
    lines: Sequence[Sequence[str]], width: int, *, cells: Callable[[str], int]
) -> list[int] | None:
    """Return the width of each column so that no word is cut; None where the words do not fit beside each other.

    `cells` is how many columns of the terminal a text takes.
    """
    columns = list(zip(*lines, strict=True))
    least = [max((cells(word) for text in column for word in text.split()), default=1) for column in columns]
    whole = [max(cells(line) for text in column for line in text.split("\n")) for column in columns]
    left = width - BETWEEN * (len(columns) - 1) - sum(least)
    if left < 0:
        return None
    widths = list(least)
    wanting = sorted(range(len(columns)), key=lambda index: whole[index] - least[index])
    for place, index in enumerate(wanting):  # the columns that want least are served first
        given = min(max(0, whole[index] - least[index]), left // (len(wanting) - place))
        widths[index] += given
        left -= given
    return widths


def listed(columns: Sequence[str], row: Sequence[str]) -> list[str]:
    """Return a row of a table as a line for each cell, behind the name of its column where there is one."""
    names = columns or [""] * len(row)
    return [f"{name}: {cell}" if name else cell for name, cell in zip(names, row, strict=True) if cell]
