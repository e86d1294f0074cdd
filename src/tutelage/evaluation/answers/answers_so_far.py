"""The answers of an evaluation that is under way, so that one that was interrupted asks nothing twice."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tutelage.errors import RunFolderError
from tutelage.run.folder import write_json_lines
from tutelage.run.lines import read_json_lines
from tutelage.system.storage import files_with_hashes
from tutelage.tree.examples import PreparedRow

PARTS_OF_A_BATCH = 2  # so many batches of answers are kept together

# Asks the rows of one part, which has a name to show.
Ask = Callable[[Sequence[PreparedRow], str], list[dict[str, Any]]]


def answer_rows(
    kept: Path,
    variant: str,
    rows: Sequence[PreparedRow],
    *,
    asked_with: dict[str, Any],
    batch_size: int,
    ask: Ask,
) -> list[dict[str, Any]]:
    """Return a record a row: what is there already, and the rest from `ask`, kept part by part in a folder.

    `asked_with` is all that an answer depends on beside the row. A part is asked as a whole and never cut: which rows
    are computed together may change the last bits of a number, and an interruption must not.
    """
    size = PARTS_OF_A_BATCH * batch_size
    parts = [rows[begin : begin + size] for begin in range(0, len(rows), size)]
    records: list[dict[str, Any]] = []
    for number, part in enumerate(parts, start=1):
        path = kept / f"{variant}-{number:05d}-{_fingerprint(part, asked_with)}.jsonl"
        found = _read(path, part)
        if found is None:
            found = ask(part, f" (part {number} of {len(parts)})" if len(parts) > 1 else "")
            write_json_lines(path, found)
        records += found
    return records


def weights_of_folder(folder: Path) -> dict[str, Any]:
    """Return what names the weights in a folder."""
    return {name: file for name, file in files_with_hashes(folder).items() if name.endswith(".safetensors")}


def _fingerprint(part: Sequence[PreparedRow], asked_with: dict[str, Any]) -> str:
    rows = [asdict(row) for row in part]
    text = json.dumps([rows, asked_with], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(path: Path, part: Sequence[PreparedRow]) -> list[dict[str, Any]] | None:
    if not path.exists():
        return None
    try:
        records = read_json_lines(path)
    except RunFolderError:
        return None  # damaged, and only work: it is done again
    is_whole = [record.get("row") for record in records] == [row.example.row for row in part]
    return records if is_whole else None
