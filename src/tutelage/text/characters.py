"""Which characters show nothing of their own, or change how others are shown: no text may hide or act with them."""

import unicodedata

# Controls, format characters (bidi overrides, zero-width, tags), surrogates, private, unassigned, separators.
UNSEEN_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Letters and marks that show nothing: fillers, joiners and variation selectors beyond those of emoji.
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
    """Tell whether a character leaves no mark of its own; line breaks and tabs are plain layout."""
    if character in "\n\t":
        return False
    return unicodedata.category(character) in UNSEEN_CATEGORIES or ord(character) in UNSEEN_CHARACTERS
