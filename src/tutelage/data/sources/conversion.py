"""Conversations back into rows of any format; a row that a format has no place for is refused, never cut to fit."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.codes import Message
from tutelage.config.recipe import FormatName
from tutelage.data.formats.schemas import SCHEMAS, fields_of, unused_keys
from tutelage.data.formats.sides import messages_in
from tutelage.data.rows.conversations import Conversation, Turn
from tutelage.data.rows.records import SOURCE_ROW, Record
from tutelage.data.sources.writing import source_row, with_row_numbers

Row = dict[str, Any]
SHAREGPT_NAMES = {"system": "system", "user": "human", "assistant": "gpt", "tool": "tool"}


@dataclass(frozen=True)
class Converted:
    """The new rows; what the rows have that could not be converted; what was left behind, and how often."""

    values: list[Row]
    unfit: dict[int, Message]
    left_behind: dict[str, int]


class UnfitError(Exception):
    """What a row has that a format has no place for."""

    def __init__(self, code: str, what: str) -> None:
        super().__init__(what)
        self.reason = Message(code, what)


def convert_rows(
    records: Sequence[Record],
    rows: Sequence[Conversation],
    to: FormatName | None,
    *,
    chosen_only: bool = False,
) -> Converted:
    """Return rows in another format, each with its number; a row that has that format stays as it is.

    Fields that no format reads go along. One that another format reads stays behind, where it would mean something.
    """
    read_by_some = fields_of(list(SCHEMAS)) - fields_of([])
    values: list[Row] = []
    unfit: dict[int, Message] = {}
    left_behind: Counter[str] = Counter()
    for record, row in zip(records, rows, strict=True):
        if to is None or to == row.format:
            values += with_row_numbers([record])
            continue
        try:
            made = to_format(row, to, chosen_only=chosen_only)
        except UnfitError as fault:
            unfit[row.row] = fault.reason
            continue
        own = fields_of([row.format], record.value)
        if not SCHEMAS[row.format].has_fields(record.value):
            own |= {"output"}  # which holds both answers
        fields = (field for field in record.value if field in read_by_some - own)
        left_behind.update(f"field {field!r}" for field in fields)
        left_behind.update({f"key {what}": count for what, count in unused_keys(record, row.format).items()})
        values.append({SOURCE_ROW: source_row(record), **made, **unread_fields(record)})
    return Converted(values, unfit, dict(left_behind))


def unread_fields(record: Record) -> Row:
    """Return the fields of a row that are no part of any format, where it came from included."""
    read = {SOURCE_ROW} | fields_of(list(SCHEMAS), record.value) - fields_of([])
    return {field: found for field, found in record.value.items() if field not in read}


def to_format(row: Conversation, name: FormatName, *, chosen_only: bool = False) -> Row:
    """Return a conversation as a row of a format, or raise UnfitError.

    A preference row has a rejected answer even if that is one to another prompt; with `chosen_only` it stays behind.
    """
    has_rejected = row.format == "preference" or row.rejected is not None
    if has_rejected and name != "preference" and not chosen_only:
        raise UnfitError("convert.has_rejected_answer", "a rejected answer")
    return WRITERS[name](row)


def _messages(row: Conversation) -> Row:
    return {"messages": [_message(turn) for turn in _turns(row)]}


def _message(turn: Turn) -> Row:
    if turn.role != "assistant":
        return {"role": turn.role, "content": turn.asked}
    message: Row = {"role": "assistant", "content": turn.text}
    if turn.calls:
        message["tool_calls"] = [{"type": "function", "function": _function(call)} for call in turn.calls]
    return message if turn.is_supervised else {**message, "weight": 0}


def _function(call: str) -> Row:
    """Return a call as OpenAI writes it, its arguments being JSON inside a text."""
    named = json.loads(call)
    return {"name": named["name"], "arguments": json.dumps(named["arguments"], ensure_ascii=False)}


def _sharegpt(row: Conversation) -> Row:
    return {"conversations": [_exchange(turn) for turn in _all_supervised(row)]}


def _exchange(turn: Turn) -> Row:
    if not turn.calls:
        return {"from": SHAREGPT_NAMES[turn.role], "value": turn.asked}
    if turn.text or len(turn.calls) > 1:
        raise UnfitError(
            "convert.tool_calls_not_alone", "a text beside a tool call, or two calls in one turn"
        )
    return {"from": "function_call", "value": turn.calls[0]}


def _alpaca(row: Conversation) -> Row:
    system, turns = _apart_from_system(row)
    _refuse_unless_pairs(turns)
    *history, asked, answered = turns
    pairs = [[one.asked, other.text] for one, other in zip(history[::2], history[1::2], strict=True)]
    return {
        "instruction": asked.text,
        "input": asked.input,
        "output": answered.text,
        **system,
        **({"history": pairs} if pairs else {}),
    }


def _prompt_completion(row: Conversation) -> Row:
    system, turns = _apart_from_system(row)
    if _is_one_exchange(turns) and not _reads_as_messages(turns[0].asked, turns[1].text):
        return {"prompt": turns[0].asked, "completion": turns[1].text, **system}
    if [turn.role for turn in turns].count("assistant") > 1 or turns[-1].role != "assistant":
        raise UnfitError("convert.not_one_exchange", "other turns than a prompt and one answer to it")
    return {"prompt": [_message(turn) for turn in row.turns[:-1]], "completion": [_message(turns[-1])]}


def _question_answer(row: Conversation) -> Row:
    system, (asked, answered) = _single(row)
    context = {"context": asked.input} if asked.input else {}
    return {"question": asked.text, "answer": answered.text, **context, **system}


def _text(row: Conversation) -> Row:
    if not row.is_plain_text:
        raise UnfitError("convert.not_question_and_answer", "a question and its answer")
    return {"text": row.response}


def _text_label(row: Conversation) -> Row:
    system, (asked, answered) = _single(row)
    if system:
        raise UnfitError("convert.has_system_message", "a system text")
    return {"text": asked.asked, "label": answered.text}


def _preference(row: Conversation) -> Row:
    if row.rejected is None:
        raise UnfitError("convert.no_rejected_answer", "an answer without a rejected one")
    system, turns = _apart_from_system(row)
    if _is_one_exchange(turns) and not _reads_as_messages(turns[0].asked, turns[1].text, row.rejected):
        return {"prompt": turns[0].asked, "chosen": turns[1].text, "rejected": row.rejected, **system}
    if turns[-1].role != "assistant" or row.turns[0].role == "assistant":
        raise UnfitError(
            "convert.no_final_answer", "a last turn that is no answer, or an answer that nothing asks for"
        )
    context = [_message(turn) for turn in row.context]
    rejected = {"role": "assistant", "content": row.rejected}
    return {"chosen": [*context, _message(turns[-1])], "rejected": [*context, rejected]}


def _turns(row: Conversation) -> tuple[Turn, ...]:
    if row.is_plain_text:
        raise UnfitError("convert.plain_text", "plain text, which nothing asks for")
    if not row.turns:
        raise UnfitError("convert.no_messages", "no turns")
    return row.turns


def _all_supervised(row: Conversation) -> tuple[Turn, ...]:
    turns = _turns(row)
    if not all(turn.is_supervised for turn in turns):
        raise UnfitError("convert.unsupervised_answer", "an answer that is not trained on")
    return turns


def _apart_from_system(row: Conversation) -> tuple[Row, tuple[Turn, ...]]:
    """Return the system text as the field that it is in most formats, and the turns after it."""
    turns = _all_supervised(row)
    if turns[0].role != "system":
        return {}, turns
    if not turns[0].text or len(turns) == 1:
        raise UnfitError("convert.empty_system_message", "an empty system text, or one with nothing after it")
    return {"system": turns[0].text}, turns[1:]


def _is_one_exchange(turns: Sequence[Turn]) -> bool:
    return [turn.role for turn in turns] == ["user", "assistant"] and not turns[1].calls


def _reads_as_messages(*texts: str) -> bool:
    """Tell whether a text by itself would be read as the messages whose JSON it is; as a content it stays a text."""
    return any(messages_in(text) is not None for text in texts)


def _single(row: Conversation) -> tuple[Row, tuple[Turn, Turn]]:
    system, turns = _apart_from_system(row)
    if not _is_one_exchange(turns):
        raise UnfitError("convert.several_exchanges", "more than one question and its answer")
    return system, (turns[0], turns[1])


def _refuse_unless_pairs(turns: Sequence[Turn]) -> None:
    pairs = zip(turns[::2], turns[1::2], strict=False)
    if len(turns) % 2 or not all(map(_is_one_exchange, pairs)):
        raise UnfitError(
            "convert.not_alternating", "other turns than questions and answers one after the other"
        )


WRITERS: dict[FormatName, Callable[[Conversation], Row]] = {
    "alpaca": _alpaca,
    "sharegpt": _sharegpt,
    "messages": _messages,
    "prompt-completion": _prompt_completion,
    "question-answer": _question_answer,
    "text": _text,
    "preference": _preference,
    "text-label": _text_label,
}
