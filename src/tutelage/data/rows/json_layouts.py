"""Detect JSON files whose rows are not separate objects: data frames by column, or rows under a key."""

import json
import re
from typing import Any

from tutelage.errors import DataError

WRAPPERS = ("data", "train")  # keys of a list with all rows of a file
OPENING = re.compile(r"[{,]?[ \t\r\n]*(?=\")")
COLON = re.compile(r"[ \t\r\n]*:[ \t\r\n]*")
# A data frame by column, or as column names and rows: what pandas writes by default.
FRAME = re.compile(r'\{\s*"[^"]{1,200}"\s*:\s*\{\s*"0"\s*:|\{\s*"columns"\s*:\s*\[')
BY_COLUMN = 'by column. Write it by row, for example with `to_json(path, orient="records", lines=True)`'


def rows_by_layout(value: Any) -> list[Any] | None:
    """Return the rows of an object that stores them by column, or as lists beside column names; else None."""
    if not isinstance(value, dict) or not value:
        return None
    columns, data = value.get("columns"), value.get("data")
    if isinstance(columns, list) and isinstance(data, list) and _are_cells(columns, data):
        return [dict(zip(columns, row, strict=True)) for row in data]
    if is_by_number(value):
        numbers = list(next(iter(value.values())))
        return [{name: column[number] for name, column in value.items()} for number in numbers]
    found = list(value.values())
    are_lists = all(isinstance(column, list) and column and not _has_objects(column) for column in found)
    if are_lists and len({len(column) for column in found}) == 1:
        return [dict(zip(value, cells, strict=True)) for cells in zip(*found, strict=True)]
    return None


def name_in_beginning(seen: str, name: str, decoder: json.JSONDecoder) -> str | None:
    """Return the key that holds an object's rows, from its beginning; raise DataError for a large data frame."""
    if FRAME.match(seen):
        raise DataError("data.rows_by_column", f"{name} holds a large table {BY_COLUMN}.")
    place = 0
    try:
        while (opening := OPENING.match(seen, place)) is not None:
            key, end = decoder.raw_decode(seen, opening.end())
            if (colon := COLON.match(seen, end)) is None:
                return None
            if key in WRAPPERS:
                return key if seen[colon.end() : colon.end() + 1] == "[" else None
            place = decoder.raw_decode(seen, colon.end())[1]
    except (ValueError, RecursionError):
        pass
    return None


def is_by_number(value: Any) -> bool:
    """Return whether all values are objects keyed by the same row numbers."""
    columns = list(value.values())
    if not all(isinstance(column, dict) and column for column in columns):
        return False
    numbers = list(columns[0])
    return all(str(number).isdecimal() for number in numbers) and all(
        list(column) == numbers for column in columns
    )


def _are_cells(columns: list[Any], rows: list[Any]) -> bool:
    """Return whether these are column names and rows of cells."""
    are_names = bool(columns) and all(isinstance(one, str) for one in columns)
    return are_names and all(isinstance(row, list) and len(row) == len(columns) for row in rows)


def _has_objects(column: list[Any]) -> bool:
    return any(isinstance(one, dict) for one in column)
