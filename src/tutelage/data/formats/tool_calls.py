"""Read the tool calls of an answer, in any format, as JSON texts with a name and arguments."""

import json
from collections.abc import Sequence
from typing import Any

from tutelage.codes import Message
from tutelage.data.rows.json_rows import strict_json
from tutelage.data.rows.reading import NOTHING, Reading, RowError, Value, json_kind

CALL_FIELDS = ("tool_calls", "function_call")
ARGUMENTS = ("arguments", "parameters", "args", "input")  # OpenAI's name first, then those of other tools


def read_calls(turn: Value, reading: Reading) -> tuple[str, ...]:
    """Read OpenAI's tool calls, and the older function_call, which some tools write as well."""
    if all(turn.get(field) in NOTHING for field in CALL_FIELDS):
        return ()
    calls, older = (calls_of(turn.get(field), reading) for field in CALL_FIELDS)
    return (*calls, *(call for call in older if call not in calls))


def calls_of(found: Any, reading: Reading) -> tuple[str, ...]:
    """Read one call, a list of calls, or either as JSON text."""
    while isinstance(found, str) and found.strip():
        found, reading = _parsed(found, "a tool call"), reading.of_text()
    if found in NOTHING or isinstance(found, str):
        return ()
    calls = found if isinstance(found, list) else [found]
    return tuple(
        text for call in calls if not _was_added(call, reading) for text in _calls_of_one(call, reading)
    )


def _calls_of_one(call: Any, reading: Reading) -> tuple[str, ...]:
    return calls_of(call, reading) if isinstance(call, str) else (_call_text(call, reading),)


def _was_added(value: Any, reading: Reading) -> bool:
    """Return whether a value consists only of nulls that Arrow added because other rows have its keys."""
    if isinstance(value, dict):
        return reading.is_from_arrow and all(_was_added(inner, reading) for inner in value.values())
    return value is None and reading.is_from_arrow


def _call_text(call: Any, reading: Reading) -> str:
    function = call
    inner = call.get("function") if isinstance(call, dict) else None
    if isinstance(inner, dict) and not _was_added(inner, reading):
        function = inner
        reading.pass_over(call, ("function", "type", *ARGUMENTS), "tool calls")
    name_field = "function" if function is call and _is_name(call, "function") else "name"
    if not _is_name(function, name_field):
        raise RowError(
            "data.tool_call_without_name",
            "with a tool call that names no function",
            json_kind(call),
            "Write it with a name and arguments.",
        )
    reading.pass_over(function, (name_field, "type", *ARGUMENTS), "tool calls")
    name = function[name_field]
    places = [function] if function is call else [function, call]
    return _json_text(name, _arguments_in(places, name, reading))


def _arguments_in(places: Sequence[Value], name: str, reading: Reading) -> dict[str, Any]:
    """Return the arguments in one of these objects, under any of their names."""
    given = [place[field] for place in places for field in ARGUMENTS if place.get(field) is not None]
    filled = [one for one in given if one not in NOTHING and not _was_added(one, reading)] or given[:1]
    read = [found for found in (_arguments(one, name, reading) for one in filled) if found]
    if any(_json_text(name, found) != _json_text(name, read[0]) for found in read):
        raise RowError(
            "data.tool_arguments_disagree",
            f"with a tool call of {name!r} that has two different sets of arguments",
            " and ".join(_json_text(name, found)[:60] for found in read[:2]),
            "Keep one of them, as 'arguments'.",
        )
    return read[0] if read else {}


def _is_name(function: Any, field: str) -> bool:
    return (
        isinstance(function, dict) and isinstance(function.get(field), str) and bool(function[field].strip())
    )


def _arguments(found: Any, name: str, reading: Reading) -> dict[str, Any]:
    """Return the arguments of a call as an object, parsing JSON text if necessary."""
    while isinstance(found, str) and found.strip():
        found, reading = _parsed(found, f"the arguments of the tool call {name!r}"), reading.of_text()
    if found is None or isinstance(found, str):
        return {}
    dropped: list[str] = []
    if reading.is_from_arrow:
        found = _without_nulls(found, "", dropped)
    if not isinstance(found, dict):
        raise _not_an_object(name, json_kind(found))
    if dropped:
        reading.repairs.append(
            Message(
                "data.null_arguments_dropped",
                f"tool call {name}: null arguments were dropped: {', '.join(dropped)}",
            )
        )
    return found


def _without_nulls(value: Any, path: str, dropped: list[str]) -> Any:
    """Remove null fields of structs from an Arrow value, and record the path of each.

    Nulls in lists are kept: Arrow does not add any there.
    """
    if isinstance(value, dict):
        kept: dict[str, Any] = {}
        for key, inner in value.items():
            where = f"{path}.{key}" if path else key
            if inner is None:
                dropped.append(where)
            else:
                kept[key] = _without_nulls(inner, where, dropped)
        return kept
    if isinstance(value, list):
        found: list[str] = []
        items = [_without_nulls(inner, f"{path}[]", found) for inner in value]
        dropped += dict.fromkeys(found)
        return items
    return value


def without_null_arguments(value: Any) -> Any:
    """Return a field of an Arrow row with the null arguments of its tool calls removed."""
    if isinstance(value, list):
        return [without_null_arguments(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    is_call = _is_name(value, "name") or _is_name(value, "function")
    return {
        key: _without_nulls(inner, "", []) if is_call and key in ARGUMENTS else without_null_arguments(inner)
        for key, inner in value.items()
    }


def _json_text(name: str, arguments: dict[str, Any]) -> str:
    try:
        return json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as fault:  # dates, bytes and infinities from Parquet
        raise _not_an_object(name, f"a value that JSON cannot represent ({fault})") from fault


def _not_an_object(name: str, found: str) -> RowError:
    return RowError(
        "data.tool_arguments_not_object",
        f"with a tool call of {name!r} whose arguments are not a JSON object",
        found,
        'Write them as an object, such as {"city": "Rome"}.',
    )


def _parsed(text: str, what: str) -> Any:
    try:
        return strict_json(text)
    except ValueError as fault:
        raise RowError(
            "data.tool_call_malformed_json",
            f"with {what} that are not valid JSON",
            f"{text[:40]!r} ({fault})",
            "Write it as JSON, or as an object.",
        ) from fault
