"""What makes two prompts the same: everything that stands before an answer, without case, white space and punctuation.

Of a conversation of several turns it is all before its last supervised answer; the answers before that one have prompts
too, which are trained on with it.
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
# How much more the last question weighs, where prompts are compared, than the longer text that stands before it.
WEIGHT_OF_QUESTION = 2
SYSTEM_TEXTS_AT_HAND = 32
CODE_POINTS = 0x110000
BETWEEN_COPIES = 0x3779  # code points, so that no copy shares a piece with another


def normalised_prompt(row: Conversation) -> str:
    """Return what an answer is asked by, as it is compared: case, white space and punctuation make no other prompt.

    Of a row without a system text and with one turn it is the question alone.
    """
    return "".join(_parts(prompt_messages(row)))


def compared_prompt(row: Conversation) -> str:
    """Return the prompt as near-duplicates are looked for by its pieces; it is equal where the prompt is.

    A system text or a history that is longer than the question would hide it, so the question is repeated in other
    characters until it has twice their weight: prompts are alike only if both parts are.
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
    """Return what a normalised prompt is known by; that two of a million differ and share it is one in 10^27."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).digest()[:DIGEST_BYTES]


def prompts_of(row: Conversation, *, trains_all: bool = True) -> tuple[str, list[tuple[bytes, bool]]]:
    """Return the normalised prompt of a row, and of each answer before the last one that of its own.

    Those of the earlier answers are digests, each with whether the answer is trained on; where not `trains_all`, the
    last answer of a row is all that is.
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
    """Return the turns before the last supervised answer, or a plain text itself."""
    turns = row.messages
    if row.is_plain_text:
        return turns
    if turns[-1].role == "assistant" and turns[-1].is_supervised:  # as all turns are that were checked
        return turns[:-1] or turns
    answers = [place for place, turn in enumerate(turns) if turn.role == "assistant" and turn.is_supervised]
    return (turns[: answers[-1]] if answers else turns) or turns[:1]


def _parts(turns: Sequence[ChatMessage]) -> list[str]:
    """Return the text that each turn adds to a prompt; one that is blank and the system's adds none."""
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
        # What is normalised has no line break and what is not has no letter, so that no text can pass for a role.
        is_bare = len(turns) == 1 or (turn.role == "user" and not any(parts))
        parts.append(text if is_bare else f"\n{turn.role} {text}")
    return parts


def normalised(text: str) -> str:
    """Return the words and signs of a text, in one case, parted by single spaces.

    Punctuation goes, signs stay: "5 + 3" is not "5 - 3", and C++ is not C.
    """
    if not text.isascii():
        text = "".join(map(_without_punctuation, unicodedata.normalize("NFKC", text)))
    text = text.casefold()
    if "-" in text:
        text = HYPHEN_IN_A_WORD.sub(" ", text)
    return " ".join(SIGN.sub(r" \g<0> ", text.translate(PUNCTUATION)).split())


@lru_cache(SYSTEM_TEXTS_AT_HAND)
def _system(text: str) -> str:
    return normalised(text)  # which most rows of a source share


def _without_punctuation(character: str) -> str:
    """Return a character beyond ASCII if it is part of a word or a sign; marks make the words of many scripts."""
    if character.isascii():
        return character
    kind = unicodedata.category(character)[0]
    return character if kind in "LNM" else f" {character} " if kind == "S" else " "
