"""A chosen and a rejected answer to one prompt."""

from tutelage.data.formats.preference_rows import (
    FIELDS_OF_PAIRS,
    PROMPTS_OF_PREFERENCES,
    answer_fields,
    read_preference,
)
from tutelage.data.formats.schemas import Row, Schema
from tutelage.data.formats.written_rows import (
    UnfitError,
    apart_from_system,
    is_one_exchange,
    message_of,
    reads_as_messages,
)
from tutelage.data.rows.conversations import Conversation


def _write(row: Conversation) -> Row:
    if row.rejected is None:
        raise UnfitError("convert.no_rejected_answer", "an answer without a rejected one")
    system, turns = apart_from_system(row)
    if is_one_exchange(turns) and not reads_as_messages(turns[0].content, turns[1].text, row.rejected):
        return {"prompt": turns[0].content, "chosen": turns[1].text, "rejected": row.rejected, **system}
    if turns[-1].role != "assistant" or row.messages[0].role == "assistant":
        raise UnfitError(
            "convert.no_final_answer", "a last message that is not an answer, or an answer without a prompt"
        )
    context = [message_of(turn) for turn in row.context]
    rejected = {"role": "assistant", "content": row.rejected}
    return {"chosen": [*context, message_of(turns[-1])], "rejected": [*context, rejected]}


FORMAT = Schema(
    ("chosen", "rejected"),
    (*PROMPTS_OF_PREFERENCES, "input", "system", "history"),
    read_preference,
    _write,
    includes=("alpaca", "sharegpt", "messages", "prompt-completion", "question-answer", "text"),
    kin=FIELDS_OF_PAIRS,
    names=answer_fields,
)
