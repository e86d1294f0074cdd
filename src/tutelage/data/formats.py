"""Which format each row has, found from its fields; and what is said where a row has none, or more than one."""

import difflib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tutelage.data.conversations import Conversation
from tutelage.data.records import Record
from tutelage.data.schemas import SCHEMAS, Reading, RowError, fields_of, json_kind, read_row
from tutelage.errors import DataError
from tutelage.recipe import DataSettings

ROWS_NAMED = 8
FIELDS_NAMED = 6


@dataclass(frozen=True)
class Conversations:
    """The rows of a source as conversations, how many rows have each format, and what has to be said of them."""

    rows: list[Conversation]
    formats: dict[str, int]
    notes: list[str]


def read_conversations(
    records: Sequence[Record],
    *,
    source: str,
    settings: DataSettings = DataSettings(),  # noqa: B008 - frozen
) -> Conversations:
    """Turn every record into a conversation, or stop and name the rows that fit no format or more than one."""
    _refuse_other_values(records, source)
    if settings.map:
        records = [mapped(record, settings.map) for record in records]
    names = [settings.format] * len(records) if settings.format else _find_formats(records, source)
    _refuse_missing_fields(records, names, source, settings.map)
    rows = _read(records, names, source, Reading(settings.coerce))
    formats = dict(Counter(names).most_common())
    return Conversations(
        rows, formats, [*_format_notes(formats), *_unknown_key_notes(records, list(formats))]
    )


def _refuse_other_values(records: Sequence[Record], source: str) -> None:
    wrong = [record for record in records if not isinstance(record.value, dict)]
    if wrong:
        raise DataError(
            f"{source}: {name_rows(wrong)} should be an object with instruction, input and output,"
            f" but the first of them is {json_kind(wrong[0].value)}.",
            rule=7,
            row=wrong[0].row,
        )


def mapped(record: Record, paths: Mapping[str, str]) -> Record:
    """Give a record the fields that a column map names, in place of what they are taken from."""
    found = {field: _look_up(record.value, path) for field, path in paths.items()}
    taken = {path if path in record.value else path.split(".")[0] for path in paths.values()}
    rest = {key: value for key, value in record.value.items() if key not in taken}
    return replace(
        record, value=rest | {field: value for field, (is_there, value) in found.items() if is_there}
    )


def _look_up(value: Any, path: str) -> tuple[bool, Any]:
    """Follow a dotted path through objects and, by number, through lists."""
    if path in value:
        return True, value[path]
    for step in path.split("."):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return False, None
    return True, value


def _find_formats(records: Sequence[Record], source: str) -> list[str]:
    """Return the one format of each row; rows with the same fields are looked at once."""
    fitting: dict[frozenset[str], list[str]] = {}
    names: list[str | None] = []
    unclear: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        fields = frozenset(record.value)
        if fields not in fitting:
            fitting[fields] = _fitting(fields)
        found = fitting[fields]
        names.append(found[0] if len(found) == 1 else None)
        if len(found) > 1:
            unclear.setdefault(tuple(found), []).append(record)
    for found, wrong in unclear.items():
        raise DataError(
            f"{source}: {name_rows(wrong)} could be {' or '.join(found)}. Say which is meant with --set"
            f" data.format={found[0]}, or remove the fields of the other.",
            rule=22,
            row=wrong[0].row,
        )
    # A row that fits nothing is told by what it lacks of the format that most rows have, or that it is nearest to.
    usual = Counter(name for name in names if name).most_common(1)
    return [
        name or _nearest_format(record.value, usual[0][0] if usual else None)
        for name, record in zip(names, records, strict=True)
    ]


def _fitting(fields: frozenset[str]) -> list[str]:
    """Return the formats whose required fields are all there, without those that another of them includes."""
    whole = [name for name, schema in SCHEMAS.items() if fields.issuperset(schema.required)]
    included = {inner for name in whole for inner in SCHEMAS[name].includes}
    return [name for name in whole if name not in included]


def _nearest_format(value: Mapping[str, Any], usual: str | None) -> str:
    def likeness(name: str) -> tuple[int, bool]:
        keys = [str(key) for key in value]
        near = sum(bool(difflib.get_close_matches(field, keys, n=1)) for field in SCHEMAS[name].required)
        return near, name == (usual or "alpaca")

    return max(SCHEMAS, key=likeness)


