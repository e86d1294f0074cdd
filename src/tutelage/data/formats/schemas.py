"""The formats: which fields each one needs and may have, and how its rows become conversations."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from tutelage.data.formats.alpaca_rows import read_alpaca
from tutelage.data.formats.messages import read_messages, system_message, with_system_field
from tutelage.data.formats.preference_rows import (
    FIELDS_OF_PAIRS,
    PROMPTS_OF_PREFERENCES,
    Pair,
    answer_fields,
    has_two_outputs,
    read_preference,
)
from tutelage.data.formats.sides import read_completion, read_prompt
from tutelage.data.rows.conversations import Conversation, Turn
from tutelage.data.rows.reading import Reading, Value
from tutelage.data.rows.records import MADE_BY, MADE_FROM, SOURCE_ROW, Record


@dataclass(frozen=True)
class Schema:
    """One format; `includes` names formats whose fields it has too, and over which it wins.

    What it requires may have other names: those of `kin`, and what `names` finds among the fields of a row.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    read: Callable[[Value, Reading], tuple[Turn, ...] | Pair]
    includes: tuple[str, ...] = ()
    kin: Collection[str] = ()
    names: Callable[[Collection[str]], tuple[str, ...]] = lambda fields: ()

    def has_fields(self, fields: Collection[str]) -> bool:
        """Tell whether a row with these fields has what the format requires."""
        return set(self.required) <= set(fields) or bool(self.names(fields))

    def read_fields(self, fields: Collection[str]) -> tuple[str, ...]:
        """Return which fields of a row the format reads, under the names that the row gives them."""
        own = (*self.required, *self.optional)
        return (*own, *self.kin, *self.names(fields)) if self.kin else own


def read_row(row: int, value: Value, name: str, reading: Reading) -> Conversation:
    """Read a row by the format of that name, or raise RowError."""
    found = SCHEMAS[name].read(value, reading)
    turns, rejected, is_learnt = found if isinstance(found, Pair) else (found, None, True)
    return Conversation(row, turns, name, rejected, is_learnt, reading.take_repairs())


def format_of(value: Value, fitting: Sequence[str]) -> str:
    """Return the format of a row, of which the fields fit this one alone, by what stands in them."""
    return "preference" if fitting[0] == "alpaca" and has_two_outputs(value) else fitting[0]


def unused_keys(record: Record, name: str) -> Counter[str]:
    """Return what stands inside of a row of that format and is not read."""
    if name == "text-label":  # its labels may be a list by a setting, and all of them are read
        return Counter()
    reading = Reading(coerces=True, is_from_arrow=record.is_from_arrow)
    read_row(0, record.value, name, reading)
    return reading.unused


def _sharegpt(value: Value, reading: Reading) -> tuple[Turn, ...]:
    return with_system_field(value, read_messages(value["conversations"], "conversations", reading), reading)


def _messages(value: Value, reading: Reading) -> tuple[Turn, ...]:
    return with_system_field(value, read_messages(value["messages"], "messages", reading), reading)


def _prompt_completion(value: Value, reading: Reading) -> tuple[Turn, ...]:
    prompt = with_system_field(value, read_prompt(value, "prompt", reading), reading)
    return read_completion(value, "completion", prompt, reading)


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
        (*PROMPTS_OF_PREFERENCES, "input", "system", "history"),
        read_preference,
        includes=("alpaca", "sharegpt", "messages", "prompt-completion", "question-answer", "text"),
        kin=FIELDS_OF_PAIRS,
        names=answer_fields,
    ),
    "text-label": Schema(("text", "label"), (), _text_label, includes=("text",)),
}


def fields_of_formats() -> frozenset[str]:
    """Return what a column map may fill."""
    return frozenset(field for one in SCHEMAS.values() for field in (*one.required, *one.optional))


def fields_of(names: Sequence[str], row: Collection[str] = ()) -> set[str]:
    """Return every field that formats of these names may have, under the names too that a row gives them."""
    fields = {SOURCE_ROW, MADE_FROM, MADE_BY}
    for schema in map(SCHEMAS.__getitem__, names):
        fields |= {*schema.required, *schema.optional, *schema.kin, *schema.names(row)}
    return fields
