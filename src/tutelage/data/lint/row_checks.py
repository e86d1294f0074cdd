"""Checks of single rows: outcome, record and texts."""

import re
import unicodedata
from array import array
from collections.abc import Collection, Iterable, Iterator

from tutelage.data.formats.misplaced_texts import find_misplaced
from tutelage.data.quality.call_texts import texts_of
from tutelage.data.quality.checks import CheckedRow, fingerprint, prompt_of
from tutelage.data.quality.first_rows import FirstRows
from tutelage.data.quality.rules import Finding, rule_of
from tutelage.data.rows.conversations import Conversation
from tutelage.data.rows.records import Record

KNOWN_CONTROLS = (
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|user|>",
    "<|assistant|>",
    "<|system|>",
    "<|end|>",
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<s>",
    "</s>",
    "<bos>",
    "<eos>",
    "<start_of_turn>",
    "<end_of_turn>",
    "[INST]",
    "[/INST]",
    "<<SYS>>",
)
HEADINGS = ("### Response:", "### Instruction:", "### Input:")
# C0 except tab and line breaks, DEL and C1, direction marks, and zero-width characters.
UNSEEN = re.compile(
    "[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|[\u202a-\u202e\u2066-\u2069]|[\u200b\u2060\ufeff]|[\U000e0000-\U000e007f]"
)
# (message, a text that every match contains, pattern); the cheap containment test avoids most searches.
SECRETS = tuple(
    (f"contains what looks like {name}", hint, re.compile(pattern))
    for name, hint, pattern in (
        ("a private key", "PRIVATE KEY", r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
        ("an AWS access key", "AKIA", r"\bAKIA[0-9A-Z]{16}\b"),
        ("an API key", "sk-", r"\bsk-[A-Za-z0-9_-]{20,}"),
        ("a GitHub token", "gh", r"\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_[A-Za-z0-9_]{22,}"),
        ("a Hugging Face token", "hf_", r"\bhf_[A-Za-z0-9]{30,}"),
        ("a Slack token", "xox", r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
        ("a Google API key", "AIza", r"\bAIza[0-9A-Za-z_-]{35}"),
        # Bounded, because every possible start is searched to the end of the run.
        ("a web token", ".eyJ", r"\beyJ[A-Za-z0-9_-]{10,4096}\.eyJ[A-Za-z0-9_-]{10,}\."),
        ("a password in an address", "://", r"://[^/\s:@]{1,64}:[^/\s:@]{3,64}@"),
        ("an e-mail address", "@", r"\b[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){0,4}\.[A-Za-z]{2,24}\b"),
    )
)
SENTENCE_END = re.compile(r"[.!?]\s|[。！？]")
LONG_LAST_LINE = 80
HALF = 0.5
ROWS_FOR_VARIETY = 10


def find_in_rows(checked: Iterable[CheckedRow], controls: Collection[str]) -> Iterator[Finding]:
    """Yield the findings for all rows from their outcomes and texts; `controls` are the tokenizer's control
    tokens.
    """
    look = RowLook(controls)
    for one in checked:
        yield from look.find(one)


class RowLook:
    """Checks rows one by one, keeping only a fingerprint of each prompt."""

    def __init__(self, controls: Collection[str]) -> None:
        self.repeated_prompts = 0  # rows with exactly the same prompt as an earlier one
        self._spelled = {*KNOWN_CONTROLS, *controls}
        self._first_asked = FirstRows()

    def find(self, one: CheckedRow) -> Iterator[Finding]:
        """Yield the findings for the next row."""
        row = one.row.row
        was = "dropped" if one.outcome == "dropped" else "repaired"
        yield from (Finding(reason.code, row, f"{was}: {reason.text}") for reason in one.reasons)
        if one.outcome != "dropped":
            first = self._first_asked.setdefault(fingerprint(prompt_of(one.row)), row)
            if first != row:
                self.repeated_prompts += 1
                yield Finding(
                    "data.conflicting_answers", row, f"has the prompt of row {first}, but a different answer"
                )
            yield from _find_in_texts(one.row, self._spelled)
            yield from (Finding(found.code, row, found.text) for found in find_misplaced(one.row))


def find_null_fields(records: Iterable[Record]) -> Iterator[Finding]:
    """Yield a finding for each record with null fields."""
    for record in records:
        if isinstance(record.value, dict) and None in record.value.values():
            names = ", ".join(repr(key) for key, value in record.value.items() if value is None)
            yield Finding("data.null_field", record.row, f"{names}: null, read as empty")


class Variety:
    """Counts duplicate rows and equal answers."""

    def __init__(self) -> None:
        self._rows = self._repeats = self._kept = 0
        self._answers = array("q")  # hash of each answer
        # If most rows have the same answer, it ends up here (Boyer and Moore's majority vote).
        self._leader, self._lead = "", 0

    def note(self, one: CheckedRow) -> None:
        """Record the next row."""
        self._rows += 1
        self._repeats += any(rule_of(reason.code) == 10 for reason in one.reasons)
        if one.outcome == "dropped":
            return
        self._kept += 1
        if not one.row.is_labelled:
            answer = one.row.response
            self._answers.append(hash(answer))
            if self._lead == 0:
                self._leader = answer
            self._lead += 1 if answer == self._leader else -1

    def findings(self) -> Iterator[Finding]:
        """Yield findings if most rows are duplicates, or most answers are the same."""
        if self._repeats > self._rows * HALF:
            yield Finding(
                "data.mostly_duplicates",
                None,
                f"{self._repeats:,} of {self._rows:,} rows are exact duplicates of another",
            )
        count = self._answers.count(hash(self._leader))
        if self._kept >= ROWS_FOR_VARIETY and count > self._kept * HALF:
            shown = f"{count:,} of {self._kept:,} rows have the same answer: {self._leader[:40]!r}"
            yield Finding("data.mostly_one_answer", None, shown)


def _find_in_texts(row: Conversation, controls: Collection[str]) -> Iterator[Finding]:
    text = "\n".join(texts_of(row))
    if "<" in text or "[" in text:
        spelled = [control for control in controls if control in text]
        if spelled:
            shown = ", ".join(sorted(spelled))
            yield Finding(
                "data.control_token_text", row.row, f"contains {shown}, which is kept as ordinary text"
            )
    if "### " in text:
        headings = [heading for heading in HEADINGS if heading in text]
        if headings:
            yield Finding(
                "data.template_heading",
                row.row,
                f"contains {', '.join(headings)}, like the alpaca prompt template",
            )
    yield from _find_unseen(row.row, text)
    for message, hint, pattern in SECRETS:
        if hint in text and pattern.search(text):
            yield Finding("data.secret", row.row, message)  # never show the secret itself
    answers = [turn.text for turn in row.messages if turn.role == "assistant"]
    if any(map(_seems_cut, [*answers, row.rejected or ""])):
        yield Finding(
            "data.truncated_answer", row.row, "an answer ends in the middle of a sentence or code block"
        )


def _find_unseen(row: int, text: str) -> Iterator[Finding]:
    unseen = UNSEEN.findall(text)
    if unseen:
        shown = ", ".join(f"U+{ord(character):04X}" for character in sorted(set(unseen)))
        yield Finding("data.invisible_characters", row, f"contains {shown} ({len(unseen)} characters)")
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        yield Finding(
            "data.not_nfc",
            row,
            "has letters composed of several characters (not NFC), which look the same but have different"
            " tokens",
        )


def _seems_cut(answer: str) -> bool:
    """Return whether an answer ends in the middle of a sentence or in an open code block."""
    answer = answer.rstrip()
    if answer.count("```") % 2:
        return True
    last_line = answer[answer.rfind("\n") + 1 :]
    if len(last_line) < LONG_LAST_LINE or not (answer[-1].isalnum() or answer[-1] in ",;-("):
        return False
    return bool(SENTENCE_END.search(last_line))
