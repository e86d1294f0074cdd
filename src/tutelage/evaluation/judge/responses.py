"""Reads a judge's reply, strictly: JSON of the one form that was asked for, or nothing.

One block of thoughts before it and one code fence around it are taken off first; see llm/reply_texts.py. A number found
somewhere in prose is as likely the judge's talk about a score as the score itself.
"""

import json
from typing import Any

from tutelage.llm.reply_texts import unwrapped, without_thoughts

LONGEST_REPLY = 2_000  # characters
PREFERENCES = ("first", "second", "tie")

Value = int | str


class UnreadableReplyError(ValueError):
    """A reply that counts for nothing; its text is the reason."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def read_score(reply: str) -> int:
    """Return the whole number of `{"score": N}`, from 0 to 100."""
    score = _only_value(reply, "score")
    if type(score) is not int:
        raise UnreadableReplyError(
            "judge.score_not_integer", f"score is {_told(score)}, which is not an integer"
        )
    if not 0 <= score <= 100:
        raise UnreadableReplyError(
            "judge.score_out_of_range", f"score is {_told(score)}, which is not between 0 and 100"
        )
    return score


def read_preference(reply: str) -> str:
    """Return the text of `{"better": …}`: `first`, `second` or `tie`."""
    better = _only_value(reply, "better")
    if better not in PREFERENCES:
        raise UnreadableReplyError(
            "judge.preference_unknown",
            f"better is {_told(better)}, which is not one of {', '.join(PREFERENCES)}",
        )
    return str(better)


def _only_value(reply: str, key: str) -> Any:
    said = without_thoughts(reply)
    if not said.strip():
        raise UnreadableReplyError("judge.reply_empty", "the reply is empty")
    if len(said) > LONGEST_REPLY:
        raise UnreadableReplyError(
            "judge.reply_too_long", f"the reply is longer than {LONGEST_REPLY:,} characters"
        )
    try:
        pairs = json.loads(unwrapped(reply), object_pairs_hook=tuple)
    except (ValueError, RecursionError) as fault:
        raise UnreadableReplyError("judge.reply_not_json", "the reply is not JSON alone") from fault
    # Objects arrive as tuples of their pairs, so that a key which stands twice is not taken for one.
    if not isinstance(pairs, tuple) or [name for name, _ in pairs] != [key]:
        raise UnreadableReplyError("judge.reply_keys", f'the reply is not an object with "{key}" alone')
    return pairs[0][1]


def _told(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]} …"
