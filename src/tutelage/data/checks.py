"""Which rows are kept, which are repaired and which are dropped, and why: nothing is lost in silence."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import starmap
from typing import Literal

from tutelage.codes import Message
from tutelage.data.conversations import Conversation, Turn
from tutelage.data.first_rows import FINGERPRINT_BYTES, FirstRows
from tutelage.recipe import DataSettings

Outcome = Literal["kept", "repaired", "dropped"]

NOTHING_KNOWN: Mapping[int, int] = {}
SURROGATES = re.compile(r"[\ud800-\udfff]")
HYPHEN_IN_A_WORD = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")
PUNCTUATION = re.compile(r"""[\x00-\x20_.,;:!?'"`()\[\]{}\x7f]+""")
SIGN = re.compile(r"[-+*/=<>#%&@^~|\\$]")
# What the two sides of a single question and answer are called in the format that they came in.
SIDES = {
    "alpaca": ("instruction", "output"),
    "prompt-completion": ("prompt", "completion"),
    "question-answer": ("question", "answer"),
    "preference": ("prompt", "chosen"),
    "text-label": ("text", "label"),
}


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """What became of one source row; a dropped row keeps its reasons, a repaired one says what was done."""

    row: Conversation
    outcome: Outcome
    reasons: tuple[Message, ...]


def check_rows(
    rows: Iterable[Conversation],
    settings: DataSettings = DataSettings(),  # noqa: B008 - frozen
    sizes: Mapping[int, int] = NOTHING_KNOWN,
    *,
    pairs: bool = False,
) -> list[CheckedRow]:
    """Repair what can be repaired without loss, and drop empty, oversized and repeated rows.

    `sizes` gives the bytes of the rows in their file, where they are known; of `pairs` the rejected answers count too.
    """
    return list(check_each(rows, settings, sizes, pairs=pairs))


def check_each(
    rows: Iterable[Conversation], settings: DataSettings, sizes: Mapping[int, int], *, pairs: bool = False
) -> Iterator[CheckedRow]:
    """Yield the rows as `check_rows` returns them, keeping of each no more than a fingerprint.

    Of `pairs` the rejected answers count too.
    """
    first_seen = FirstRows()
    for row in rows:
        repaired, repairs = _repair(row)
        repaired, left_out = _end_with_an_answer(repaired)
        repairs += left_out
        drops = _oversized(row, settings, sizes) or _unasked(repaired) or _empty_turns(repaired, settings)
        if pairs and row.format == "preference":
            drops = drops or _undecided(repaired, settings)
        if not drops:
            rejected = (Turn("assistant", repaired.rejected or ""),) if pairs else ()
            first = first_seen.setdefault(fingerprint((*repaired.turns, *rejected)), row.row)
            drops = [] if first == row.row else [Message("data.duplicate_row", f"the same as row {first}")]
        outcome: Outcome = "dropped" if drops else "repaired" if repairs else "kept"
        yield CheckedRow(repaired, outcome, tuple(drops or repairs))


def fingerprint(turns: Sequence[Turn]) -> int:
    """Return 128 bits by which turns are known again; that two of a million differ and share them is one in 10^27."""
    # Lengths stand before the texts, so that no other cut of the same characters gives the same bytes.
    told = "".join(
        f"{turn.role} {turn.is_supervised} {len(turn.text)} {len(turn.input)} {[len(call) for call in turn.calls]}"
        f"{turn.text}{turn.input}{''.join(turn.calls)}"
        for turn in turns
    )
    return int.from_bytes(
        hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=FINGERPRINT_BYTES).digest()
    )


def normalised_prompt(row: Conversation) -> str:
    """Return what opens a conversation as it is compared: case, white space and punctuation make no other prompt.

    It is the first question alone. Conversations that begin alike and go on differently share what they train.
    """
    opening = opening_turn(row)
    text = f"{opening.text}\n{opening.input}"
    return normalised(text) or text


def normalised(text: str) -> str:
    """Return the words and signs of a text, in one case, parted by single spaces.

    Punctuation goes, signs stay: "5 + 3" is not "5 - 3", and C++ is not C.
    """
    if not text.isascii():
        text = "".join(map(_without_punctuation, unicodedata.normalize("NFKC", text)))
    text = HYPHEN_IN_A_WORD.sub(" ", text.casefold())
    return " ".join(SIGN.sub(r" \g<0> ", PUNCTUATION.sub(" ", text)).split())


def _without_punctuation(character: str) -> str:
    """Return a character beyond ASCII if it is part of a word or a sign; marks make the words of many scripts."""
    if character.isascii():
        return character
    kind = unicodedata.category(character)[0]
    return character if kind in "LNM" else f" {character} " if kind == "S" else " "


def opening_turn(row: Conversation) -> Turn:
    """Return the first turn that is not the system's."""
    return next((turn for turn in row.turns if turn.role != "system"), row.turns[0])


def count_repeated_prompts(rows: Sequence[Conversation]) -> int:
    """Return how many rows ask, to the letter, what an earlier row asked."""
    return len(rows) - len({fingerprint(asked(row)) for row in rows})


