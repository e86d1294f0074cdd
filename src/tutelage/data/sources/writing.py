"""Write rows to a JSON, JSON lines, CSV or Parquet file, optionally gzipped, depending on the extension."""

import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tutelage.config.extensions import FILE_FORMATS
from tutelage.config.recipe import DataSettings
from tutelage.data.formats.formats import read_conversations
from tutelage.data.formats.messages import ROLES_OF_CALLS
from tutelage.data.formats.prompt_and_answer import messages_in
from tutelage.data.formats.tool_calls import CALL_FIELDS, without_null_arguments
from tutelage.data.rows.records import SOURCE_ROW, Record
from tutelage.data.sources.file_formats import FileFormat, Row, ending_of, load_format
from tutelage.errors import DataError

ROLE_NAMES, CONTENTS = ("from", "role"), ("value", "content")
PLAIN_OR_TURNS = (
    "prompt",
    "completion",
    "chosen",
    "rejected",
)  # a text in some rows, a list of messages in others


def file_of_rows(
    path: Path,
    rows: Sequence[Row],
    settings: DataSettings = DataSettings(),  # noqa: B008 - frozen
) -> bytes:
    """Return the bytes of a file of rows; raise DataError if its format cannot hold them.

    Tables are read back with `settings` and compared, because a table gives every row all columns, and each
    column one type. Rows that would change are not written.
    """
    format = _format_of(path)
    if not rows:
        raise DataError(
            "data.no_rows_left",
            f"No row is left to write to {path}. Relax the criteria.",
        )
    if format.is_text_table:
        _require_messages_kept(path, rows)
    content = _encoded(path, format, rows)
    if format.read_back is not None:
        _require_same_conversations(
            path, list(format.read_back(io.BytesIO(content), str(path))), rows, settings
        )
    # No timestamp, so that equal rows give equal bytes.
    return gzip.compress(content, mtime=0) if path.name.lower().endswith(".gz") else content


def is_text_table(path: Path) -> bool:
    """Return whether the extension denotes a table of text cells, such as CSV."""
    return _format_of(path).is_text_table


def require_known_extension(path: Path) -> None:
    """Raise DataError, before any work, if the extension is unknown."""
    _format_of(path)


def with_row_numbers(records: Sequence[Record]) -> list[Row]:
    """Return the values of records, each with `source_row`, its number in the first source."""
    return [{SOURCE_ROW: source_row(record), **_others(record)} for record in records]


def source_row(record: Record) -> int:
    """Return a row's number in its first source: the one stored in it, or its position here."""
    carried = record.value.get(SOURCE_ROW)
    if carried is None:
        return record.row
    if isinstance(carried, str) and carried.isascii() and carried.isdecimal():
        return int(carried)
    if type(carried) is int and carried >= 0:
        return carried
    raise DataError(
        "data.source_row_taken",
        f"Row {record.row} has {str(carried)[:40]!r} as {SOURCE_ROW!r}, the field that keeps a row's number"
        " in its original source. Rename the field.",
        row=record.row,
    )


def _others(record: Record) -> Row:
    others = {key: value for key, value in record.value.items() if key != SOURCE_ROW}
    if not record.is_from_arrow:
        return others
    # Other file types would not distinguish nulls added by Arrow from written ones.
    return {key: _calls_as_read(value) for key, value in others.items()}


def _calls_as_read(value: Any) -> Any:
    """Return a value with the null arguments of its tool calls removed, and everything else unchanged."""
    if isinstance(value, list):
        return [_calls_as_read(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    roles = [role for role in map(value.get, ROLE_NAMES) if isinstance(role, str)]
    calls = CALL_FIELDS if roles else ()
    if any(role.strip().casefold() in ROLES_OF_CALLS for role in roles):
        calls += CONTENTS
    return {
        key: without_null_arguments(inner) if key in calls else _calls_as_read(inner)
        for key, inner in value.items()
    }


def _format_of(path: Path) -> FileFormat:
    if ending_of(path) not in FILE_FORMATS:
        raise DataError(
            "cli.unknown_output_type",
            f"{path} does not end in a known file type. Use {', '.join(FILE_FORMATS)}, each also with .gz.",
        )
    return load_format(ending_of(path))


def _encoded(path: Path, format: FileFormat, rows: Sequence[Row]) -> bytes:
    try:
        return format.write(rows)
    except UnicodeEncodeError as fault:
        raise DataError(
            "convert.lone_surrogate",
            f"{path} cannot hold half of a surrogate pair, and a row has one. Write JSON lines instead, or"
            " drop such rows with --without-rule 18.",
        ) from fault
    except (TypeError, ValueError, OverflowError) as fault:
        advice = "Write JSON lines" if format.read_back else "Write Parquet"
        raise DataError(
            "convert.rows_do_not_fit_file",
            f"{path} cannot hold these rows: {str(fault).rstrip('.')}. {advice}, or drop those fields.",
        ) from fault


def _require_messages_kept(path: Path, rows: Sequence[Row]) -> None:
    """Raise DataError if a list of messages would be read back as text.

    JSON in a cell of 'messages' is always parsed, because it cannot be anything else. A prompt or an answer can
    be a text that begins with a bracket, so it is only parsed if it is certainly a list of messages.
    """
    for number, row in enumerate(rows):
        for field in PLAIN_OR_TURNS:
            turns = row.get(field)
            if isinstance(turns, list | dict) and messages_in(json.dumps(turns)) is None:
                raise DataError(
                    "convert.messages_in_text_cell",
                    f"{path} cannot hold row {row.get(SOURCE_ROW, number)}: its {field!r} is a list of"
                    " messages, which a text cell would turn into plain text. Write JSON lines or Parquet,"
                    " or convert with --to messages (for preference rows also --chosen-only).",
                    row=number,
                )


def _require_same_conversations(
    path: Path, again: Sequence[Record], rows: Sequence[Row], settings: DataSettings
) -> None:
    """Raise DataError if the written rows would be read as different conversations."""
    meant = _conversations([Record(number, None, row) for number, row in enumerate(rows)], path, settings)
    try:
        found = _conversations(again, path, settings)
    except DataError as fault:
        raise DataError(
            "convert.would_not_read_back",
            f"{_why_not(path)} The file could not be read back: {fault}",
        ) from fault
    unlike = [one.row for one, other in zip(meant, found, strict=True) if one != other]
    if unlike:
        more = f" and {len(unlike) - 1:,} more" if len(unlike) > 1 else ""
        raise DataError(
            "convert.would_not_read_back",
            f"{_why_not(path)} Row {rows[unlike[0]].get(SOURCE_ROW, unlike[0])}{more} would be read"
            " differently.",
            row=unlike[0],
        )


def _conversations(records: Sequence[Record], path: Path, settings: DataSettings) -> list[Any]:
    return read_conversations(records, source=str(path), settings=settings, keeps_fields=True).rows


def _why_not(path: Path) -> str:
    reason = "in a table every row has all columns, each with one type"
    return f"{path} cannot hold these rows, because {reason}. Write JSON lines."
