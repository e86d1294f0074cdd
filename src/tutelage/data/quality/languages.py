"""Guess the language of a text by its script, and by common words for Latin script."""

import re

LETTERS_LOOKED_AT = 2_000

# Kana and Hangul come before Han, because Japanese and Korean texts also contain Chinese characters.
SCRIPTS = {
    "ja": re.compile("[\u3040-\u30ff]"),
    "ko": re.compile("[\uac00-\ud7a3\u1100-\u11ff]"),
    "zh": re.compile("[\u3400-\u9fff\U00020000-\U0003ffff]"),
    "ar": re.compile("[\u0600-\u06ff\u0750-\u077f]"),
    "he": re.compile("[\u0590-\u05ff]"),
    "ru": re.compile("[\u0400-\u04ff]"),
    "el": re.compile("[\u0370-\u03ff]"),
    "hi": re.compile("[\u0900-\u097f]"),
    "th": re.compile("[\u0e00-\u0e7f]"),
}
WORDS = {
    "en": "the of and to in is that it for was with as on be are this by an or from at what",
    "de": "der die und das den von zu mit sich des auf für ist im dem nicht ein eine als auch es",
    "fr": "le la les de des et est un une dans que qui pour pas sur au ce il sont avec du",
    "es": "el la los las de en que un una por con para es del al lo su",
    "pt": "de em que um uma para com não por na mais ao",
    "it": "il lo la gli le di che un una per con non del della sono si nel da",
    "nl": "de het een en van dat op te met voor zijn niet aan er om ook als bij",
}
KNOWN = {language: frozenset(words.split()) for language, words in WORDS.items()}
LATIN_WORD = re.compile("[a-zß-ÿ]+")
LATIN = "latin"
NO_LETTERS = "none"


def language_of(text: str) -> str:
    """Return a two-letter code; `latin` for an unknown language in Latin script, or `none` for a text without
    letters.

    Scripts shared by several languages are named after the most common one: Cyrillic is `ru`, Arabic is `ar`.
    """
    text = text[:LETTERS_LOOKED_AT].casefold()
    words = LATIN_WORD.findall(text)
    if not text.isascii():
        counts = {language: len(pattern.findall(text)) for language, pattern in SCRIPTS.items()}
        script = max(counts, key=lambda language: counts[language])
        # A Chinese character counts about as much as a word; a quoted name does not change the language of a
        # text.
        if counts["ja"] and counts["ja"] * 10 >= counts["zh"] + counts["ja"]:
            script = "ja"
        if counts[script] > len(words):
            return script
    if not words:
        return NO_LETTERS
    hits = {language: sum(word in known for word in words) for language, known in KNOWN.items()}
    best = max(hits, key=lambda language: hits[language])
    return best if hits[best] else LATIN
