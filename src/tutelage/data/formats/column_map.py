"""Fields that a row has under other names, as `data.column_map` says, and what of a row stays unread then."""

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
    """Stop where a column map fills a field that no format has, though one of nearly that name is filled by nothing.

    `fields` are those that may be meant; those of `rare` are not misspelt, but nobody is led to them. `there` are the
    fields that a row has without the map.
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
    """Give a record the fields that a column map names, in place of what they are taken from."""
    found = {field: field_at(record.value, path) for field, path in paths.items()}
    taken = _taken(record.value, paths)
    rest = {key: value for key, value in record.value.items() if key not in taken}
    return replace(
        record, value=rest | {field: value for field, (is_there, value) in found.items() if is_there}
    )


def left_by_map(value: Mapping[str, Any], paths: Mapping[str, str]) -> Iterator[str]:
    """Name what a row holds and loses to a column map: fields that others replace, and what stands beside a path."""
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
    """Name what stands in a value and is on none of the paths, which lead on by these steps."""
    if not all(steps):
        return  # one of them ends here, and takes all of it
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
