"""How the checkers read a prompt: what it asks about, and the numbers in it."""

from __future__ import annotations

import re


def subject_of(instruction: str, given: str) -> str:
    """Give what the prompt asks about: the input, or else the quoted, announced or last words.

    Double quotes come first because a quoted sentence may hold a colon or an apostrophe.
    """
    if given:
        return given
    if instruction.count('"') >= 2:
        return instruction[instruction.index('"') + 1 : instruction.rindex('"')]
    if ":" in instruction:
        return instruction.split(":", 1)[1].strip()
    if instruction.count("'") >= 2:
        return instruction[instruction.index("'") + 1 : instruction.rindex("'")]
    return instruction.rsplit(maxsplit=1)[-1].strip("?.!,")


def one_changed_word(before: str, after: str) -> tuple[str, str] | None:
    """Give the only word that differs between two texts, as (old, new), or None if not exactly one does."""
    old_words, new_words = before.split(), after.split()
    if len(old_words) != len(new_words):
        return None
    changed = [(old, new) for old, new in zip(old_words, new_words, strict=True) if old != new]
    if len(changed) != 1:
        return None
    old, new = changed[0]
    bare_old, bare_new = old.rstrip(".,?!"), new.rstrip(".,?!")
    if old[len(bare_old) :] != new[len(bare_new) :]:
        return None
    return bare_old, bare_new


def numbers_in(text: str) -> list[int]:
    """Give the whole numbers of a text in order, whether they are written in figures or in words."""
    found: list[int] = []
    for token in re.findall(r"\d+|[a-z]+(?:-[a-z]+)?", text.lower()):
        if token.isdigit():
            found.append(int(token))
        elif (value := value_of_number_word(token)) is not None:
            found.append(value)
    return found


def value_of_number_word(word: str) -> int | None:
    """Read a number word below one hundred, such as "seven" or "forty-two"."""
    tens, _, unit = word.partition("-")
    if not unit:
        return UNITS.index(word) if word in UNITS else TENS.get(word)
    if tens in TENS and unit in UNITS[1:10]:
        return TENS[tens] + UNITS.index(unit)
    return None


UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip

TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50,
    "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
