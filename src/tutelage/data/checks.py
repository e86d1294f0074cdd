"""Which rows are kept, which are repaired and which are dropped, and why: nothing is lost in silence."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tutelage.data.formats import FIELDS, InstructionRow

Outcome = Literal["kept", "repaired", "dropped"]


@dataclass(frozen=True)
class CheckedRow:
    """What became of one source row; a dropped row keeps its reasons, a repaired one says what was done."""

    row: InstructionRow
    outcome: Outcome
    reasons: tuple[str, ...]


def check_rows(rows: Sequence[InstructionRow]) -> list[CheckedRow]:
    """Repair what can be repaired without loss, and drop empty rows and exact repeats of an earlier row."""
    checked: list[CheckedRow] = []
    first_seen: dict[tuple[str, str, str], int] = {}
    for row in rows:
        repaired, repairs = _repair(row)
        drops = _empty_fields(repaired)
        content = (repaired.instruction, repaired.input, repaired.output)
        if not drops and content in first_seen:
            drops = [f"the same as row {first_seen[content]}"]
        if not drops:
            first_seen[content] = row.row
        outcome: Outcome = "dropped" if drops else "repaired" if repairs else "kept"
        checked.append(CheckedRow(repaired, outcome, tuple(drops or repairs)))
    return checked


def normalised_prompt(row: InstructionRow) -> str:
    """Return the prompt as it is compared: case, white space and punctuation do not make two prompts different."""
    text = unicodedata.normalize("NFKC", f"{row.instruction}\n{row.input}").casefold()
    words = "".join(character if character.isalnum() else " " for character in text).split()
    return " ".join(words) or f"{row.instruction}\n{row.input}"


def count_repeated_prompts(rows: Sequence[InstructionRow]) -> int:
    """Return how many rows have an instruction and input that already stood in an earlier row."""
    counts = Counter((row.instruction, row.input) for row in rows)
    return sum(count - 1 for count in counts.values())


def _repair(row: InstructionRow) -> tuple[InstructionRow, list[str]]:
    repairs: list[str] = []
    texts: list[str] = []
    for field in FIELDS:
        text, done = _repair_text(getattr(row, field))
        texts.append(text)
        repairs += [f"{field}: {what}" for what in done]
    return InstructionRow(row.row, *texts), repairs


def _repair_text(text: str) -> tuple[str, list[str]]:
    repairs: list[str] = []
    if any("\ud800" <= character <= "\udfff" for character in text):
        text = "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)
        repairs.append("lone surrogates became U+FFFD")
    if "\x00" in text:
        text = text.replace("\x00", "")
        repairs.append("NUL characters were removed")
    if "\r\n" in text:
        text = text.replace("\r\n", "\n")
        repairs.append("CRLF became LF")
    return text, repairs


def _empty_fields(row: InstructionRow) -> list[str]:
    return [f"{field} is empty" for field in ("instruction", "output") if not getattr(row, field).strip()]
