"""ShareGPT's list of messages, each with `from` and `value`."""

from tutelage.data.formats.messages import read_messages, with_system_field
from tutelage.data.formats.schemas import Row, Schema
from tutelage.data.formats.written_rows import UnfitError, all_supervised
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.data.rows.reading import Reading, Value

SHAREGPT_NAMES = {"system": "system", "user": "human", "assistant": "gpt", "tool": "tool"}


def _read(value: Value, reading: Reading) -> tuple[ChatMessage, ...]:
    return with_system_field(value, read_messages(value["conversations"], "conversations", reading), reading)


def _write(row: Conversation) -> Row:
    return {"conversations": [_exchange(turn) for turn in all_supervised(row)]}


def _exchange(turn: ChatMessage) -> Row:
    if not turn.calls:
        return {"from": SHAREGPT_NAMES[turn.role], "value": turn.content}
    if turn.text or len(turn.calls) > 1:
        raise UnfitError(
            "convert.tool_calls_not_alone", "a message with both a text and a tool call, or with two calls"
        )
    return {"from": "function_call", "value": turn.calls[0]}


FORMAT = Schema(("conversations",), ("system",), _read, _write)