def _refuse_missing_fields(
    records: Sequence[Record], names: Sequence[str], source: str, paths: Mapping[str, str]
) -> None:
    """Name the rows that lack a field of their format, by the first such field."""
    for name in dict.fromkeys(names):
        own = [record for record, other in zip(records, names, strict=True) if other == name]
        for field in SCHEMAS[name].required:
            missing = [record for record in own if field not in record.value]
            if missing:
                raise DataError(_missing(missing, field, name, source, paths), rule=6, row=missing[0].row)


def _missing(missing: Sequence[Record], field: str, name: str, source: str, paths: Mapping[str, str]) -> str:
    keys = [str(key) for key in missing[0].value]
    near = difflib.get_close_matches(field, [key for key in keys if key not in fields_of([name])], n=1)
    hint = f" Rename {near[0]!r} to {field!r}." if near else ""
    if field in paths:
        hint = f" data.map takes it from {paths[field]!r}, which is not there."
    has = ", ".join(repr(key) for key in keys[:FIELDS_NAMED]) or "no fields at all"
    needs = " and ".join(repr(required) for required in SCHEMAS[name].required)
    may = f" (and may have {', '.join(map(repr, SCHEMAS[name].optional))})" if SCHEMAS[name].optional else ""
    other = "" if near else f" Fields of other names are told with --map {field}=NAME."
    return (
        f"{source}: {name_rows(missing)} without {field!r}; the first of them has {has}.{hint}"
        f" Rows of the format {name} need {needs}{may}.{other}"
    )


def _read(
    records: Sequence[Record], names: Sequence[str], source: str, reading: Reading
) -> list[Conversation]:
    rows: list[Conversation] = []
    faults: dict[str, list[tuple[Record, RowError]]] = {}
    for record, name in zip(records, names, strict=True):
        try:
            rows.append(read_row(record.row, record.value, name, reading))
        except RowError as fault:
            faults.setdefault(fault.what, []).append((record, fault))
    for what, found in faults.items():
        first = found[0][1]
        raise DataError(
            f"{source}: {name_rows([record for record, _ in found])} {what}; the first of them is {first.found}."
            f" {first.remedy}",
            rule=7,
            row=found[0][0].row,
        )
    return rows


def _format_notes(formats: Mapping[str, int]) -> list[str]:
    notes = []
    if len(formats) > 1:
        counted = ", ".join(f"{count:,} {name}" for name, count in formats.items())
        notes.append(f"The rows have several formats, each row exactly one: {counted}.")
    if formats.get("preference"):
        notes.append(
            f"{formats['preference']:,} preference rows: the chosen answer is trained; the rejected one is for a later"
            " kind of tuning and is not used."
        )
    if formats.get("text"):
        notes.append(
            f"{formats['text']:,} rows are plain text: they are trained as they stand, without the prompt style."
        )
    return notes


def _unknown_key_notes(records: Sequence[Record], names: Sequence[str]) -> list[str]:
    known = fields_of(names)
    if "preference" in names:
        known |= {"rejected"}
    counts = Counter(key for record in records for key in record.value if key not in known)
    return [
        f"The field {key!r} ({count:,} rows) is not used.{_meant(key, known)}"
        for key, count in counts.items()
    ]


def _meant(key: str, known: set[str]) -> str:
    near = difflib.get_close_matches(key, sorted(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def name_rows(records: Sequence[Record], describe: Callable[[Record], str] | None = None) -> str:
    """Name the first few of some rows, with their places."""
    named = ", ".join(map(describe or _placed, records[:ROWS_NAMED]))
    more = f" and {len(records) - ROWS_NAMED:,} more" if len(records) > ROWS_NAMED else ""
    return f"{'row' if len(records) == 1 else 'rows'} {named}{more}"


def _placed(record: Record) -> str:
    places = [record.file or "", f"line {record.line}" if record.line else ""]
    told = " ".join(place for place in places if place)
    return f"{record.row} ({told})" if told else str(record.row)
