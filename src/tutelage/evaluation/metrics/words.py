"""Words in every script: letters with their marks, and single characters where a script has no blanks between words."""

import re
import unicodedata
from collections.abc import Iterator

from tutelage.evaluation.metrics.number_text import CURRENCY, plain_character
from tutelage.evaluation.metrics.numbers import AMOUNT

# Thai, Lao, Myanmar, Khmer, Tai and Javanese; kana with their half-width forms, Bopomofo, Yi, and the Chinese
# characters with their radicals and extensions.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u2e80-\u2fdf\u3005-\u3007\u3040-\u312f\u31a0-\u31bf"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua980-\ua9ff\uaa60-\uaadf\uf900-\ufaff\uff66-\uff9f"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7ff]")

# The part of a number that stands before a place, and the one that follows; a point at the end is that of a sentence.
DIGITS_BEFORE = re.compile(r"(?:(?<![\w.,])[.,]|\d(?:[\d.,'_]*))$")
DIGITS_AFTER = re.compile(r"[\d.,'_]*\d")
LONGEST_NUMBER = 64
BEFORE_NUMBERS = 12  # characters that a sign and a currency take at most
FIRST_NUMBER = re.compile(rf"(?P<sign>[-+] ?)?(?P<currency>{CURRENCY} ?)?[-+]?[.,]?\d", re.IGNORECASE)
SIGN_BEFORE = re.compile(rf"(?<![\w)\]%])-(?:{CURRENCY} ?)?$", re.IGNORECASE)
OPERAND_BEFORE = re.compile(r"[\w)\]%]$")


def words(text: str) -> list[str]:
    """Split casefolded text into words, and into single characters where a script writes no blanks."""
    found: list[str] = []
    before = "separator"
    for kind, character in _characters(text):
        if kind == "unspaced" or (kind == "spaced" and before != "spaced"):
            found.append(character)
        elif kind in ("spaced", "mark"):
            found[-1] += character
        before = before if kind == "mark" else kind
    return found


def _characters(text: str) -> Iterator[tuple[str, str]]:
    """Give each character with its kind; a mark by itself, as the one that colours an emoji, is a separator."""
    before = "separator"
    for character in unicodedata.normalize("NFC", text).casefold():
        kind = kind_of(character)
        if kind == "mark" and before != "unspaced":
            kind = before  # a vowel sign of Hindi belongs to its word
        yield kind, character
        before = before if kind == "mark" else kind


def kind_of(character: str) -> str:
    """Return `unspaced`, `spaced` or `mark` of what words are made of, else `separator`."""
    if UNSPACED.match(character):
        return "unspaced"
    category = unicodedata.category(character)[0]
    return {"L": "spaced", "N": "spaced", "M": "mark"}.get(category, "separator")


def same_text(text: str) -> str:
    """Return a text in one form: canonically equivalent characters composed, runs of white space as one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def contains_whole(text: str, wanted: str) -> bool:
    """Tell whether a text holds another, whatever its case, and not as a part of a longer word or number.

    A side of `wanted` that is no word, or is of a script without blanks, may touch anything; after Korean letters a
    particle may follow. Signs, points and commas belong to numbers as they do in numbers.py.
    """
    held, sought = (same_text(same_text(one).casefold()) for one in (text, wanted))
    plain = "".join(plain_character(character, ".") for character in held)
    place = held.find(sought)
    while place != -1:
        end = place + len(sought)
        is_whole_word = not sought or (_is_free_before(held, place) and _is_free_after(held, end))
        if is_whole_word and not _cuts_a_number(plain, place, end):
            return True
        place = held.find(sought, place + 1)
    return False


def _is_free_before(text: str, place: int) -> bool:
    return kind_of(text[place]) != "spaced" or _kind_at_end(text, place) != "spaced"


def _is_free_after(text: str, end: int) -> bool:
    last, after = _kind_at_end(text, end), text[end : end + 1]
    if not after:
        return True
    if _is_mark(after):
        return last == "separator"  # else the character goes on
    if last != "spaced" or kind_of(after) != "spaced":
        return True
    return bool(HANGUL.match(text[end - 1]) and HANGUL.match(after))


def _kind_at_end(text: str, end: int) -> str:
    """Return the kind of the last character before a place, that of its base where it is a mark."""
    while end > 0 and _is_mark(text[end - 1]):
        end -= 1
    return kind_of(text[end - 1]) if end > 0 else "separator"


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


def _cuts_a_number(plain: str, begin: int, end: int) -> bool:
    """Tell whether the text between two places leaves a sign or digits of its first or last number outside."""
    first = FIRST_NUMBER.match(plain, begin, end)
    if first:
        before = plain[max(0, begin - BEFORE_NUMBERS) : begin]
        if first["sign"] and OPERAND_BEFORE.search(before):
            return True  # the - of 3-5 is no sign
        if not first["sign"] and SIGN_BEFORE.search(before):
            return True
        if not (first["sign"] or first["currency"]) and _joins(plain, begin):
            return True
    return plain[end - 1 : end].isdecimal() and _joins(plain, end)


def _joins(plain: str, place: int) -> bool:
    """Tell whether digits on both sides of a place are of one number: in "2,3,5" they are not, in "1,234" they are."""
    before, after = plain[max(0, place - LONGEST_NUMBER) : place], plain[place : place + LONGEST_NUMBER]
    found = DIGITS_BEFORE.search(before), DIGITS_AFTER.match(after)
    left, right = (one[0] if one else "" for one in found)
    if not (left and right):
        return False
    return "." in (left[-1], right[0]) or any(one.fullmatch(left + right) for one in AMOUNT.values())
