"""A text and its label."""

from tutelage.data.formats.schemas import Row, Schema
from tutelage.data.formats.written_rows import UnfitError, single_exchange
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.data.rows.reading import Reading, Value


def _read(value: Value, reading: Reading) -> tuple[ChatMessage, ...]:
    return (
        ChatMessage("user", reading.text(value, "text")),
        ChatMessage("assistant", reading.label(value, "label")),
    )


def _write(row: Conversation) -> Row:
    system, (asked, answered) = single_exchange(row)
    if system:
        raise UnfitError("convert.has_system_message", "a system message")
    return {"text": asked.content, "label": answered.text}


FORMAT = Schema(("text", "label"), (), _read, _write, includes=("text",))
