"""The formats: which fields each one needs and may have, and how its rows become conversations."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tutelage.data.conversations import Conversation, Role, Turn
from tutelage.data.records import MADE_BY, MADE_FROM, SOURCE_ROW

Value = Mapping[str, Any]

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

NOTHING = (None, "", [], {})
OF_ANSWERS = ("tool_calls", "function_call", "weight")
PROMPTS_OF_PREFERENCES = ("messages", "conversations", "prompt", "instruction", "question")


class RowError(Exception):
    """What is wrong with a row, what stands there, and what to do; rows with the same fault are told together."""

    def __init__(self, what: str, found: str, remedy: str) -> None:
        super().__init__(what, found, remedy)
        self.what, self.found, self.remedy = what, found, remedy


@dataclass(frozen=True)
class Reading:
    """How the values of rows are read: with `coerces`, numbers and booleans count as their text.

    `unused` counts, over all rows, what stands inside of them and is not read.
    """

    coerces: bool = False
    unused: Counter[str] = field(default_factory=Counter)

    def pass_over(self, value: Value, used: Collection[str], of: str) -> None:
        """Count the keys of an object that hold something and mean nothing here."""
        for key, found in value.items():
            if key not in used and found not in NOTHING:
                self.unused[f"{key!r} of {of}"] += 1

    def text(self, value: Value, field: str, *, of: str = "") -> str:
        """Return a field's text; absent and null are empty, for the checks to judge."""
        found = value.get(field)
        if isinstance(found, str):
            return found
        if found is None:
            return ""
        if self.coerces and isinstance(found, bool | int | float):
            return json.dumps(found)
        is_scalar = isinstance(found, bool | int | float)
        remedy = "Put it in quotation marks" + (
            ", or allow it with --set data.coerce=true." if is_scalar else "."
        )
        raise RowError(f"with {field!r}{of} that is not text", json_kind(found), remedy)

    def label(self, value: Value, field: str) -> str:
        """Return a label's text; classes are often numbered, so that a whole number is one."""
        found = value.get(field)
        return str(found) if type(found) is int else self.text(value, field)


@dataclass(frozen=True)
class Schema:
    """One format; `includes` names formats whose fields it has too, and over which it wins."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    read: Callable[[Value, Reading], tuple[Turn, ...]]
    includes: tuple[str, ...] = ()


def read_row(row: int, value: Value, name: str, reading: Reading) -> Conversation:
    """Read a row by the format of that name, or raise RowError."""
    turns = SCHEMAS[name].read(value, reading)
    rejected = _rejected(value, turns[:-1], reading) if name == "preference" else None
    return Conversation(row, turns, name, rejected)


def unused_keys(value: Value, name: str) -> Counter[str]:
    """Return what stands inside of a row of that format and is not read."""
    reading = Reading(coerces=True)
    read_row(0, value, name, reading)
    return reading.unused


def json_kind(value: Any) -> str:
    """Say what a value is, as a person would."""
    kinds = {
        dict: "an object",
        list: "a list",
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        type(None): "null",
    }
    return kinds.get(type(value)) or f"a {type(value).__name__}"


def _alpaca(value: Value, reading: Reading) -> tuple[Turn, ...]:
    asked = Turn("user", reading.text(value, "instruction"), reading.text(value, "input"))
    answered = Turn("assistant", reading.text(value, "output"))
    if not value.get("system") and not value.get("history"):
        return (asked, answered)
    return (*_system(value, reading), *_history(value), asked, answered)


def _system(value: Value, reading: Reading) -> tuple[Turn, ...]:
    text = reading.text(value, "system")
    return (Turn("system", text),) if text else ()


def _history(value: Value) -> tuple[Turn, ...]:
    """Read Alpaca's earlier turns: a list of pairs of a question and its answer."""
    history = value.get("history") or []
    if isinstance(history, str) and history.lstrip().startswith("["):
        history = _list_in_text(history, "history")
    turns: list[Turn] = []
    for pair in history if isinstance(history, list) else [history]:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise RowError(
                "with 'history' that is no list of pairs of texts",
                json_kind(pair),
                'It should be [["question", "answer"], …].',
            )
        turns += [Turn("user", pair[0]), Turn("assistant", pair[1])]
    return tuple(turns)


