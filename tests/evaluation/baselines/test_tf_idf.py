"""The base line by counts of words, on texts of which one piece alone tells the class."""

import re

import numpy as np
import pytest

from tutelage.evaluation.baselines.tf_idf import PIECES, classes_by_words

CLASSES = np.array([0, 1] * 10)


def told_apart(one, other):
    """Texts that end in a number of their own; the asked ones have numbers that no training text has."""
    texts = [f"{(one, other)[number % 2]}{number}" for number in range(20)]
    return classes_by_words(texts, CLASSES, [f"{one}77", f"{other}78", f"{one}79"]).tolist()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("win a prize ", "see you later "),
        ("it is £ ", "it is - "),
        ("今天赢大奖", "今天回家吃饭"),
        ("a b ", "b a "),
    ],
    ids=["words", "signs", "characters without spaces", "order"],
)
def test_the_class_is_that_of_the_piece_that_tells_it(one, other):
    assert told_apart(one, other) == [0, 1, 0]
    assert told_apart(other, one) == [0, 1, 0], "the classes are those given, in their order"


def test_texts_that_say_nothing_of_their_class_get_one_class():
    assert len(set(told_apart("the same ", "the same "))) == 1


def test_every_text_that_is_not_empty_has_a_piece():
    found = {text: re.findall(PIECES, text) for text in ("don't", "!", "\u200b", "三个 cats", "_")}
    assert found["don't"] == ["don", "'", "t"]
    assert found["三个 cats"] == ["三", "个", "cats"]
    assert all(found.values())
