"""Reads JSON as its standard has it, and lists its values by their paths; fields are the leaves."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

FENCES = ("```", "~~~")
LANGUAGES = ("", "json")
PLAIN_KEY = re.compile(r'[^\s.\[\]"]+')

FieldPath = tuple[str | int, ...]  # keys of objects and positions in arrays, from the outside in


def parse_json(text: str) -> Any:
    """Return the value of a text that is JSON and nothing else; ValueError or RecursionError where it is none.

    Python would also read NaN, and a number that is too large as infinity; neither is JSON.
    """
    return json.loads(text, parse_constant=_raise_constant, parse_float=_finite)


def read_container(text: str) -> dict[str, Any] | list[Any] | None:
    """Return the object or array of a text that is JSON, by itself or as one code fence; None where it is neither.

    A number, a word in quotes or `true` alone is JSON too, but an answer of another kind.
    """
    content = _without_fence(text.strip())
    if not content.startswith(("{", "[")):
        return None
    try:
        return parse_json(content)
    except (ValueError, RecursionError):
        return None


def _without_fence(text: str) -> str:
    """Return what stands in a text that is one code fence; a fence of another language stays as it is."""
    begin, _, rest = text.partition("\n")
    mark = text[:3]
    if mark not in FENCES or not rest.endswith(mark) or begin.strip("`~ \t\r").casefold() not in LANGUAGES:
        return text
    return rest.rstrip(mark[0]).strip()


def leaf_fields(value: Any) -> Iterator[tuple[FieldPath, Any]]:
    """Yield the fields of a value in their order: each text, number, truth value, null and empty container."""
    for path, inner in values_by_path(value):
        if not (inner and isinstance(inner, dict | list)):
            yield path, inner


def values_by_path(value: Any) -> Iterator[tuple[FieldPath, Any]]:
    """Yield a value and every value in it, objects and arrays too, in their order."""
    waiting: list[tuple[FieldPath, Any]] = [((), value)]  # JSON may be deeper than Python calls
    while waiting:
        path, value = waiting.pop()
        yield path, value
        if isinstance(value, dict | list):
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [((*path, key), item) for key, item in reversed([*inner])]


def path_name(path: FieldPath) -> str:
    """Write a path as `customer.orders[0].price`; a key with a point, a bracket or a blank is quoted."""
    written = "".join(f"[{part}]" if isinstance(part, int) else _key_name(part) for part in path)
    return written.removeprefix(".") or "$"


def _key_name(key: str) -> str:
    return f".{key}" if PLAIN_KEY.fullmatch(key) else f"[{json.dumps(key, ensure_ascii=False)}]"


def _raise_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits} is too large")
    return value
