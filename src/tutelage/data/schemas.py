"""The formats: which fields each one needs and may have, and how its rows become conversations."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tutelage.data.alpaca_rows import read_alpaca
from tutelage.data.conversations import Conversation, Turn
from tutelage.data.messages import read_messages, read_side, system_message, with_system_field
from tutelage.data.preference_rows import read_preference, read_rejected
from tutelage.data.reading import Reading, Value
from tutelage.data.records import MADE_BY, MADE_FROM, SOURCE_ROW, Record


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
    rejected = read_rejected(value, turns[:-1], reading) if name == "preference" else None
    return Conversation(row, turns, name, rejected, reading.take_repairs())


def unused_keys(record: Record, name: str) -> Counter[str]:
    """Return what stands inside of a row of that format and is not read."""
    reading = Reading(coerces=True, is_from_arrow=record.is_from_arrow)
    read_row(0, record.value, name, reading)
    return reading.unused


def _sharegpt(value: Value, reading: Reading) -> tuple[Turn, ...]:
    return with_system_field(value, read_messages(value["conversations"], "conversations", reading), reading)


def _messages(value: Value, reading: Reading) -> tuple[Turn, ...]:
    return with_system_field(value, read_messages(value["messages"], "messages", reading), reading)


def _prompt_completion(value: Value, reading: Reading) -> tuple[Turn, ...]:
    prompt = with_system_field(value, read_side(value, "prompt", "user", reading), reading)
    return (*prompt, *read_side(value, "completion", "assistant", reading))


def _question_answer(value: Value, reading: Reading) -> tuple[Turn, ...]:
    asked = Turn("user", reading.text(value, "question"), reading.text(value, "context"))
    return (*system_message(value, reading), asked, Turn("assistant", reading.text(value, "answer")))


def _text(value: Value, reading: Reading) -> tuple[Turn, ...]:
    return (Turn("assistant", reading.text(value, "text")),)


def _text_label(value: Value, reading: Reading) -> tuple[Turn, ...]:
    return (Turn("user", reading.text(value, "text")), Turn("assistant", reading.label(value, "label")))


SCHEMAS: dict[str, Schema] = {
    "alpaca": Schema(("instruction", "output"), ("input", "system", "history"), read_alpaca),
    "sharegpt": Schema(("conversations",), ("system",), _sharegpt),
    "messages": Schema(("messages",), ("system",), _messages),
    "prompt-completion": Schema(("prompt", "completion"), ("system",), _prompt_completion),
    "question-answer": Schema(("question", "answer"), ("context", "system"), _question_answer),
    "text": Schema(("text",), (), _text),
    "preference": Schema(
        ("chosen", "rejected"),
        ("prompt", "instruction", "input", "system", "history", "question", "messages", "conversations"),
        read_preference,
        includes=("alpaca", "sharegpt", "messages", "prompt-completion", "question-answer", "text"),
    ),
    "text-label": Schema(("text", "label"), (), _text_label, includes=("text",)),
}


def fields_of(names: Sequence[str]) -> set[str]:
    """Return every field that formats of these names may have."""
    return {SOURCE_ROW, MADE_FROM, MADE_BY} | {
        field for name in names for field in (*SCHEMAS[name].required, *SCHEMAS[name].optional)
    }
