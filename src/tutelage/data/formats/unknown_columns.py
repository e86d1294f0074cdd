"""What is said of rows whose fields no format knows: what the columns hold, and a mapping to type; none is guessed."""

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
# Settings of the data that have to be given again.
READING = (
    *("sha256", "hub_split", "encoding", "delimiter", "quoting", "header", "format", "instruction", "coerce"),
    "max_file_bytes",
)
# What the fields of a format hold.
FIELDS: Mapping[str, Mapping[Role, str]] = {
    "alpaca": {"system": "system", "asked": "instruction", "context": "input", "answered": "output"},
    "prompt-completion": {"system": "system", "asked": "prompt", "answered": "completion"},
    "question-answer": {"system": "system", "asked": "question", "context": "context", "answered": "answer"},
    "text-label": {"text": "text", "label": "label"},
}
BESIDE: tuple[Role, ...] = ("system", "context")  # what may be there as well, and is known by its name alone

# From columns and what is known of them to what is what.
Find = Callable[[ColumnSamples, Mapping[Role, str]], Mapping[Role, str]]

# What finds the fields of a format that is proposed if it is asked for, or if no format of answers can be.
OTHERS: Mapping[str, Find] = {"text-label": roles_of_labels}


class BesideTexts:
    """What stands beside the field text in rows that have nothing else of a format: an answer, perhaps, or a label."""

    def __init__(self, source: str, settings: DataSettings) -> None:
        self._source, self._settings = source, settings
        self._samples = ColumnSamples()
        self._first: Record | None = None

    def note(self, record: Record) -> None:
        """Take in a row of the format text."""
        if len(record.value) > 1 and self._settings.format is None and not self._samples.is_full:
            self._first = self._first or record
            self._samples.add(record.value)

    def check(self) -> None:
        """Stop where the texts alone would be trained, though what answers or labels them stands beside them."""
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
    """Return the options by which the same rows are read again, with these paths as data.column_map."""
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
    """Show the columns with two values each, and propose what they are as the command to type; `first` is a row."""
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
    """Say of which columns a map takes fields that are not there, though others have nearly their names."""
    for field, path in paths.items():
        near = None if {field, path} & {*names} else nearest(path, names)
        if near is not None:
            yield f" --map fills {field} from {path!r}, which does not exist.{did_you_mean(repr(near))}"


def proposed(
    samples: ColumnSamples, settings: DataSettings, objective: ObjectiveInfo
) -> tuple[dict[str, str], str | None]:
    """Return a column map by what the columns hold, and its format if one objective takes that; empty if none fits."""
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
    """Return the columns of a format's fields, without those that have the field's name already.

    Names count where all that the format requires is there but for the case of letters, or where what the columns hold
    tells nothing.
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
    """Return the format of which most fields are there by their names, in whatever case of letters."""
    known = {name.strip().casefold() for name in names}
    chosen = max(FIELDS, key=lambda format: sum(field in known for field in SCHEMAS[format].required))
    return "alpaca" if chosen in OTHERS else chosen


def _shown(samples: ColumnSamples, name: str) -> str:
    texts = list(dict.fromkeys(samples.texts(name)))[:SAMPLES_SHOWN]
    shown = [" ".join(text.split()) for text in texts]
    cut = [text if len(text) <= CHARACTERS_SHOWN else f"{text[: CHARACTERS_SHOWN - 1]}…" for text in shown]
    return " · ".join(cut) or "(empty)"
