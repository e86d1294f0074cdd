"""Describe rows whose fields match no format: show column contents and suggest a mapping, but never apply one."""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence

from tutelage.config.objectives import DEFAULT, ObjectiveInfo, objective_of_rows
from tutelage.config.recipe import DataSettings
from tutelage.data.formats.column_hints import Role
from tutelage.data.formats.column_roles import messages_among, roles_of_answers, roles_of_labels
from tutelage.data.formats.column_samples import ColumnSamples
from tutelage.data.formats.schemas import SCHEMAS
from tutelage.data.formats.table_shape import UNNAMED
from tutelage.data.rows.records import Record
from tutelage.errors import DataError
from tutelage.text.spelling import did_you_mean, nearest

SAMPLES_SHOWN = 2
CHARACTERS_SHOWN = 56
COLUMNS_SHOWN = 20
# Data settings that must be repeated in the suggested command.
READING = (
    *("sha256", "hub_split", "encoding", "delimiter", "quoting", "header", "format", "instruction", "coerce"),
    "max_file_bytes",
)
# Which field of each format has which role.
FIELDS: Mapping[str, Mapping[Role, str]] = {
    "alpaca": {"system": "system", "asked": "instruction", "context": "input", "answered": "output"},
    "prompt-completion": {"system": "system", "asked": "prompt", "answered": "completion"},
    "question-answer": {"system": "system", "asked": "question", "context": "context", "answered": "answer"},
    "text-label": {"text": "text", "label": "label"},
}
BESIDE: tuple[Role, ...] = ("system", "context")  # optional roles, recognized only by name

# Maps columns and the roles known so far to all roles.
Find = Callable[[ColumnSamples, Mapping[Role, str]], Mapping[Role, str]]

# Formats suggested only if requested, or if no answer format fits, and how to find their columns.
OTHERS: Mapping[str, Find] = {"text-label": roles_of_labels}


class BesideTexts:
    """Detects columns beside the field text, such as answers or labels, in rows of the format text."""

    def __init__(self, source: str, settings: DataSettings) -> None:
        self._source, self._settings = source, settings
        self._samples = ColumnSamples()
        self._first: Record | None = None

    def note(self, record: Record) -> None:
        """Record a row of the format text."""
        if len(record.value) > 1 and self._settings.format is None and not self._samples.is_full:
            self._first = self._first or record
            self._samples.add(record.value)

    def check(self) -> None:
        """Raise DataError if only the texts would be trained on although their answers or labels are in other
        columns.
        """
        if self._first is None:
            return
        others = [
            column for column in self._samples.columns() if column.name != "text" and not column.is_meta
        ]
        is_table = _is_of_table(self._first)
        if any(
            column.is_filled and column.is_varied and (column.is_text or (is_table and column.is_json))
            for column in others
        ) or (is_table and any(column.is_classes and column.bare == 0 for column in others)):
            told = describe_columns(self._source, self._samples, self._settings, DEFAULT, self._first)
            told += " To train only on the texts as they are, add --set data.format=text."
            raise DataError("data.unknown_columns", told, row=self._first.row)


def _is_of_table(record: Record) -> bool:
    return record.line is not None and record.offset is None


def options_of(settings: DataSettings, paths: Mapping[str, str]) -> str:
    """Return the command-line options to read the same rows with these paths as data.column_map."""
    given = [f"--map {shlex.quote(f'{field}={path}')}" for field, path in paths.items()]
    for name in READING:
        found = getattr(settings, name)
        if found != DataSettings.model_fields[name].default:
            text = json.dumps(found) if isinstance(found, bool) else found
            given.append(f"--set {shlex.quote(f'data.{name}={text}')}")
    return "".join(f" {one}" for one in given)


