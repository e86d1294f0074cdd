"""Tool calls of an answer, each as one JSON text of a name and its arguments."""

import json
from typing import Any

from tutelage.data.reading import Reading, RowError, Value, json_kind


def read_calls(turn: Value, reading: Reading) -> tuple[str, ...]:
    """Read OpenAI's tool calls, whose arguments are JSON inside a text, and the older single function_call."""
    called = turn.get("tool_calls") or ([turn["function_call"]] if turn.get("function_call") else [])
    calls: list[str] = []
    for call in called if isinstance(called, list) else [called]:
        function = call.get("function", call) if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise RowError(
                "data.tool_call_without_name",
                "with a tool call that names no function",
                json_kind(call),
                "It should have a name and arguments.",
            )
        reading.pass_over(call, ("function", "type", "name", "arguments"), "tool calls")
        if function is not call:
            reading.pass_over(function, ("name", "arguments"), "tool calls")
        arguments = function.get("arguments", {})
        calls.append(
            _call_text(function["name"], _parsed(arguments) if isinstance(arguments, str) else arguments)
        )
    return tuple(calls)


def call_in_text(text: str, reading: Reading) -> str | None:
    call = _parsed(text)
    if isinstance(call, dict) and isinstance(call.get("name"), str):
        reading.pass_over(call, ("name", "arguments"), "tool calls")
        return _call_text(call["name"], call.get("arguments", {}))
    return None


def _call_text(name: str, arguments: Any) -> str:
    return json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text  # kept as it stands
