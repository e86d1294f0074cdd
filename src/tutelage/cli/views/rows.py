"""Print rows that were read, written or dropped."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tutelage.cli.views import console
from tutelage.codes import Message
from tutelage.stages.data.convert import Converted
from tutelage.stages.data.rows import SourceRows
from tutelage.stages.data.split import Parts
from tutelage.stages.data.writing import RowsFile

ROWS_SHOWN = 6


def show_read(rows: SourceRows) -> None:
    """Print how many rows of which formats were read, with notes."""
    source, read = rows.source, rows.conversations
    formats = ", ".join(f"{count:,} {name}" for name, count in read.formats.items())
    console.print_message(f"{_counted(len(read.rows))} read from {source.name} ({source.kind}): {formats}.")
    for note in rows.notes:
        console.note(note.code, note.text)
    repairs: dict[str, list[Message]] = {}
    for row in read.rows:
        for repair in {repair.code: repair for repair in row.repairs}.values():
            repairs.setdefault(repair.code, []).append(repair)
    for code, found in repairs.items():
        console.note(code, f"{_counted(len(found))} repaired; the first: {found[0].text}")


def show_parts(parts: Parts, files: Mapping[str, Path]) -> None:
    """Print which splits are empty, and how many rows of others have a prompt that is also trained on."""
    for name, values in parts.values.items():
        if not values:
            console.print_message(f"No row is in {name}, so {files[name]} is not written.")
    for name, leaked in parts.leaks.items():
        if leaked:
            told = (
                f"{len(leaked):,} {name} rows have a prompt that is also trained on. --split group keeps equal"
                " prompts together."
            )
            console.warn(Message("data.leak", told))


def show_left_behind(made: Converted, to: str | None) -> None:
    """Print what was lost in a conversion, and how often."""
    for what, count in made.left_behind.items():
        console.note(
            "convert.field_left_behind",
            f"the {what} was dropped ({count:,} times), because the format {to} would read it differently.",
        )


def show_written(file: RowsFile, *, is_dry_run: bool) -> None:
    """Print that a file was or would be written, and which cells a spreadsheet would run."""
    would = "would be written" if is_dry_run else "written"
    console.print_message(f"{_counted(file.rows)} {would} to {file.path}, {len(file.content):,} bytes.")
    if file.formula_cells:
        row, column = file.formula_cells[0]
        console.note(
            "convert.formula_in_cell",
            f"{file.path} has {_counted_cells(len(file.formula_cells))} that a spreadsheet would run as a"
            f" formula, the first in {column!r} of row {row}. They are written unchanged, because the file"
            " is data. Import the columns as text into a spreadsheet.",
        )


def show_reasons(reasons: Mapping[int, Message], *, what: str) -> None:
    """Print how many rows were dropped or unchanged, with counts and first rows by reason."""
    console.print_message(f"{_counted(len(reasons))} {what}{':' if reasons else '.'}")
    if reasons:
        rows = [
            [
                f"{count:,}",
                reason.text,
                _first_rows([row for row, why in sorted(reasons.items()) if why == reason]),
            ]
            for reason, count in Counter(reasons.values()).most_common()
        ]
        console.table(["rows", "reason", "which"], rows, numeric=(0,))


def _first_rows(rows: Sequence[int]) -> str:
    return ", ".join(map(str, rows[:ROWS_SHOWN])) + (" …" if len(rows) > ROWS_SHOWN else "")


def _counted_cells(count: int) -> str:
    return f"{count:,} cell{'' if count == 1 else 's'}"


def _counted(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
