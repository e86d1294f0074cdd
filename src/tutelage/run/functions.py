"""functions.json: the user functions of a run, each with its import path and the hash of its source.

It is beside recipe.toml and belongs to it like the settings; runs without user functions do not have it.
"""

from typing import Literal

from pydantic import Field

from tutelage.run.artifacts import Artifact, read_artifact, write_artifact
from tutelage.run.folder import RunFolder
from tutelage.run.validation import Record
from tutelage.system.storage import remove


class FunctionSource(Record):
    """A function: `path` is `module:qualname`, or `file:qualname` for a script.

    `sha256` is the hash of its source, or null if that is unknown or incomplete, as for a closure.
    """

    path: str
    sha256: str | None


class FunctionRecord(FunctionSource):
    """A function with the name of its metric."""

    name: str


class FunctionRecords(Artifact):
    format: Literal[1] = 1
    metrics: list[FunctionRecord] = Field(default_factory=list)
    row_format: FunctionRecord | None = None


def is_same_function(one: FunctionSource | None, other: FunctionSource | None) -> bool:
    """Return whether two functions are certainly the same, or both absent."""
    if one is None or other is None:
        return one is other
    return one.sha256 is not None and one.sha256 == other.sha256


def change_of_format(before: FunctionSource | None, now: FunctionSource | None) -> list[str]:
    """Describe the change if the format function is not certainly the same."""
    if is_same_function(before, now):
        return []
    was, is_now = (one.path if one else "none" for one in (before, now))
    return [f"the format function (was {was}, now {is_now})"]


def read_functions(run: RunFolder) -> FunctionRecords:
    """Return the user functions of a run, empty if it has none."""
    if not run.functions.is_file():
        return FunctionRecords()
    return read_artifact(FunctionRecords, run.functions)


def write_functions(run: RunFolder, records: FunctionRecords) -> None:
    """Write the file, or remove it if there is nothing to record."""
    if records.metrics or records.row_format:
        write_artifact(run.functions, records)
    elif run.functions.exists():
        remove(run.functions)