def describe_columns(
    source: str, samples: ColumnSamples, settings: DataSettings, objective: ObjectiveInfo, first: Record
) -> str:
    """Describe the columns with two sample values each, and suggest a mapping as a command; `first` is a faulty
    row.
    """
    names, is_table = samples.names(), _is_of_table(first)
    width = max(len(repr(name)) for name in names[:COLUMNS_SHOWN])
    lines = [f"  {name!r:{width}}  {_shown(samples, name)}" for name in names[:COLUMNS_SHOWN]]
    if len(names) > COLUMNS_SHOWN:
        lines.append(f"  … and {len(names) - COLUMNS_SHOWN:,} more columns")
    is_numbered = all(re.fullmatch(rf"{UNNAMED}\d+", name) for name in names)
    if is_table and is_numbered and settings.header is None:
        settings = settings.model_copy(update={"header": False})
        about_header = (
            " The first line looks like a row, not a header. If it is a header, add --set data.header=true."
        )
    elif is_table and settings.header is None:
        about_header = " If the first line is a row, not a header, add --set data.header=false."
    else:
        about_header = ""
    if swapped := {
        path: field for field, path in settings.column_map.items() if field in names and path not in names
    }:
        told = " ".join(f"--map {shlex.quote(f'{field}={path}')}" for field, path in swapped.items())
        about_header += f" --map takes FIELD=COLUMN. In the right order: {told}."
    about_header += "".join(_misspelt(names, settings.column_map))
    begin = f"{source}: Tutelage cannot tell which columns hold {objective.columns}:\n" + "\n".join(lines)
    paths, format = proposed(samples, settings, objective)
    if not paths:
        wanted_format = objective.row_format or "alpaca"
        options = " ".join(f"--map {field}=NAME" for field in SCHEMAS[wanted_format].required)
        return (
            f"{begin}\nName them, for example:\n  tutelage preview {shlex.quote(source)}"
            f" {options}\n{about_header.strip()}"
        )
    options = options_of(settings, paths)
    named = objective_of_rows(format) if format else objective.name
    if named != DEFAULT.name:
        options += f" --set training.objective={named}"
    return (
        f"{begin}\nBy their content, it may be these. Look at a row with\n  tutelage preview"
        f" {shlex.quote(source)}{options}\nand correct the names if they are wrong; then use the same"
        f" options with `tutelage run --data`.{about_header}"
    )


def _misspelt(names: Sequence[str], paths: Mapping[str, str]) -> Iterator[str]:
    """Yield hints about map entries whose column does not exist but has a similar name to one that does."""
    for field, path in paths.items():
        near = None if {field, path} & {*names} else nearest(path, names)
        if near is not None:
            yield f" --map fills {field} from {path!r}, which does not exist.{did_you_mean(repr(near))}"


def proposed(
    samples: ColumnSamples, settings: DataSettings, objective: ObjectiveInfo
) -> tuple[dict[str, str], str | None]:
    """Return a suggested column map and its format, if only one objective uses that; empty if nothing fits."""
    names = samples.names()
    kept = {
        field: path
        for field, path in settings.column_map.items()
        if path in names or path.split(".")[0] in names
    }
    for other, find in OTHERS.items():
        if other in (objective.row_format, settings.format):
            paths = _paths(find, other, samples, kept)
            return {**kept, **paths}, other if objective.row_format else None
    if settings.format is None and settings.instruction is None and (chat := messages_among(samples)):
        return {**kept, **chat}, None
    format = settings.format if settings.format in FIELDS else _likest_format([*names, *kept])
    if settings.instruction is not None:
        format = "alpaca"
    paths = _paths(roles_of_answers, format, samples, kept)
    if settings.instruction is not None and "instruction" in paths:
        asked = paths.pop("instruction")
        paths.setdefault("input", asked)
    if paths:
        return {**kept, **paths}, None
    for other, find in OTHERS.items():
        if paths := _paths(find, other, samples, kept):
            return {**kept, **paths}, other
    return {}, None


def _paths(find: Find, format: str, samples: ColumnSamples, kept: Mapping[str, str]) -> dict[str, str]:
    """Return the columns for a format's fields, except those that already have the field's name.

    Names count if all required fields exist except for case, or if the contents are inconclusive.
    """
    fields = FIELDS[format]
    names = {name.strip().casefold(): name for name in samples.names()}
    mapped: dict[Role, str] = {role: kept[field] for role, field in fields.items() if field in kept}
    by_name = {role: names[field] for role, field in fields.items() if field in names} | mapped
    beside = {role: name for role, name in by_name.items() if role in BESIDE}
    is_named = all(field in kept or field in names for field in SCHEMAS[format].required)
    found = (not is_named and find(samples, beside | mapped)) or find(samples, by_name)
    named = {field: found[role] for role, field in fields.items() if role in found}
    return {field: name for field, name in named.items() if field != name and field not in kept}


def _likest_format(names: list[str]) -> str:
    """Return the format with the most required fields present, ignoring case."""
    known = {name.strip().casefold() for name in names}
    chosen = max(FIELDS, key=lambda format: sum(field in known for field in SCHEMAS[format].required))
    return "alpaca" if chosen in OTHERS else chosen


def _shown(samples: ColumnSamples, name: str) -> str:
    texts = list(dict.fromkeys(samples.texts(name)))[:SAMPLES_SHOWN]
    shown = [" ".join(text.split()) for text in texts]
    cut = [text if len(text) <= CHARACTERS_SHOWN else f"{text[: CHARACTERS_SHOWN - 1]}…" for text in shown]
    return " · ".join(cut) or "(empty)"
