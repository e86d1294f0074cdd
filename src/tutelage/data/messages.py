"""Turns of a conversation, as the formats write them: role and content, or from and value."""

import json
from typing import Any

from tutelage.data.conversations import Role, Turn
from tutelage.data.reading import Reading, RowError, Value, json_kind
from tutelage.data.tool_calls import call_in_text, read_calls

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}

OF_ANSWERS = ("tool_calls", "function_call", "weight")


def read_side(value: Value, field: str, role: Role, reading: Reading) -> tuple[Turn, ...]:
    """Read one side of an exchange: a text, one message, or a list of messages."""
    found = value.get(field)
    if isinstance(found, list):
        return read_messages(found, field, reading)
    if isinstance(found, dict):
        return read_messages([found], field, reading)
    return (Turn(role, reading.text(value, field)),)


def read_messages(found: Any, field: str, reading: Reading) -> tuple[Turn, ...]:
    if isinstance(found, str) and found.lstrip().startswith("["):
        found = list_in_text(found, field)  # a CSV cell can hold nothing but text
    if found is None:
        return ()
    if not isinstance(found, list):
        raise RowError(
            "data.messages_not_list",
            f"with {field!r} that is no list of turns",
            json_kind(found),
            "It should be a list of objects.",
        )
    return tuple(_turn(turn, field, reading) for turn in found)


def list_in_text(text: str, field: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise RowError(
            "data.messages_malformed_json",
            f"with {field!r} whose text is no JSON",
            str(fault),
            "Mend it, or write JSON lines.",
        ) from fault


def _turn(turn: Any, field: str, reading: Reading) -> Turn:
    """Read one turn: role and content, or from and value."""
    if not isinstance(turn, dict):
        raise RowError(
            "data.message_not_object",
            f"with a turn in {field!r} that is no object",
            json_kind(turn),
            "A turn has a role and a text.",
        )
    role_field, text_field = ("from", "value") if "from" in turn else ("role", "content")
    named = turn.get(role_field)
    role = ROLES.get(named) if isinstance(named, str) else None
    if role is None:
        known = ", ".join(ROLES)
        found = repr(named) if isinstance(named, str) else json_kind(named)
        raise RowError(
            "data.unknown_role",
            f"with a turn in {field!r} of an unknown role",
            found,
            f"The roles are {known}.",
        )
    text = _content(turn, text_field, field, reading)
    if len(turn) > 2:  # which is seldom, and takes a look at every key
        used = (role_field, text_field, *(OF_ANSWERS if role == "assistant" else ()))
        reading.pass_over(turn, used, f"turns in {field!r}")
    if role != "assistant":
        return Turn(role, text)
    calls = read_calls(turn, reading)
    if named == "function_call" and (call := call_in_text(text, reading)):
        text, calls = "", (call,)
    # OpenAI's fine-tuning gives an answer that is shown but not learnt the weight 0.
    return Turn(role, text, calls=calls, is_supervised=turn.get("weight") != 0)


def _content(turn: Value, text_field: str, field: str, reading: Reading) -> str:
    content = turn.get(text_field)
    if isinstance(content, list):  # OpenAI's list of parts
        parts = [part for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)]
        if len(parts) != len(content):
            raise RowError(
                "data.content_not_text",
                f"with a turn in {field!r} that holds more than text",
                "a part without text",
                "Leave those rows out.",
            )
        return "".join(part["text"] for part in parts)
    return reading.text(turn, text_field, of=f" in {field!r}")


def system_message(value: Value, reading: Reading) -> tuple[Turn, ...]:
    text = reading.text(value, "system")
    return (Turn("system", text),) if text else ()
