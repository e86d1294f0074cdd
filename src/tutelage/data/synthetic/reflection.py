"""Let a model critique and rewrite instructions or answers.

Based on "Reflection-Tuning" (Li and others, arXiv 2310.11716): the model first judges by given criteria, then
rewrites.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from tutelage.codes import Message
from tutelage.data.quality.checks import check_rows
from tutelage.data.quality.near_duplicates import LikePrompts
from tutelage.data.quality.prompt_fingerprint import normalised_prompt
from tutelage.data.rows.conversations import ChatMessage, Conversation, without_blank_system
from tutelage.data.sources.convert_rows import UnfitError, to_format
from tutelage.data.synthetic.cached_model import Messages, RememberingModel, object_schema, texts_of

ImprovedField = Literal["response", "instruction"]

# Fields of a reply; the reflection comes first, so that it can influence the rewritten text.
FIELDS: dict[ImprovedField, tuple[str, ...]] = {
    "response": ("reflection", "output"),
    "instruction": ("reflection", "instruction", "input", "output"),
}
TASKS: dict[ImprovedField, str] = {
    "response": "Judge the last answer: is it right, complete, to the point and clear, and does it do what was asked"
    " in the way that was asked? Say in one or two sentences what is lacking. Then write the best answer, in the"
    " language of the old one; if nothing is lacking, repeat the old one to the letter. Reply with JSON:"
    ' {"reflection": …, "output": the answer}',
    "instruction": "Judge the instruction: is it clear, can it be followed without knowing more, and does it ask for"
    " something that takes thought? Say in one or two sentences what is lacking. Then write a better instruction on"
    " the same matter and in the same language, the input that it is about (empty where none is needed), and the"
    ' right and complete answer. Reply with JSON: {"reflection": …, "instruction": …, "input": …, "output": …}',
}
OPENINGS = {"system": "System text", "user": "Question", "assistant": "Answer", "tool": "Result of a tool"}


@dataclass(frozen=True)
class ImprovedRow:
    """A row after improvement; `unchanged` says why it was not changed."""

    row: Conversation
    unchanged: Message | None = None


def improve(
    rows: Sequence[Conversation],
    model: RememberingModel,
    part: ImprovedField,
    *,
    max_requests: int | None,
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
) -> list[ImprovedRow]:
    """Rewrite a part of every row; rows that are unsuitable or get no usable reply stay unchanged.

    A new instruction that is a near-duplicate of another row's is rejected.
    """
    improved: list[ImprovedRow] = []
    questions = 0
    known = _prompts_of(rows) if part == "instruction" else None
    for place, row in enumerate(rows):
        reason = why_not(row, part)
        if reason is None and questions == max_requests:
            reason = Message("synthetic.limit_reached", "beyond the maximum number of requests")
        if reason is None:
            questions += 1
            reply = model.ask(question(row, part), seed=seed, json_schema=object_schema(*FIELDS[part]))
            new = _rewritten(row, part, reply)
            improved.append(_unless_repeated(new, row, place, known) if known else new)
        else:
            improved.append(ImprovedRow(row, reason))
        progress(1)
    return improved


def why_not(row: Conversation, part: ImprovedField) -> Message | None:
    """Return the reason why a row cannot be improved, or None."""
    if row.is_plain_text or not row.messages:
        return Message("synthetic.not_improvable", "it has no prompt")
    if row.is_labelled:
        return Message("synthetic.not_improvable", "its answer is a label")
    last = row.messages[-1]
    if last.role != "assistant" or last.calls or not last.text.strip():
        return Message("synthetic.not_improvable", "its last message is not a text answer")
    if part == "instruction" and [turn.role for turn in row.messages] != ["user", "assistant"]:
        return Message("synthetic.not_improvable", "it is more than one question and its answer")
    try:
        to_format(row, row.format)  # the new row is written in the same format
    except UnfitError as fault:
        told = f"its format {row.format} cannot hold {fault.reason.text}"
        return Message("synthetic.not_improvable", told)
    return None


def question(row: Conversation, part: ImprovedField) -> Messages:
    """Return the request as a single message, which every chat template supports."""
    talk = "\n\n".join(f"[{OPENINGS[turn.role]}]\n{_words(turn)}" for turn in row.messages)
    return [
        {
            "role": "user",
            "content": f"Here is what was asked, and what was answered:\n\n{talk}\n\n{TASKS[part]}",
        }
    ]


def _words(turn: ChatMessage) -> str:
    return turn.content


def _rewritten(row: Conversation, part: ImprovedField, reply: str) -> ImprovedRow:
    texts = texts_of(reply, *FIELDS[part])
    if texts is None:
        return ImprovedRow(row, Message("synthetic.reply_rejected", "the response could not be read"))
    new = replace(row, messages=_new_messages(row, part, texts), repairs=())
    if new == row:
        return ImprovedRow(row, Message("synthetic.reply_rejected", "no improvement was needed"))
    (checked,) = check_rows([replace(new, messages=without_blank_system(new.messages))])
    if checked.outcome != "kept":
        return ImprovedRow(
            row, Message("synthetic.reply_rejected", f"the response is not usable: {checked.reasons[0].text}")
        )
    return ImprovedRow(new)


def _new_messages(row: Conversation, part: ImprovedField, texts: dict[str, Any]) -> tuple[ChatMessage, ...]:
    answer = replace(row.messages[-1], text=texts["output"])
    if part == "response":
        return (*row.context, answer)
    return (replace(row.messages[0], text=texts["instruction"], input=texts["input"]), answer)


def _prompts_of(rows: Sequence[Conversation]) -> LikePrompts:
    known = LikePrompts()
    for row in rows:
        known.add(normalised_prompt(row) if row.messages else "")
    return known


def _unless_repeated(new: ImprovedRow, old: Conversation, place: int, known: LikePrompts) -> ImprovedRow:
    """Return the old row if the new one is a near-duplicate of any other row but the old one."""
    if new.unchanged is None:
        prompt = normalised_prompt(new.row)
        if known.is_like_any(prompt, besides=place):
            return ImprovedRow(
                old, Message("synthetic.reply_rejected", "the new row would be a near-duplicate of another")
            )
        known.add(prompt)
    return new
