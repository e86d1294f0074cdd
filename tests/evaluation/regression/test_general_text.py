import re
from collections import Counter

from tutelage.evaluation.regression.general_text_check import PASSAGE_BYTES, cut, general_texts

TEXTS = general_texts()


def test_there_are_at_least_sixty_thousand_bytes_of_several_kinds():
    assert set(TEXTS) == {
        "chinese",
        "code",
        "dialogue",
        "explanation",
        "letters",
        "lists",
        "mathematics",
        "prose",
    }
    assert sum(len(text.encode()) for text in TEXTS.values()) >= 60_000
    assert min(len(text.encode()) for text in TEXTS.values()) >= 4_000


def test_there_are_more_than_a_hundred_passages_and_none_is_lost():
    passages = [passage for text in TEXTS.values() for passage in cut(text)]
    assert len(passages) > 100
    assert min(len(passage.encode()) for passage in passages) >= PASSAGE_BYTES
    for text in TEXTS.values():
        assert "\n\n".join(cut(text)) == text.strip()


def test_a_short_text_is_one_passage():
    assert cut("short") == ["short"]
    assert cut("a" * 500 + "\n\nshort") == ["a" * 500 + "\n\nshort"]


def test_the_text_does_not_repeat_itself():
    """Language that was stamped out of templates would come again and again in runs of eight words."""
    for kind in ("dialogue", "explanation", "letters", "mathematics", "prose"):
        words = re.findall(r"\w+", TEXTS[kind].casefold())
        runs = Counter(tuple(words[begin : begin + 8]) for begin in range(len(words) - 8))
        assert runs.most_common(1)[0][1] <= 2
