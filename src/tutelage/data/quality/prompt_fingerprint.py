"""Normalize prompts for comparison, ignoring case, whitespace and punctuation.

In a conversation, the prompt is everything before its last supervised answer; earlier answers have prompts too,
which are trained on along with it.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from tutelage.data.rows.conversations import ChatMessage, Conversation

DIGEST_BYTES = 16
HYPHEN_IN_A_WORD = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")
PUNCTUATION = dict.fromkeys((*range(0x21), *map(ord, "_.,;:!?'\"`()[]{}\x7f")), " ")
SIGN = re.compile(r"[-+*/=<>#%&@^~|\\$]")
# Weight of the last question, relative to longer text before it, when prompts are compared.
WEIGHT_OF_QUESTION = 2
SYSTEM_TEXTS_AT_HAND = 32
CODE_POINTS = 0x110000
BETWEEN_COPIES = 0x3779  # code points, so that copies do not share pieces


def normalised_prompt(row: Conversation) -> str:
    """Return the prompt of a row's answer, normalized in case, whitespace and punctuation.

    For a single message without a system message, it is just the question.
    """
    return "".join(_parts(prompt_messages(row)))


def compared_prompt(row: Conversation) -> str:
    """Return the prompt in the form used to find near-duplicates; equal prompts have equal forms.

    A system message or history longer than the question would dominate the similarity. So the question is
    repeated in shifted characters until it has twice their weight: prompts only match if both parts do.
    """
    turns = prompt_messages(row)
    parts = _parts(turns)
    begin = max(
        (place for place, turn in enumerate(turns, start=1) if turn.role in ("assistant", "system")),
        default=0,
    )
    before, question = "".join(parts[:begin]), "".join(parts[begin:])
    if not before or not question:
        return before + question
    return before + _copies(question, max(1, round(WEIGHT_OF_QUESTION * len(before) / len(question))))


def _copies(text: str, count: int) -> str:
    characters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    shifts = np.arange(count, dtype="<u4")[:, None] * np.uint32(BETWEEN_COPIES)
    return (
        ((characters + shifts) % np.uint32(CODE_POINTS))
        .astype("<u4")
        .tobytes()
        .decode("utf-32-le", "surrogatepass")
    )


def prompt_digest(prompt: str) -> bytes:
    """Return a digest of a normalized prompt; among a million, a collision has a probability of about 10^-27."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).digest()[:DIGEST_BYTES]


def prompts_of(row: Conversation, *, trains_all: bool = True) -> tuple[str, list[tuple[bytes, bool]]]:
    """Return the normalized prompt of a row, and the prompts of its earlier answers.

    The latter are digests, each with a flag whether the answer is trained on; without `trains_all`, only the
    last answer of a row is.
    """
    turns = prompt_messages(row)
    parts = _parts(turns)
    if row.is_plain_text or len(turns) == 1:
        return "".join(parts), []
    before, earlier = "", list[tuple[bytes, bool]]()
    for turn, part in zip(turns, parts, strict=True):
        if turn.role == "assistant" and before:
            earlier.append((prompt_digest(before), trains_all and turn.is_supervised))
        before += part
    return before, earlier


def prompt_messages(row: Conversation) -> Sequence[ChatMessage]:
    """Return the messages before the last supervised answer, or the text itself for plain text."""
    turns = row.messages
    if row.is_plain_text:
        return turns
    if turns[-1].role == "assistant" and turns[-1].is_supervised:  # always so in checked rows
        return turns[:-1] or turns
    answers = [place for place, turn in enumerate(turns) if turn.role == "assistant" and turn.is_supervised]
    return (turns[: answers[-1]] if answers else turns) or turns[:1]


def _parts(turns: Sequence[ChatMessage]) -> list[str]:
    """Return the text that each message adds to a prompt; a blank system message adds none."""
    if len(turns) == 1 and turns[0].role == "user":
        text = f"{turns[0].text}\n{turns[0].input}"
        return [normalised(text) or text]
    parts: list[str] = []
    for turn in turns:
        if turn.role == "system" and not turn.text.strip():
            parts.append("")
            continue
        text = turn.content if turn.role == "assistant" else f"{turn.text}\n{turn.input}"
        text = (_system(text) if turn.role == "system" else normalised(text)) or text
        # Normalized text has no line breaks, and text that is not normalized has no letters, so no text can
        # imitate a role.
        is_bare = len(turns) == 1 or (turn.role == "user" and not any(parts))
        parts.append(text if is_bare else f"\n{turn.role} {text}")
    return parts


def normalised(text: str) -> str:
    """Return the words and symbols of a text, casefolded and separated by single spaces.

    Punctuation is removed but symbols are kept: "5 + 3" differs from "5 - 3", and C++ from C.
    """
    if not text.isascii():
        text = "".join(map(_without_punctuation, unicodedata.normalize("NFKC", text)))
    text = text.casefold()
    if "-" in text:
        text = HYPHEN_IN_A_WORD.sub(" ", text)
    return " ".join(SIGN.sub(r" \g<0> ", text.translate(PUNCTUATION)).split())


@lru_cache(SYSTEM_TEXTS_AT_HAND)
def _system(text: str) -> str:
    return normalised(text)  # cached, because most rows of a source share it


def _without_punctuation(character: str) -> str:
    """Return a non-ASCII character if it is a letter, digit, mark or symbol, else a blank; many scripts need
    marks.
    """
    if character.isascii():
        return character
    kind = unicodedata.category(character)[0]
    return character if kind in "LNM" else f" {character} " if kind == "S" else " "
