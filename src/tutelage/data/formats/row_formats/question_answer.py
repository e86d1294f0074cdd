"""A question and its answer, with an optional context."""

from tutelage.data.formats.messages import system_message
from tutelage.data.formats.schemas import Row, Schema
from tutelage.data.formats.written_rows import single_exchange
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.data.rows.reading import Reading, Value


def _read(value: Value, reading: Reading) -> tuple[ChatMessage, ...]:
    asked = ChatMessage("user", reading.text(value, "question"), reading.text(value, "context"))
    return (*system_message(value, reading), asked, ChatMessage("assistant", reading.text(value, "answer")))


def _write(row: Conversation) -> Row:
    system, (asked, answered) = single_exchange(row)
    context = {"context": asked.input} if asked.input else {}
    return {"question": asked.text, "answer": answered.text, **context, **system}


FORMAT = Schema(("question", "answer"), ("context", "system"), _read, _write)
