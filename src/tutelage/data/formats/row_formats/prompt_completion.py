"""A prompt and its completion, each a text or messages."""

from tutelage.data.formats.messages import with_system_field
from tutelage.data.formats.prompt_and_answer import read_completion, read_prompt
from tutelage.data.formats.schemas import Row, Schema
from tutelage.data.formats.written_rows import (
    UnfitError,
    apart_from_system,
    is_one_exchange,
    message_of,
    reads_as_messages,
)
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.data.rows.reading import Reading, Value


def _read(value: Value, reading: Reading) -> tuple[ChatMessage, ...]:
    prompt = with_system_field(value, read_prompt(value, "prompt", reading), reading)
    return read_completion(value, "completion", prompt, reading)


def _write(row: Conversation) -> Row:
    system, turns = apart_from_system(row)
    if is_one_exchange(turns) and not reads_as_messages(turns[0].content, turns[1].text):
        return {"prompt": turns[0].content, "completion": turns[1].text, **system}
    if [turn.role for turn in turns].count("assistant") > 1 or turns[-1].role != "assistant":
        raise UnfitError("convert.not_one_exchange", "messages other than one prompt and one answer")
    return {"prompt": [message_of(turn) for turn in row.messages[:-1]], "completion": [message_of(turns[-1])]}


FORMAT = Schema(("prompt", "completion"), ("system",), _read, _write)
