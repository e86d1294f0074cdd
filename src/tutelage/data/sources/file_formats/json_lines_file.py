"""JSON lines: one row per line."""

from collections.abc import Sequence

from tutelage.data.sources.file_formats import FileFormat, Row
from tutelage.data.sources.file_formats.json_file import json_bytes, recognise_json


def _write(rows: Sequence[Row]) -> bytes:
    return b"".join(json_bytes(row) + b"\n" for row in rows)


FORMAT = FileFormat(recognise_json, _write)
