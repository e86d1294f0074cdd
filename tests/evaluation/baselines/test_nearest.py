"""The most similar texts, against cosines that are computed by hand."""

import math
import re
from collections import Counter
from itertools import pairwise

import numpy as np

from tutelage.evaluation.baselines.nearest import ASKED_AT_ONCE, NearestTexts
from tutelage.evaluation.baselines.tf_idf import PIECES

TEXTS = ["red fig", "red plum pie", "green fig pie", "blue kiwi", "红色 苹果"]
ASKED = ["a red fig pie", "kiwi", "苹果", "nothing known"]


def by_hand(texts, asked):
    """Smoothed idf, raw counts, unit length, as scikit-learn's documentation has TF-IDF."""

    def pieces(text):
        found = re.findall(PIECES, text.lower())
        return Counter([*found, *map(" ".join, pairwise(found))])

    documents = Counter(piece for text in texts for piece in pieces(text))
    idf = {piece: math.log((1 + len(texts)) / (1 + count)) + 1 for piece, count in documents.items()}

    def vector(text):
        weights = {piece: count * idf[piece] for piece, count in pieces(text).items() if piece in idf}
        length = math.hypot(*weights.values()) or 1.0
        return {piece: weight / length for piece, weight in weights.items()}

    cosines = [
        [sum(vector(one).get(piece, 0) * weight for piece, weight in vector(text).items()) for text in texts]
        for one in asked
    ]
    return [sorted(range(len(texts)), key=lambda place: (-round(row[place], 12), place)) for row in cosines]


def test_the_nearest_come_first_and_equal_ones_in_order():
    found = NearestTexts(TEXTS).nearest(ASKED, len(TEXTS))
    assert found.tolist() == by_hand(TEXTS, ASKED)
    assert found[3].tolist() == [0, 1, 2, 3, 4], "without a common word all are equally far"


def test_fewer_are_the_first_of_all_and_parts_change_nothing():
    asked = ASKED * ASKED_AT_ONCE
    whole = NearestTexts(TEXTS).nearest(asked, 5)
    np.testing.assert_array_equal(NearestTexts(TEXTS).nearest(asked, 2), whole[:, :2])
    np.testing.assert_array_equal(whole[:4], NearestTexts(TEXTS).nearest(ASKED, 9))


def test_texts_without_a_word_are_taken_in_order():
    assert NearestTexts(["", "  "]).nearest(["x", ""], 3).tolist() == [[0, 1], [0, 1]]
