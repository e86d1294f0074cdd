"""OpenAI's list of messages, each with `role` and `content`."""

from tutelage.data.formats.messages import read_messages, with_system_field
from tutelage.data.formats.schemas import Row, Schema
from tutelage.data.formats.written_rows import message_of, messages_of
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.data.rows.reading import Reading, Value


def _read(value: Value, reading: Reading) -> tuple[ChatMessage, ...]:
    return with_system_field(value, read_messages(value["messages"], "messages", reading), reading)


def _write(row: Conversation) -> Row:
    return {"messages": [message_of(turn) for turn in messages_of(row)]}


FORMAT = Schema(("messages",), ("system",), _read, _write)
