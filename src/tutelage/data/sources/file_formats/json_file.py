"""JSON: a list of rows, or an object that holds one."""

import json
from collections.abc import Sequence
from functools import partial

from tutelage.data.rows.json_rows import read_json_rows
from tutelage.data.sources.file_formats import FileFormat, Head, Recognised, Row


def recognise_json(head: Head) -> Recognised | None:
    """Recognize text that begins like JSON; the reader distinguishes lists from lines."""
    if head.begin[:1] not in ("[", "{", ""):
        return None
    read = partial(
        read_json_rows,
        name=str(head.path),
        encoding=head.encoding,
        max_row_bytes=head.settings.max_row_bytes,
        tell=head.add_note,
    )
    return Recognised("JSON" if head.begin[:1] == "[" else "JSON lines", read)


def json_bytes(row: Row) -> bytes:
    """Return one row as UTF-8 JSON."""
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(row, allow_nan=False).encode()  # escapes lone surrogates


def _write(rows: Sequence[Row]) -> bytes:
    """Write a list with one row per line, so that error messages can name the line."""
    return b"[\n" + b",\n".join(map(json_bytes, rows)) + b"\n]\n"


FORMAT = FileFormat(recognise_json, _write)
