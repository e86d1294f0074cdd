"""From JSON values to instruction rows: which fields a row must have, and what is said when it has not."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.data.sources import Record
from tutelage.errors import DataError

REQUIRED_FIELDS = ("instruction", "output")
FIELDS = ("instruction", "input", "output")
ROWS_NAMED = 8


@dataclass(frozen=True)
class InstructionRow:
    """One Alpaca row; a field that is null or empty in the source is the empty string here."""

    row: int
    instruction: str
    input: str
    output: str


def read_instruction_rows(
    records: Sequence[Record], *, source: str
) -> tuple[list[InstructionRow], list[str]]:
    """Turn every record into a row, or stop and name the rows that are not Alpaca rows; also return notes."""
    _refuse_other_values(records, source)
    _refuse_missing_fields(records, source)
    _refuse_non_text(records, source)
    rows = [
        InstructionRow(record.row, *(record.value.get(field) or "" for field in FIELDS)) for record in records
    ]
    return rows, _unknown_key_notes(records)


def _refuse_other_values(records: Sequence[Record], source: str) -> None:
    wrong = [record for record in records if not isinstance(record.value, dict)]
    if wrong:
        kind = _json_kind(wrong[0].value)
        raise DataError(
            f"{source}: {_name_rows(wrong)} should be an object with instruction, input and output,"
            f" but the first of them is {kind}."
        )


def _refuse_missing_fields(records: Sequence[Record], source: str) -> None:
    for field in REQUIRED_FIELDS:
        missing = [record for record in records if field not in record.value]
        if missing:
            keys = [str(key) for key in missing[0].value]
            near = difflib.get_close_matches(field, keys, n=1)
            hint = f" Rename {near[0]!r} to {field!r}." if near else ""
            has = ", ".join(repr(key) for key in keys[:6]) or "no fields at all"
            raise DataError(
                f"{source}: {_name_rows(missing)} without {field!r}; the first of them has {has}.{hint}"
                " Rows need 'instruction' and 'output' (and may have 'input')."
            )


def _refuse_non_text(records: Sequence[Record], source: str) -> None:
    for field in FIELDS:
        wrong = [record for record in records if not isinstance(record.value.get(field), str | None)]
        if wrong:
            kind = _json_kind(wrong[0].value[field])
            raise DataError(
                f"{source}: {_name_rows(wrong)} with {field!r} that is not text; the first of them is {kind}."
                " Put it in quotation marks."
            )


def _unknown_key_notes(records: Sequence[Record]) -> list[str]:
    counts: dict[str, int] = {}
    for record in records:
        for key in record.value:
            if key not in FIELDS:
                counts[key] = counts.get(key, 0) + 1
    return [f"The field {key!r} ({count:,} rows) is not used.{_meant(key)}" for key, count in counts.items()]


def _meant(key: str) -> str:
    near = difflib.get_close_matches(key, FIELDS, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _name_rows(records: Sequence[Record]) -> str:
    named = ", ".join(
        f"{record.row} (line {record.line})" if record.line else str(record.row)
        for record in records[:ROWS_NAMED]
    )
    more = f" and {len(records) - ROWS_NAMED:,} more" if len(records) > ROWS_NAMED else ""
    return f"{'row' if len(records) == 1 else 'rows'} {named}{more}"


def _json_kind(value: Any) -> str:
    kinds = {
        dict: "an object",
        list: "a list",
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
    }
    return kinds.get(type(value), "null")
