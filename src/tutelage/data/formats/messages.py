"""Read the messages of a conversation, with role and content or from and value."""

from collections.abc import Sequence
from typing import Any, cast

from tutelage.data.formats.masks import read_mask
from tutelage.data.formats.tool_calls import CALL_FIELDS, calls_of, read_calls
from tutelage.data.rows.conversations import ChatMessage, Role
from tutelage.data.rows.json_rows import strict_json
from tutelage.data.rows.reading import NOTHING, Reading, RowError, Value, json_kind

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
    "tool_call": "assistant",
    "tool_calls": "assistant",
    "tool": "tool",
    "tool_response": "tool",
    "function": "tool",
    "observation": "tool",
}
ROLES_OF_CALLS = ("function_call", "tool_call", "tool_calls")  # roles whose content is a tool call

# Content part types of OpenAI, Anthropic and others. Images, audio and tool calls are not text.
TEXT_TYPES = ("text", "input_text", "output_text")
OTHER_CONTENT = (
    *("image", "image_url", "images", "audio", "audio_url", "input_audio", "video", "video_url", "videos"),
    *("file", "document", "source", "bytes", "tool_use", "tool_result", "thinking", "refusal"),
)


def read_prompt_or_answer(value: Value, field: str, role: Role, reading: Reading) -> tuple[ChatMessage, ...]:
    """Read a prompt or an answer: a text, one message, or a list of messages."""
    found = value.get(field)
    if isinstance(found, list):
        return read_messages(found, field, reading)
    if isinstance(found, dict):
        return read_messages([found], field, reading)
    return (ChatMessage(role, reading.text(value, field)),)


def read_messages(found: Any, field: str, reading: Reading) -> tuple[ChatMessage, ...]:
    if isinstance(found, str) and found.lstrip().startswith("["):
        found, reading = list_in_text(found, field), reading.of_text()  # a CSV cell can only hold text
    if found is None:
        return ()
    if not isinstance(found, list):
        raise RowError(
            "data.messages_not_list",
            f"with {field!r} that is not a list of messages",
            json_kind(found),
            "Write it as a list of objects.",
        )
    return tuple(_turn(turn, field, reading) for turn in found)


def list_in_text(text: str, field: str) -> Any:
    try:
        return strict_json(text)
    except ValueError as fault:
        raise RowError(
            "data.messages_malformed_json",
            f"with {field!r} whose text is not valid JSON",
            str(fault),
            "Fix the JSON, or write the rows as JSON lines.",
        ) from fault


def _turn(turn: Any, field: str, reading: Reading) -> ChatMessage:
    """Read one message: role or from, and content or value."""
    if not isinstance(turn, dict):
        raise RowError(
            "data.message_not_object",
            f"with a message in {field!r} that is not an object",
            json_kind(turn),
            "Write each message as an object with a role and a content.",
        )
    role_field = "role" if turn.get("from") in NOTHING else "from"
    text_field, other = ("value", "content") if role_field == "from" else ("content", "value")
    if turn.get(text_field) in NOTHING and turn.get(other) not in NOTHING:
        text_field = other
    named = turn.get(role_field)
    known = named if isinstance(named, str) else ""
    if known not in ROLES:
        known = known.strip().casefold()
    role = cast(Role | None, reading.roles.get(str(named))) or ROLES.get(known)
    if role is None:
        raise RowError(
            "data.unknown_role",
            f"with a message in {field!r} that has an unknown role",
            repr(named) if isinstance(named, str) else json_kind(named),
            f"The roles are {', '.join(ROLES)}. Map another one with --set 'data.roles={{NAME=\"user\"}}'"
            " (or system, assistant, tool).",
        )
    is_learnt, masks = read_mask(turn, field, reading) if len(turn) > 2 else (None, [])
    if role != "assistant" and is_learnt is not None:
        masks = _of_prompt(masks, field, reading, is_learnt=is_learnt)
    if len(turn) > 2:  # rare, and checks every key
        used = (role_field, text_field, *masks, *(CALL_FIELDS if role == "assistant" else ()))
        reading.pass_over(turn, used, f"messages in {field!r}")
    if known in ROLES_OF_CALLS:
        calls = (*calls_of(turn.get(text_field), reading), *read_calls(turn, reading))
        return ChatMessage(role, "", calls=calls, is_supervised=is_learnt is not False)
    text = _content(turn, text_field, field, reading)
    if role != "assistant":
        return ChatMessage(role, text)
    return ChatMessage(role, text, calls=read_calls(turn, reading), is_supervised=is_learnt is not False)


