"""Apply `data.column_map`, which gives fields other names, and find data that it leaves unread."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tutelage.data.rows.reading import NOTHING
from tutelage.data.rows.records import Record
from tutelage.errors import DataError
from tutelage.text.spelling import did_you_mean, nearest


def check_field_names(
    paths: Mapping[str, str],
    fields: Collection[str],
    *,
    rare: Collection[str] = (),
    there: Collection[str] = (),
) -> None:
    """Raise DataError if a column map fills an unknown field while a field with a similar name is not filled.

    Only `fields` are suggested; `rare` fields are valid but never suggested. `there` are the fields that the
    row has without the map.
    """
    filled = {*paths, *there}
    for field, path in paths.items():
        meant = None if field in {*fields, *rare, *there} else nearest(field, fields)
        if meant is not None and meant not in filled:
            raise DataError(
                "data.unknown_map_field",
                f"data.column_map fills {field!r} from {path!r}, but no format has a field of that"
                f" name.{did_you_mean(f'{meant}={path}')}",
            )


def mapped(record: Record, paths: Mapping[str, str]) -> Record:
    """Return a record with the fields of a column map in place of the columns they are taken from."""
    found = {field: field_at(record.value, path) for field, path in paths.items()}
    taken = _taken(record.value, paths)
    rest = {key: value for key, value in record.value.items() if key not in taken}
    return replace(
        record, value=rest | {field: value for field, (is_there, value) in found.items() if is_there}
    )


def left_by_map(value: Mapping[str, Any], paths: Mapping[str, str]) -> Iterator[str]:
    """Yield descriptions of what a row loses to a column map: replaced fields, and values beside a path."""
    taken = _taken(value, paths)
    for field, path in paths.items():
        if field not in taken and value.get(field) not in NOTHING and field_at(value, path)[0]:
            yield f"{field!r}, which data.column_map fills from {path!r},"
    steps = [path.split(".") for path in paths.values() if path not in value]
    for field in sorted({path[0] for path in steps if path[0] in value} - {*paths.values()}):
        yield from _beside(value[field], [path[1:] for path in steps if path[0] == field], field)


def _taken(value: Mapping[str, Any], paths: Mapping[str, str]) -> set[str]:
    return {path if path in value else path.split(".")[0] for path in paths.values()}


def _beside(found: Any, steps: Sequence[Sequence[str]], path: str) -> Iterator[str]:
    """Yield descriptions of the values that are on none of the paths."""
    if not all(steps):
        return  # one of the paths ends here and takes the whole value
    if isinstance(found, dict):
        inner = list(found.items())
    elif isinstance(found, list):
        inner = [(str(place), one) for place, one in enumerate(found)]
    elif found in NOTHING:
        return
    else:
        yield repr(path)
        return
    for key, one in inner:
        further = [step[1:] for step in steps if step[0] == key]
        if further:
            yield from _beside(one, further, f"{path}.{key}")
        elif one not in NOTHING:
            yield f"{'[]' if isinstance(found, list) else key!r} of {path!r}"


def field_at(value: Any, path: str) -> tuple[bool, Any]:
    """Follow a dotted path through objects and, by index, through lists; return (found, value)."""
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
