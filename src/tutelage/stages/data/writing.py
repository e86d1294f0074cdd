"""Rows into files, and into a ledger what became of those that are not there or not as they were."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.codes import Message
from tutelage.config.recipe import DataSettings
from tutelage.errors import RunFolderError
from tutelage.run.folder import write_json_lines
from tutelage.system.storage import write_atomically

NO_REPAIRS: Mapping[int, Sequence[Message]] = {}


@dataclass(frozen=True)
class RowsFile:
    """A file of rows as it will be written; `formula_cells` are rows and columns that a spreadsheet would run."""

    path: Path
    rows: int
    content: bytes
    formula_cells: Sequence[tuple[int, str]]


def require_free_paths(paths: Iterable[Path], *, ledger: Path | None = None, overwrite: bool) -> None:
    """Stop before any work when a file could not be written, or would be lost."""
    from tutelage.data.sources.writing import require_known_extension

    files = list(paths)
    for path in files:
        require_known_extension(path)
    for path in (*files, *([ledger] if ledger else [])):
        if path.is_dir():
            raise RunFolderError("cli.output_is_a_folder", f"{path} is a folder. Name a file in it.")
        if path.exists() and not overwrite:
            raise RunFolderError(
                "cli.output_exists", f"{path} already exists. Choose another name, or add --overwrite."
            )


def encode_files(files: Mapping[Path, Sequence[dict[str, Any]]], settings: DataSettings) -> list[RowsFile]:
    """Return files of rows, of which none is written yet; DataError where one of them cannot hold its rows.

    `settings` are those with which the files will be read again.
    """
    from tutelage.data.sources.writing import file_of_rows

    contents = {path: file_of_rows(path, rows, settings) for path, rows in files.items()}
    return [
        RowsFile(path, len(files[path]), content, _formula_cells(path, files[path]))
        for path, content in contents.items()
    ]


def write_file(file: RowsFile) -> None:
    """Write a file of rows, whole or not at all."""
    write_atomically(file.path, file.content)


def write_ledger(
    path: Path,
    reasons: Mapping[int, Message],
    *,
    outcome: str,
    repairs: Mapping[int, Sequence[Message]] = NO_REPAIRS,
) -> None:
    """List every row that has a reason, with its outcome, and the rows that are written without what was repaired."""
    told = {row: ("repaired", found) for row, found in repairs.items()}
    told |= {row: (outcome, (reason, *repairs.get(row, ()))) for row, reason in reasons.items()}
    entries = (
        {"row": row, "outcome": told[row][0], "reasons": [reason.to_record() for reason in told[row][1]]}
        for row in sorted(told)
    )
    write_json_lines(path, entries)


def _formula_cells(path: Path, rows: Sequence[dict[str, Any]]) -> list[tuple[int, str]]:
    from tutelage.data.rows.records import SOURCE_ROW
    from tutelage.data.sources.tables import cells_that_would_run
    from tutelage.data.sources.writing import is_text_table

    if not is_text_table(path):
        return []
    return [(rows[place].get(SOURCE_ROW, place), column) for place, column in cells_that_would_run(rows)]