def _of_prompt(masks: list[str], field: str, reading: Reading, *, is_learnt: bool) -> list[str]:
    """Return the masks that apply to a message of another role than assistant: prompts are all trained on, or
    none.
    """
    if reading.learns_prompts and not is_learnt:
        raise RowError(
            "data.weight_0_on_prompt",
            f"with {masks[0]!r} that masks a message in {field!r} which is not an answer",
            "a message that data.train_on=all trains on",
            "Remove the mask, or train only on the answers with --set data.train_on=assistant.",
        )
    return masks if is_learnt is reading.learns_prompts else []


def _content(turn: Value, text_field: str, field: str, reading: Reading) -> str:
    content = turn.get(text_field)
    if isinstance(content, list):  # list of parts, as written by OpenAI, Anthropic and others
        texts = [_text_of_part(part, field, reading) for part in content]
        if None in texts:
            raise RowError(
                "data.content_not_text",
                f"with a message in {field!r} that holds more than text",
                "a part without text",
                "Remove those rows.",
            )
        return "".join(text for text in texts if text is not None)
    return reading.text(turn, text_field, of=f" in {field!r}")


def _text_of_part(part: Any, field: str, reading: Reading) -> str | None:
    """Return the text of a content part; None if it is or may be anything other than text."""
    if not isinstance(part, dict):
        return part if isinstance(part, str) else None
    kind = part.get("type")
    is_text = kind in NOTHING or (isinstance(kind, str) and kind.strip().casefold() in TEXT_TYPES)
    name = next((name for name in ("text", "value") if isinstance(part.get(name), str)), None)
    if name is None or not is_text or any(part.get(key) not in NOTHING for key in OTHER_CONTENT):
        return None
    reading.pass_over(part, ("type", name), f"content parts in {field!r}")
    return part[name]


def system_message(value: Value, reading: Reading) -> tuple[ChatMessage, ...]:
    """Read the field system, a text or a list of parts; tables write an absent one as blank."""
    if value.get("system") in NOTHING:
        return ()
    text = _content(value, "system", "system", reading)
    return (ChatMessage("system", text),) if text.strip() else ()


def with_system_field(
    value: Value, turns: tuple[ChatMessage, ...], reading: Reading
) -> tuple[ChatMessage, ...]:
    """Put the field system before the messages, unless they start with the same text."""
    field = system_message(value, reading)
    if not field or not turns or turns[0].role != "system":
        return (*field, *turns)
    if not turns[0].text.strip():
        return (*field, *turns[1:])
    _require_same_system_text(
        field, turns[:1], "with a field 'system' and a different system message at the start of the messages"
    )
    return turns


def one_system(apart: Sequence[ChatMessage], own: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """Return the system messages of a conversation; the prompt and an answer must agree if both have one."""
    if not any(turn.text.strip() for turn in apart):
        return tuple(own or apart)
    if not any(turn.text.strip() for turn in own):
        return tuple(apart)
    _require_same_system_text(
        apart, own, "with a system message in the prompt and a different one in an answer"
    )
    return tuple(own)


def _require_same_system_text(apart: Sequence[ChatMessage], own: Sequence[ChatMessage], what: str) -> None:
    first, second = ([turn.text.strip() for turn in turns if turn.text.strip()] for turns in (apart, own))
    if first != second:
        raise RowError(
            "data.two_system_texts",
            what,
            f"{first[0][:40]!r} and {second[0][:40]!r}",
            "Remove one of the two.",
        )


def split_system(turns: Sequence[ChatMessage]) -> tuple[tuple[ChatMessage, ...], tuple[ChatMessage, ...]]:
    """Split messages into the leading system messages and the rest."""
    first = next((place for place, turn in enumerate(turns) if turn.role != "system"), len(turns))
    return tuple(turns[:first]), tuple(turns[first:])
