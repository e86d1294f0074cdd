"""functions.json: the functions of the user's own that a run uses, each by its import path and the hash of its source.

It stands beside recipe.toml and belongs to it as the settings do; a run without such functions has no such file.
"""

from typing import Literal

from pydantic import Field

from tutelage.run.artifacts import Artifact, read_artifact, write_artifact
from tutelage.run.folder import RunFolder
from tutelage.run.validation import Record
from tutelage.system.storage import remove


class FunctionSource(Record):
    """Which function it was: `path` is `module:qualname`, or `file:qualname` of a script.

    `sha256` is that of the text of its definition, null where that is not known or does not say all, as of a closure.
    """

    path: str
    sha256: str | None


class FunctionRecord(FunctionSource):
    """A function with its name, which is that of its metric."""

    name: str


class FunctionRecords(Artifact):
    format: Literal[1] = 1
    metrics: list[FunctionRecord] = Field(default_factory=list)
    row_format: FunctionRecord | None = None


def is_same_function(one: FunctionSource | None, other: FunctionSource | None) -> bool:
    """Tell whether two are surely one function, or there is none in both."""
    if one is None or other is None:
        return one is other
    return one.sha256 is not None and one.sha256 == other.sha256


def change_of_format(before: FunctionSource | None, now: FunctionSource | None) -> list[str]:
    """Name the format function if it is not, or may not be, the one that it was."""
    if is_same_function(before, now):
        return []
    was, is_now = (one.path if one else "none" for one in (before, now))
    return [f"the format function (was {was}, now {is_now})"]


def read_functions(run: RunFolder) -> FunctionRecords:
    """Return what a run records, nothing where it has no functions of the user's own."""
    if not run.functions.is_file():
        return FunctionRecords()
    return read_artifact(FunctionRecords, run.functions)


def write_functions(run: RunFolder, records: FunctionRecords) -> None:
    """Write the file, or remove it where there is nothing to record."""
    if records.metrics or records.row_format:
        write_artifact(run.functions, records)
    elif run.functions.exists():
        remove(run.functions)
