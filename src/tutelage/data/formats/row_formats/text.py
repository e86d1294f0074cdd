"""Plain text without a prompt."""

from tutelage.data.formats.schemas import Row, Schema
from tutelage.data.formats.written_rows import UnfitError
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.data.rows.reading import Reading, Value


def _read(value: Value, reading: Reading) -> tuple[ChatMessage, ...]:
    return (ChatMessage("assistant", reading.text(value, "text")),)


def _write(row: Conversation) -> Row:
    if not row.is_plain_text:
        raise UnfitError("convert.not_question_and_answer", "a question and its answer")
    return {"text": row.response}


FORMAT = Schema(("text",), (), _read, _write)
