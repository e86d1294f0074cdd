"""Rows that a program hands over, kept as a file of the run like any other data."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tutelage.errors import DataError
from tutelage.run.folder import RunFolder
from tutelage.stages.run_folders import HANDED_OVER, require_run_or_empty_folder
from tutelage.system.storage import remove, write_atomically


@contextmanager
def kept_rows(rows: Iterable[Any], run: RunFolder) -> Iterator[Path]:
    """Give the file of a run folder that holds rows as JSON lines; it is gone if what is done with it comes to nothing.

    Its name is a hash of them, so that other rows are other data. DataError at a row that is no object, or that holds
    what JSON has no form for.
    """
    require_run_or_empty_folder(run)
    content = b"".join(_line(place, row) for place, row in enumerate(_records(rows)))
    path = run.rows(hashlib.sha256(content).hexdigest())
    made = [folder for folder in (run.root, *run.root.parents) if not folder.exists()]
    is_new = not path.exists()
    if is_new:
        write_atomically(path, content)
    try:
        yield path
    except BaseException:
        # Another process may be preparing the same rows: then the run is locked, and the file is its own.
        if is_new and not run.lock.exists() and not _is_named(path, run):
            remove(path)
            with suppress(OSError):  # they hold something now
                for folder in made:
                    folder.rmdir()
        raise
    for other in run.root.iterdir():
        if HANDED_OVER.fullmatch(other.name) and not _is_named(other, run):
            remove(other)  # the rows that this run had before


def _records(rows: Any) -> Iterable[Any]:
    """Return rows one by one; a data frame of pandas would give the names of its columns."""
    return rows.to_dict("records") if hasattr(rows, "iterrows") else rows


def _is_named(path: Path, run: RunFolder) -> bool:
    return run.recipe.is_file() and path.name in run.recipe.read_text(encoding="utf-8")


def _line(place: int, row: Any) -> bytes:
    if not isinstance(row, Mapping):
        kind = type(row).__name__
        raise DataError(
            "data.row_not_object", f"Row {place} has the type {kind}. Pass each row as a dict.", row=place
        )
    try:
        text = json.dumps(dict(row), ensure_ascii=False, allow_nan=False)
        return f"{text}\n".encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which is repaired like in any other data
        return f"{json.dumps(dict(row), allow_nan=False)}\n".encode()
    except (TypeError, ValueError, RecursionError) as fault:
        raise DataError(
            "data.row_not_json",
            f"Row {place} cannot be written as JSON: {fault}. Use texts, numbers, lists and dicts.",
            row=place,
        ) from fault