def asked(row: Conversation) -> tuple[Turn, ...]:
    """Return what a row asks: all before its last answer, or a plain text itself."""
    return row.turns if row.is_plain_text else row.context


def _repair(row: Conversation) -> tuple[Conversation, list[Message]]:
    if row.rejected is None and all(starmap(_is_clean, ((turn.text, turn.input) for turn in row.turns))):
        return row, []
    repairs: list[Message] = []

    def mend(text: str, name: str) -> str:
        mended, done = _repair_text(text)
        repairs.extend(Message(one.code, f"{name}: {one.text}") for one in done)
        return mended

    names = turn_names(row)
    texts = tuple(
        (mend(turn.text, name), mend(turn.input, "input"))
        for turn, name in zip(row.turns, names, strict=True)
    )
    rejected = None if row.rejected is None else mend(row.rejected, "rejected")
    return replace(row.with_texts(texts), rejected=rejected), repairs


def _is_clean(text: str, given: str) -> bool:
    """Tell at a glance that a text and its input need no repair, as nearly all do."""
    both = text + given
    return "\x00" not in both and "\r\n" not in both and (both.isascii() or not SURROGATES.search(both))


def _repair_text(text: str) -> tuple[str, list[Message]]:
    repairs: list[Message] = []
    if SURROGATES.search(text):
        text = SURROGATES.sub("\ufffd", text)
        repairs.append(Message("data.lone_surrogate", "lone surrogates became U+FFFD"))
    if "\x00" in text:
        text = text.replace("\x00", "")
        repairs.append(Message("data.nul_characters", "NUL characters were removed"))
    if "\r\n" in text:
        text = text.replace("\r\n", "\n")
        repairs.append(Message("data.crlf", "CRLF became LF"))
    return text, repairs


def _end_with_an_answer(row: Conversation) -> tuple[Conversation, list[Message]]:
    """Leave out the turns after the last answer that is trained on; nothing is learnt from them."""
    turns = row.turns
    if turns and turns[-1].role == "assistant" and turns[-1].is_supervised:
        return row, []
    answers = [place for place, turn in enumerate(turns) if turn.role == "assistant" and turn.is_supervised]
    if not answers:
        return row, []
    left_out = len(turns) - answers[-1] - 1
    told = (
        f"the last {f'{left_out} turns were' if left_out > 1 else 'turn was'} left out, for no answer follows"
    )
    return replace(row, turns=turns[: answers[-1] + 1]), [Message("data.messages_after_last_answer", told)]


def _oversized(row: Conversation, settings: DataSettings, sizes: Mapping[int, int]) -> list[Message]:
    size = sizes.get(row.row, 0)
    if size <= settings.max_row_bytes:
        return []
    told = f"{size:,} bytes, more than data.max_row_bytes of {settings.max_row_bytes:,}"
    return [Message("data.row_too_large", told)]


def _unasked(row: Conversation) -> list[Message]:
    """Say why a conversation has no answer to learn, or one that nothing asks for."""
    if not row.turns:
        return [Message("data.no_messages", "there are no turns")]
    if row.is_plain_text:
        return []
    if not any(turn.role == "assistant" for turn in row.turns):
        return [Message("data.no_assistant_message", "no turn is the assistant's")]
    if row.turns[-1].role != "assistant" or not row.turns[-1].is_supervised:
        return [Message("data.no_supervised_answer", "no answer is trained on: all have the weight 0")]
    if opening_turn(row).role == "assistant":
        return [Message("data.no_prompt", "nothing is asked before the first answer")]
    return []


def _empty_turns(row: Conversation, settings: DataSettings) -> list[Message]:
    return [
        Message("data.empty", f"{name} is empty")
        for turn, name in zip(row.turns, turn_names(row), strict=True)
        if not turn.text.strip() and _needs_text(turn, settings)
    ]


def _needs_text(turn: Turn, settings: DataSettings) -> bool:
    if turn.role == "assistant":
        return turn.is_supervised and not turn.calls and not settings.keep_empty_output
    # An instruction cannot be made up for by its input; a tool may return nothing, and a system text say nothing.
    return turn.role == "user"


def _undecided(row: Conversation, settings: DataSettings) -> list[Message]:
    """Say why two answers say nothing of which is preferred."""
    if row.rejected is None:
        return [Message("data.rejected_other_prompt", "rejected answers another prompt than chosen")]
    if not row.rejected.strip() and not settings.keep_empty_output:
        return [Message("data.empty", "rejected is empty")]
    is_same = row.rejected.strip() == row.response.strip()
    return [Message("data.rejected_equals_chosen", "rejected is the same as chosen")] if is_same else []


def turn_names(row: Conversation) -> list[str]:
    """Return what a message calls each turn: by its field where the format has fields, else by its number."""
    if row.is_plain_text:
        return ["text"]
    if len(row.turns) == 2 and row.format in SIDES and row.turns[0].role == "user":
        return list(SIDES[row.format])
    return [f"turn {place} ({turn.role})" for place, turn in enumerate(row.turns, start=1)]