def _sharegpt(value: Value, reading: Reading) -> tuple[Turn, ...]:
    return (*_system(value, reading), *_turns(value["conversations"], "conversations", reading))


def _messages(value: Value, reading: Reading) -> tuple[Turn, ...]:
    return _turns(value["messages"], "messages", reading)


def _prompt_completion(value: Value, reading: Reading) -> tuple[Turn, ...]:
    prompt = _sides(value, "prompt", "user", reading)
    return (*_system(value, reading), *prompt, *_sides(value, "completion", "assistant", reading))


def _question_answer(value: Value, reading: Reading) -> tuple[Turn, ...]:
    asked = Turn("user", reading.text(value, "question"), reading.text(value, "context"))
    return (*_system(value, reading), asked, Turn("assistant", reading.text(value, "answer")))


def _text(value: Value, reading: Reading) -> tuple[Turn, ...]:
    return (Turn("assistant", reading.text(value, "text")),)


def _text_label(value: Value, reading: Reading) -> tuple[Turn, ...]:
    return (Turn("user", reading.text(value, "text")), Turn("assistant", reading.label(value, "label")))


def _preference(value: Value, reading: Reading) -> tuple[Turn, ...]:
    """Read the chosen answer as the one to train; both layouts, with the prompt apart or inside the answers."""
    chosen = _sides(value, "chosen", "assistant", reading)
    prompts = [name for name in PROMPTS_OF_PREFERENCES if name in value]
    if chosen and chosen[0].role != "assistant":
        _pass_over_prompts(value, prompts, reading)
        return (*_system(value, reading), *chosen)
    _pass_over_prompts(value, prompts[1:], reading)
    return (*_preference_prompt(value, reading), *chosen)


def _pass_over_prompts(value: Value, names: Sequence[str], reading: Reading) -> None:
    reading.pass_over({name: value[name] for name in names}, (), "preference rows with two prompts")


def _preference_prompt(value: Value, reading: Reading) -> tuple[Turn, ...]:
    for name in ("messages", "conversations"):
        if name in value:
            return (*_system(value, reading), *_turns(value[name], name, reading))
    if "prompt" in value:
        return (*_system(value, reading), *_sides(value, "prompt", "user", reading))
    if "instruction" in value:
        return _alpaca({**value, "output": ""}, reading)[:-1]
    if "question" in value:
        return (*_system(value, reading), Turn("user", reading.text(value, "question")))
    raise RowError(
        "with 'chosen' and 'rejected' but no prompt",
        json_kind(value["chosen"]),
        "Give the prompt as 'prompt', or whole conversations as 'chosen' and 'rejected'.",
    )


def _rejected(value: Value, context: Sequence[Turn], reading: Reading) -> str | None:
    """Read the second answer, alone or at the end of a whole conversation; None where that is another than chosen's."""
    turns = _sides(value, "rejected", "assistant", reading)
    if not turns:
        return ""
    own = (*_system(value, reading), *turns[:-1])
    is_whole = turns[0].role != "assistant"
    if turns[-1].role != "assistant" or (is_whole and own != tuple(context)):
        return None
    return turns[-1].said


def _sides(value: Value, field: str, role: Role, reading: Reading) -> tuple[Turn, ...]:
    """Read one side of an exchange: a text, one message, or a list of messages."""
    found = value.get(field)
    if isinstance(found, list):
        return _turns(found, field, reading)
    if isinstance(found, dict):
        return _turns([found], field, reading)
    return (Turn(role, reading.text(value, field)),)


