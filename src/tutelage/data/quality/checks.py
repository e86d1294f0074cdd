"""Check rows and decide which are kept, repaired or dropped, with reasons for every change."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tutelage.codes import Message
from tutelage.config.recipe import DataSettings
from tutelage.data.quality.first_rows import FINGERPRINT_BYTES, FirstRows
from tutelage.data.quality.label_names import trim_labels
from tutelage.data.quality.repairs import needs_no_repair, repair_row
from tutelage.data.rows.conversations import ChatMessage, Conversation, without_blank_system
from tutelage.data.rows.records import LEFT_OUT

Outcome = Literal["kept", "repaired", "dropped"]

NOTHING_KNOWN: Mapping[int, int] = {}
# Names of question and answer in each format, for messages.
SIDES = {
    "alpaca": ("instruction", "output"),
    "prompt-completion": ("prompt", "completion"),
    "question-answer": ("question", "answer"),
    "preference": ("prompt", "chosen"),
    "text-label": ("text", "label"),
}


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """The outcome of checking a row, with the reasons for dropping it or the repairs that were made."""

    row: Conversation
    outcome: Outcome
    reasons: tuple[Message, ...]


def check_rows(
    rows: Iterable[Conversation],
    settings: DataSettings = DataSettings(),  # noqa: B008 - frozen
    sizes: Mapping[int, int] = NOTHING_KNOWN,
    *,
    row_format: str | None = None,
) -> list[CheckedRow]:
    """Repair what can be repaired without loss, and drop empty, oversized and duplicate rows.

    `sizes` are the sizes of rows in bytes, if known. In rows of the trained `row_format`, all contents are
    checked; in other rows only the messages. A preference row whose conversations diverge before the last
    answer is always dropped.
    """
    return list(check_each(rows, settings, sizes, row_format=row_format))


def check_each(
    rows: Iterable[Conversation],
    settings: DataSettings,
    sizes: Mapping[int, int],
    *,
    row_format: str | None = None,
) -> Iterator[CheckedRow]:
    """Yield what `check_rows` returns, keeping only a fingerprint of each row.

    In rows of `row_format`, all contents are checked; in other rows only the messages.
    """
    first_seen = FirstRows()
    for row in rows:
        repaired, repairs, drops = _repair(row)
        if row.is_labelled:
            repaired, trimmed = trim_labels(repaired, settings.label_separator)
            repairs += trimmed
        repaired, greetings = _begin_with_a_prompt(repaired)
        repaired, left_out = _end_with_an_answer(repaired)
        repaired, blanks = _without_blank_system(repaired, settings)
        repairs = [*row.repairs, *repairs, *greetings, *left_out, *blanks]
        drops = (
            _left_out(row)
            or _oversized(row, settings, sizes)
            or drops
            or _unasked(repaired)
            or _empty_messages(repaired, settings)
        )
        if row.format == "preference":
            drops = (
                drops
                or _to_other_prompt(repaired)
                or (_undecided(repaired, settings) if row.format == row_format else [])
            )
        if not drops:
            rejected = (
                () if row.format != row_format else (ChatMessage("assistant", repaired.rejected or ""),)
            )
            # Annotators may disagree about an answer, so a row with the opposite label is not a duplicate.
            label = () if row.is_desirable is None else (ChatMessage("user", str(row.is_desirable)),)
            first = first_seen.setdefault(fingerprint((*repaired.messages, *rejected, *label)), row.row)
            drops = [] if first == row.row else [Message("data.duplicate_row", f"duplicate of row {first}")]
        outcome: Outcome = "dropped" if drops else "repaired" if repairs else "kept"
        yield CheckedRow(repaired, outcome, tuple(drops or repairs))


def fingerprint(turns: Sequence[ChatMessage]) -> bytes:
    """Return a 16-byte fingerprint of messages; among a million, a collision has a probability of about 10^-27."""
    # Lengths precede the texts, so that different splits of the same characters do not collide.
    parts: list[str] = []
    for turn in turns:
        text, more, calls = turn.text, turn.input, turn.calls
        lengths = [len(call) for call in calls] if calls else "[]"
        parts += (
            f"{turn.role} {turn.is_supervised} {len(text)} {len(more)} {lengths}",
            text,
            more,
            *calls,
        )
    content = "".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(content, digest_size=FINGERPRINT_BYTES).digest()


def opening_message(row: Conversation) -> ChatMessage:
    """Return the first message that is not a system message."""
    return next((turn for turn in row.messages if turn.role != "system"), row.messages[0])


def count_repeated_prompts(rows: Sequence[Conversation]) -> int:
    """Return how many rows have exactly the same prompt as an earlier row."""
    return len(rows) - len({fingerprint(prompt_of(row)) for row in rows})


def prompt_of(row: Conversation) -> tuple[ChatMessage, ...]:
    """Return the prompt of a row: all messages before its last answer, or the text itself for plain text."""
    if row.is_plain_text or all(turn.is_supervised for turn in row.context):
        return row.messages if row.is_plain_text else row.context
    # The prompt is the same, whichever earlier answers are supervised.
    return tuple(replace(turn, is_supervised=True) for turn in row.context)


def _repair(row: Conversation) -> tuple[Conversation, list[Message], list[Message]]:
    return (row, [], []) if needs_no_repair(row) else repair_row(row, message_names(row))


def _begin_with_a_prompt(row: Conversation) -> tuple[Conversation, list[Message]]:
    """Drop assistant messages before the first prompt, such as a greeting."""
    turns = row.messages
    if not turns or turns[0].role == "user" or not any(turn.role == "user" for turn in turns):
        return row, []
    first = next(place for place, turn in enumerate(turns) if turn.role == "user")
    kept = tuple(turn for place, turn in enumerate(turns) if place > first or turn.role != "assistant")
    if len(kept) == len(turns):
        return row, []
    told = "assistant messages before the first prompt were dropped"
    return replace(row, messages=kept), [Message("data.messages_before_first_prompt", told)]


def _end_with_an_answer(row: Conversation) -> tuple[Conversation, list[Message]]:
    """Drop the messages after the last supervised answer; nothing is trained on them."""
    turns = row.messages
    if turns and turns[-1].role == "assistant" and turns[-1].is_supervised:
        return row, []
    answers = [place for place, turn in enumerate(turns) if turn.role == "assistant" and turn.is_supervised]
    if not answers:
        return row, []
    left_out = len(turns) - answers[-1] - 1
    told = (
        f"the last {f'{left_out} messages were' if left_out > 1 else 'message was'} dropped, because no"
        " trained answer follows"
    )
    return replace(row, messages=turns[: answers[-1] + 1]), [Message("data.messages_after_last_answer", told)]


def _without_blank_system(row: Conversation, settings: DataSettings) -> tuple[Conversation, list[Message]]:
    """Drop empty system messages, unless the chat template decides what they mean."""
    turns = row.messages if settings.prompt_template == "chat" else without_blank_system(row.messages)
    if len(turns) == len(row.messages):
        return row, []
    told = "an empty system message was dropped, because the prompt template has none"
    return replace(row, messages=turns), [Message("data.empty_system_message", told)]


def _left_out(row: Conversation) -> list[Message]:
    if row.format != LEFT_OUT:
        return []
    return [Message("functions.row_left_out", "the format function returned None")]


def _oversized(row: Conversation, settings: DataSettings, sizes: Mapping[int, int]) -> list[Message]:
    size = sizes.get(row.row, 0)
    if size <= settings.max_row_bytes:
        return []
    told = f"{size:,} bytes, more than data.max_row_bytes of {settings.max_row_bytes:,}"
    return [Message("data.row_too_large", told)]


def _unasked(row: Conversation) -> list[Message]:
    """Return the reason if a conversation has no supervised answer, or no prompt before it."""
    if not row.messages:
        return [Message("data.no_messages", "it has no messages")]
    if row.is_plain_text:
        return []
    if not any(turn.role == "assistant" for turn in row.messages):
        return [Message("data.no_assistant_message", "it has no assistant message")]
    if row.messages[-1].role != "assistant" or not row.messages[-1].is_supervised:
        return [
            Message("data.no_supervised_answer", "no answer is trained on, because all have the weight 0")
        ]
    if opening_message(row).role == "assistant":
        return [Message("data.no_prompt", "there is no prompt before the first answer")]
    return []


def _empty_messages(row: Conversation, settings: DataSettings) -> list[Message]:
    empty = [
        place
        for place, turn in enumerate(row.messages)
        if not turn.text.strip() and (_needs_text(turn, settings) or _needs_label(row, settings))
    ]
    if not empty:
        return []
    names = message_names(row)
    return [Message("data.empty", f"{names[place]} is empty") for place in empty]


def _needs_text(turn: ChatMessage, settings: DataSettings) -> bool:
    if turn.role == "assistant":
        return turn.is_supervised and not turn.calls and not settings.keep_empty_output
    # An input does not replace an instruction; tool results and system messages may be empty.
    return turn.role == "user"


def _needs_label(row: Conversation, settings: DataSettings) -> bool:
    """Return whether an empty label would become a class; with a separator, it means that a text has no labels."""
    return row.is_labelled and settings.label_separator is None


def _to_other_prompt(row: Conversation) -> list[Message]:
    """Return the reason if the rejected answer has another prompt than the chosen one."""
    if row.rejected is not None:
        return []
    return [Message("data.rejected_other_prompt", "rejected answers a different prompt than chosen")]


def _undecided(row: Conversation, settings: DataSettings) -> list[Message]:
    """Return the reason if two answers express no preference."""
    assert row.rejected is not None  # dropped earlier otherwise
    if not row.is_rejected_supervised:
        return [Message("data.no_supervised_answer", "rejected has the weight 0")]
    if not row.rejected.strip() and not settings.keep_empty_output:
        return [Message("data.empty", "rejected is empty")]
    is_same = row.rejected.strip() == row.response.strip()
    return [Message("data.rejected_equals_chosen", "rejected is the same as chosen")] if is_same else []


def message_names(row: Conversation) -> list[str]:
    """Return the name of each message for error messages: its field, or else its number."""
    if row.is_plain_text:
        return ["text"]
    if len(row.messages) == 2 and row.format in SIDES and row.messages[0].role == "user":
        return list(SIDES[row.format])
    return [f"message {place} ({turn.role})" for place, turn in enumerate(row.messages, start=1)]
