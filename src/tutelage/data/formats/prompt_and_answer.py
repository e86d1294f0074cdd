"""Read a prompt or an answer that may be a list of messages, or their JSON in a text such as a table cell."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from tutelage.data.formats.messages import (
    ROLES,
    one_system,
    read_messages,
    read_prompt_or_answer,
    split_system,
)
from tutelage.data.formats.tool_calls import CALL_FIELDS
from tutelage.data.rows.conversations import ChatMessage, Role
from tutelage.data.rows.json_rows import strict_json
from tutelage.data.rows.reading import Reading, Value

_ROLES = "|".join(ROLES)
# Begins like JSON or a printed Python list, and names a speaker.
_BEGINNING = re.compile(r"""[\s"'\\\[]*\{""")
BEGINNINGS = " \t\r\n[{\"'\\"
_SPEAKER = re.compile(rf"""["'](?:role|from)\\?["']\s*:\s*\\?["'](?:{_ROLES})\\?["']""", re.IGNORECASE)
_TEXT = re.compile(r"""["'](?:content|value|tool_calls|function_call)\\?["']\s*:""")


def looks_like_messages(text: str) -> bool:
    """Return whether a text seems to be messages that some tool wrote as JSON or printed from Python."""
    if text[:1] not in BEGINNINGS:  # nearly every text
        return False
    return bool(_BEGINNING.match(text) and _SPEAKER.search(text) and _TEXT.search(text))


def messages_in(text: Any) -> list[dict[str, Any]] | None:
    """Return the messages in a text if it is certainly their JSON, otherwise None.

    Each must be an object with a known role and a content, so that no other JSON is mistaken for messages.
    """
    if not isinstance(text, str) or not looks_like_messages(text):
        return None
    try:
        found = strict_json(text)
    except ValueError:
        return None
    messages = found if isinstance(found, list) else [found]
    return messages if messages and all(map(_is_message, messages)) else None


def _is_message(found: Any) -> bool:
    if not isinstance(found, dict):
        return False
    named = found.get("from") or found.get("role")
    says = not {"content", "value", *CALL_FIELDS}.isdisjoint(found)
    return says and isinstance(named, str) and (named in ROLES or named.strip().casefold() in ROLES)


def read_prompt(value: Value, field: str, reading: Reading) -> tuple[ChatMessage, ...]:
    """Read a prompt: a text or messages."""
    return _read(
        value, field, "user", reading, is_prompt_or_answer=lambda turns: turns[-1].role != "assistant"
    )


def read_completion(
    value: Value, field: str, prompt: Sequence[ChatMessage], reading: Reading
) -> tuple[ChatMessage, ...]:
    """Read the answer, a text or messages, and put it after its prompt; messages may repeat the prompt."""

    def is_prompt_or_answer(turns: Sequence[ChatMessage]) -> bool:
        return turns[-1].role == "assistant" and (
            turns[0].role == "assistant" or _behind_prompt(turns, prompt) is not None
        )

    turns = _read(value, field, "assistant", reading, is_prompt_or_answer=is_prompt_or_answer)
    return _behind_prompt(turns, prompt) or (*prompt, *turns)


def read_either(value: Value, field: str, reading: Reading) -> tuple[ChatMessage, ...]:
    """Read one of two answers to a prompt: a text, or messages that may be a whole conversation."""
    return _read(
        value,
        field,
        "assistant",
        reading,
        is_prompt_or_answer=lambda turns: any(turn.role == "assistant" for turn in turns),
    )


def _read(
    value: Value,
    field: str,
    role: Role,
    reading: Reading,
    *,
    is_prompt_or_answer: Callable[[Sequence[ChatMessage]], bool],
) -> tuple[ChatMessage, ...]:
    """Read a prompt or an answer; messages in a text are parsed only if they can be this part."""
    messages = messages_in(value.get(field))
    if messages:
        turns = read_messages(messages, field, reading.of_text())
        if is_prompt_or_answer(turns):
            reading.as_messages[field] += 1
            return turns
    return read_prompt_or_answer(value, field, role, reading)


def _behind_prompt(
    turns: Sequence[ChatMessage], prompt: Sequence[ChatMessage]
) -> tuple[ChatMessage, ...] | None:
    """Return the prompt and the messages after it, if messages start with it; only one of the two needs a
    system message.
    """
    if starts_with(turns, prompt) and len(turns) > len(prompt) > 0:
        return (*prompt, *turns[len(prompt) :])
    (system, asked), (own_system, own) = split_system(prompt), split_system(turns)
    if not starts_with(own, asked) or not len(own) > len(asked) > 0:
        return None
    return (*one_system(system, own_system), *asked, *own[len(asked) :])


def starts_with(turns: Sequence[ChatMessage], beginning: Sequence[ChatMessage]) -> bool:
    """Return whether messages start with `beginning`, ignoring supervision."""
    return list(map(_meaning, turns[: len(beginning)])) == list(map(_meaning, beginning))


def _meaning(turn: ChatMessage) -> tuple[str, str, tuple[str, ...]]:
    return turn.role, turn.content, turn.calls
