"""The format of rows that have a prompt and an unwanted answer."""

from tutelage.data.formats.prompt_and_answer import read_completion, read_prompt
from tutelage.data.formats.schemas import Row, Schema
from tutelage.data.formats.written_rows import single_exchange
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.data.rows.reading import Reading, Value


def read_unwanted(value: Value, reading: Reading) -> tuple[ChatMessage, ...]:
    """Return a prompt and its unwanted answer as turns."""
    return read_completion(value, "unwanted", read_prompt(value, "prompt", reading), reading)


def write_unwanted(row: Conversation) -> Row:
    """Return a prompt and its answer as a row."""
    system, (asked, answered) = single_exchange(row)
    return {"prompt": asked.content, "unwanted": answered.text, **system}


FORMAT = Schema(("prompt", "unwanted"), (), read_unwanted, write_unwanted)