def _turns(found: Any, field: str, reading: Reading) -> tuple[Turn, ...]:
    if isinstance(found, str) and found.lstrip().startswith("["):
        found = _list_in_text(found, field)  # a CSV cell can hold nothing but text
    if found is None:
        return ()
    if not isinstance(found, list):
        raise RowError(
            f"with {field!r} that is no list of turns", json_kind(found), "It should be a list of objects."
        )
    return tuple(_turn(turn, field, reading) for turn in found)


def _list_in_text(text: str, field: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise RowError(
            f"with {field!r} whose text is no JSON", str(fault), "Mend it, or write JSON lines."
        ) from fault


def _turn(turn: Any, field: str, reading: Reading) -> Turn:
    """Read one turn: role and content, or from and value."""
    if not isinstance(turn, dict):
        raise RowError(
            f"with a turn in {field!r} that is no object", json_kind(turn), "A turn has a role and a text."
        )
    role_field, text_field = ("from", "value") if "from" in turn else ("role", "content")
    named = turn.get(role_field)
    role = ROLES.get(named) if isinstance(named, str) else None
    if role is None:
        known = ", ".join(ROLES)
        found = repr(named) if isinstance(named, str) else json_kind(named)
        raise RowError(f"with a turn in {field!r} of an unknown role", found, f"The roles are {known}.")
    text = _content(turn, text_field, field, reading)
    if len(turn) > 2:  # which is seldom, and takes a look at every key
        used = (role_field, text_field, *(OF_ANSWERS if role == "assistant" else ()))
        reading.pass_over(turn, used, f"turns in {field!r}")
    if role != "assistant":
        return Turn(role, text)
    calls = _calls(turn, reading)
    if named == "function_call" and (call := _call_in_text(text, reading)):
        text, calls = "", (call,)
    # OpenAI's fine-tuning gives an answer that is shown but not learnt the weight 0.
    return Turn(role, text, calls=calls, is_supervised=turn.get("weight") != 0)


def _content(turn: Value, text_field: str, field: str, reading: Reading) -> str:
    content = turn.get(text_field)
    if isinstance(content, list):  # OpenAI's list of parts
        parts = [part for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)]
        if len(parts) != len(content):
            raise RowError(
                f"with a turn in {field!r} that holds more than text",
                "a part without text",
                "Leave those rows out.",
            )
        return "".join(part["text"] for part in parts)
    return reading.text(turn, text_field, of=f" in {field!r}")


def _calls(turn: Value, reading: Reading) -> tuple[str, ...]:
    """Read OpenAI's tool calls, whose arguments are JSON inside a text, and the older single function_call."""
    called = turn.get("tool_calls") or ([turn["function_call"]] if turn.get("function_call") else [])
    calls: list[str] = []
    for call in called if isinstance(called, list) else [called]:
        function = call.get("function", call) if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise RowError(
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


def _call_in_text(text: str, reading: Reading) -> str | None:
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


SCHEMAS: dict[str, Schema] = {
    "alpaca": Schema(("instruction", "output"), ("input", "system", "history"), _alpaca),
    "sharegpt": Schema(("conversations",), ("system",), _sharegpt),
    "messages": Schema(("messages",), (), _messages),
    "prompt-completion": Schema(("prompt", "completion"), ("system",), _prompt_completion),
    "question-answer": Schema(("question", "answer"), ("context", "system"), _question_answer),
    "text": Schema(("text",), (), _text),
    "preference": Schema(
        ("chosen", "rejected"),
        ("prompt", "instruction", "input", "system", "history", "question", "messages", "conversations"),
        _preference,
        includes=("alpaca", "sharegpt", "messages", "prompt-completion", "question-answer", "text"),
    ),
    "text-label": Schema(("text", "label"), (), _text_label, includes=("text",)),
}


def fields_of(names: Sequence[str]) -> set[str]:
    """Return every field that formats of these names may have."""
    return {SOURCE_ROW, MADE_FROM, MADE_BY} | {
        field for name in names for field in (*SCHEMAS[name].required, *SCHEMAS[name].optional)
    }
