"""Words in every script: letters with their marks, and single characters where a script has no blanks between words."""

import re
import unicodedata
from collections.abc import Iterator

# Thai, Lao, Myanmar, Khmer, Tai and Javanese; kana with their half-width forms, Bopomofo, Yi, and the Chinese
# characters with their radicals and extensions.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u2e80-\u2fdf\u3005-\u3007\u3040-\u312f\u31a0-\u31bf"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua980-\ua9ff\uaa60-\uaadf\uf900-\ufaff\uff66-\uff9f"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7ff]")


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
    particle may follow.
    """
    held, sought = (same_text(same_text(one).casefold()) for one in (text, wanted))
    place = held.find(sought)
    while place != -1:
        end = place + len(sought)
        if not sought or (_is_free_before(held, place) and _is_free_after(held, end)):
            return True
        place = held.find(sought, place + 1)
    return False


def _is_free_before(text: str, place: int) -> bool:
    before, first = text[:place], text[place]
    if kind_of(first) != "spaced":
        return True
    if before and kind_of(before[-1]) in ("spaced", "mark"):
        return False
    return not (first.isdecimal() and re.search(r"\d[.,]$|(?<!\w)[-−]$", before[-3:]))


def _is_free_after(text: str, end: int) -> bool:
    last, after = text[end - 1], text[end : end + 2]
    if not after:
        return True
    if kind_of(after[0]) == "mark":
        return kind_of(last) == "separator"  # else the character goes on
    if kind_of(last) != "spaced":
        return True
    if kind_of(after[0]) == "spaced":
        return bool(HANGUL.match(last) and HANGUL.match(after[0]))
    return not (last.isdecimal() and re.match(r"[.,]\d", after))
