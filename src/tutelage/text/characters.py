"""Detect characters that are invisible or change how others are displayed."""

import unicodedata

# Controls, format characters (bidi overrides, zero-width, tags), surrogates, private use, unassigned,
# separators.
UNSEEN_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Invisible letters and marks: fillers, joiners, and variation selectors other than those for emoji.
UNSEEN_CHARACTERS = {
    0x034F,
    0x115F,
    0x1160,
    0x17B4,
    0x17B5,
    0x2800,
    0x3164,
    0xFFA0,
    *range(0xE0100, 0xE01F0),
}


def is_unseen(character: str) -> bool:
    """Return whether a character is invisible; line breaks and tabs count as layout."""
    if character in "\n\t":
        return False
    return unicodedata.category(character) in UNSEEN_CATEGORIES or ord(character) in UNSEEN_CHARACTERS
