"""Functions of the user's own: metrics, and a format function that makes rows of ours of the user's.

A function that a program gives is called as it is; one that a run only recorded is refused by name when it is needed.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any

from tutelage.config.extensions import ANSWER_METRICS
from tutelage.data.rows.records import Record
from tutelage.errors import DataError, RecipeError, RunFolderError
from tutelage.run.folder import RunFolder
from tutelage.run.functions import FunctionRecord, FunctionRecords, change_of_format, read_functions
from tutelage.stages.function_source import describe_function

MetricFunction = Callable[[str, str], float]
FormatFunction = Callable[[dict[str, Any]], "dict[str, Any] | None"]


@dataclass(frozen=True)
class OwnFunction:
    """A function of the user's: given by this program, or only recorded by `run`, of which nothing is executed."""

    record: FunctionRecord
    given: Callable[..., Any] | None = None
    run: RunFolder | None = None

    def load(self) -> Callable[..., Any]:
        """Return what can be called; RunFolderError if this program did not give it."""
        if self.given is not None:
            return self.given
        assert self.run is not None, "a function is given or recorded"
        raise RunFolderError(
            "functions.not_given",
            f"{self.run.root} uses the function {self.record.path}, which was not passed in, and no command"
            " runs code that a run folder names. Call tutelage.finetune in the program that defines it, with"
            f" output={str(self.run.root)!r}; or to evaluate without a metric, remove its entry from"
            f" {self.run.functions}.",
        )


@dataclass(frozen=True)
class OwnFunctions:
    """What a run uses of the user's own; metrics that are None were not spoken of, and are those that it records."""

    row_format: OwnFunction | None = None
    metrics: tuple[OwnFunction, ...] | None = None

    def records(self) -> FunctionRecords:
        return FunctionRecords(
            format=1,
            metrics=[one.record for one in self.metrics or ()],
            row_format=self.row_format and self.row_format.record,
        )


NO_FUNCTIONS = OwnFunctions()


def given_functions(
    metrics: Sequence[MetricFunction] | None, row_format: FormatFunction | None
) -> OwnFunctions:
    """Take in what a program gives; TypeError if it cannot be called, RecipeError if two metrics share a name."""
    own_format = None if row_format is None else _given(row_format, "format")
    if metrics is None:
        return OwnFunctions(own_format)
    names = {*ANSWER_METRICS}
    found = tuple(_given(one, "metrics") for one in metrics)
    for one in found:
        if one.record.name in names:
            raise RecipeError(
                "functions.name_taken",
                f"Another metric is already named {one.record.name}. Give the function a unique name.",
            )
        names.add(one.record.name)
    return OwnFunctions(own_format, found)


def known_functions(recorded_in: Path | None, given: OwnFunctions) -> OwnFunctions:
    """Return the given functions, and for those that were not spoken of what stands in a folder's functions.json."""
    if recorded_in is None:
        return given
    run = RunFolder(recorded_in)
    records, recorded = read_functions(run), partial(OwnFunction, run=run)
    return OwnFunctions(
        given.row_format or next((recorded(one) for one in [records.row_format] if one), None),
        tuple(map(recorded, records.metrics)) if given.metrics is None else given.metrics,
    )


def changed_format(run: RunFolder, now: OwnFunction | None) -> list[str]:
    """Name the format function if it is not, or may not be, the one that a run's rows were prepared with."""
    before = read_functions(run).row_format
    if now is not None and now.given is None and now.record == before:
        return []  # the run's own, of which the source may not be known
    return change_of_format(before, None if now is None else now.record)


def formatted(records: Iterable[Record], own: OwnFunction) -> Iterator[Record]:
    """Yield the records with what a format function makes of each row; where it returns None the row is left out."""
    function = own.load()
    for record in records:
        # What is no object is refused later, and what is too large has no value.
        is_row = record.was_read and isinstance(record.value, dict)
        yield _formatted(record, function, own.record.path) if is_row else record


def _formatted(record: Record, function: FormatFunction, path: str) -> Record:
    with _naming_row("The format function", path, record.row, record.file):
        value = function(record.value)
    if value is None:
        return replace(record, value=None, is_left_out=True)
    try:
        if not isinstance(value, dict):
            raise TypeError(f"something of the type {type(value).__name__}")
        # As if it had been read: a tuple is a list, and nothing in it is the function's own any more.
        return replace(record, value=json.loads(json.dumps(value)))
    except (TypeError, ValueError, RecursionError) as fault:
        raise DataError(
            "functions.wrong_result",
            f"The format function {path} did not return a row for row {record.row}: {fault}. Return a dict"
            " of texts, numbers, lists and dicts, or None to leave the row out.",
            row=record.row,
        ) from fault


def scored(own: OwnFunction) -> Callable[[Mapping[str, Any]], float]:
    """Return what scores an answer, a line of base.jsonl, by a metric of the user's own."""
    return partial(_scored, own.load(), own.record.path)


def _scored(function: MetricFunction, path: str, answer: Mapping[str, Any]) -> float:
    with _naming_row("The metric", path, answer["row"]):
        value = function(answer["response"], answer["reference"])
    if not _is_score(value):
        raise DataError(
            "functions.wrong_result",
            f"The metric {path} returned {value!r:.80} (type {type(value).__name__}) for row {answer['row']}. Return a"
            " finite number.",
            row=answer["row"],
        )
    return float(value)


@contextmanager
def _naming_row(kind: str, path: str, row: int, file: str | None = None) -> Iterator[None]:
    try:
        yield
    except Exception as fault:
        where = f"row {row}" + (f" of {file}" if file else "")
        raise DataError(
            "functions.raised",
            f"{kind} {path} raised {type(fault).__name__} on {where}: {fault}. Fix the function and run"
            " again; finished work is kept.",
            row=row,
        ) from fault


def _given(function: Any, parameter: str) -> OwnFunction:
    if not callable(function):
        raise TypeError(f"{parameter} contains {function!r}, which is not callable")
    return OwnFunction(describe_function(function), given=function)


def _is_score(value: Any) -> bool:
    try:
        return isinstance(value, Real) and math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False
