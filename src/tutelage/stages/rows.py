"""Rows that a program hands over, kept as a file of the run like any other data."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tutelage.errors import DataError
from tutelage.run.folder import RunFolder
from tutelage.stages.opening import refuse_foreign_folder
from tutelage.system.storage import publish_bytes, remove


@contextmanager
def kept_rows(rows: Iterable[Any], run: RunFolder) -> Iterator[Path]:
    """Give the file of a run folder that holds rows as JSON lines; it is gone if what is done with it comes to nothing.

    Its name is a hash of them, so that other rows are other data. DataError at a row that is no object, or that holds
    what JSON has no form for.
    """
    refuse_foreign_folder(run)
    content = b"".join(_line(place, row) for place, row in enumerate(rows))
    path = run.rows(hashlib.sha256(content).hexdigest())
    made = [folder for folder in (run.root, *run.root.parents) if not folder.exists()]
    if not path.exists():
        publish_bytes(path, content)
    try:
        yield path
    finally:
        named = run.recipe.read_text(encoding="utf-8") if run.recipe.is_file() else ""
        for other in run.root.glob("rows-*.jsonl"):
            if other.name not in named:  # of an earlier run, or of one that came to nothing
                remove(other)
        with suppress(OSError):  # they hold something now
            for folder in made:
                folder.rmdir()


def _line(place: int, row: Any) -> bytes:
    if not isinstance(row, Mapping):
        kind = type(row).__name__
        raise DataError(
            "data.row_not_object", f"Row {place} is of the type {kind}. Give each row as a dict.", row=place
        )
    try:
        text = json.dumps(dict(row), ensure_ascii=False, allow_nan=False)
        return f"{text}\n".encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which is repaired like in any other data
        return f"{json.dumps(dict(row), allow_nan=False)}\n".encode()
    except (TypeError, ValueError) as fault:
        raise DataError(
            "data.row_not_json",
            f"Row {place} cannot be written as JSON: {fault}. Use texts, numbers, lists and dicts.",
            row=place,
        ) from fault
