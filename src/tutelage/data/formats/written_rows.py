"""Shared code of formats for writing conversations as rows."""

import json
from collections.abc import Sequence

from tutelage.codes import Message
from tutelage.data.formats.prompt_and_answer import messages_in
from tutelage.data.formats.schemas import Row
from tutelage.data.rows.conversations import ChatMessage, Conversation


class UnfitError(Exception):
    """Raised for a row that a format cannot represent."""

    def __init__(self, code: str, what: str) -> None:
        super().__init__(what)
        self.reason = Message(code, what)


def messages_of(row: Conversation) -> tuple[ChatMessage, ...]:
    """Return the messages of a row; raise UnfitError if it has none."""
    if row.is_plain_text:
        raise UnfitError("convert.plain_text", "plain text, which has no prompt")
    if not row.messages:
        raise UnfitError("convert.no_messages", "no messages")
    return row.messages


def all_supervised(row: Conversation) -> tuple[ChatMessage, ...]:
    """Return the messages of a row if all its answers are supervised; raise UnfitError if not."""
    turns = messages_of(row)
    if not all(turn.is_supervised for turn in turns):
        raise UnfitError("convert.unsupervised_answer", "an answer that is not trained on")
    return turns


def apart_from_system(row: Conversation) -> tuple[Row, tuple[ChatMessage, ...]]:
    """Return the system message as a field, as most formats store it, and the other messages."""
    turns = all_supervised(row)
    if turns[0].role != "system":
        return {}, turns
    if not turns[0].text or len(turns) == 1:
        raise UnfitError(
            "convert.empty_system_message", "an empty system message, or one with no message after it"
        )
    return {"system": turns[0].text}, turns[1:]


def single_exchange(row: Conversation) -> tuple[Row, tuple[ChatMessage, ChatMessage]]:
    """Return the system message as a field, and the only question with its answer."""
    system, turns = apart_from_system(row)
    if not is_one_exchange(turns):
        raise UnfitError("convert.several_exchanges", "more than one question and its answer")
    return system, (turns[0], turns[1])


def is_one_exchange(turns: Sequence[ChatMessage]) -> bool:
    """Return whether messages are one question and one answer without tool calls."""
    return [turn.role for turn in turns] == ["user", "assistant"] and not turns[1].calls


def reads_as_messages(*texts: str) -> bool:
    """Return whether a text on its own would be parsed as messages; inside a message it stays a text."""
    return any(messages_in(text) is not None for text in texts)


def message_of(turn: ChatMessage) -> Row:
    """Return a message in OpenAI's format."""
    if turn.role != "assistant":
        return {"role": turn.role, "content": turn.content}
    message: Row = {"role": "assistant", "content": turn.text}
    if turn.calls:
        message["tool_calls"] = [{"type": "function", "function": _function(call)} for call in turn.calls]
    return message if turn.is_supervised else {**message, "weight": 0}


def _function(call: str) -> Row:
    """Return a tool call in OpenAI's format, with its arguments as a JSON string."""
    named = json.loads(call)
    return {"name": named["name"], "arguments": json.dumps(named["arguments"], ensure_ascii=False)}
