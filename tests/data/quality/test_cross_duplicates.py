"""Near-duplicates between two sources: the pairs that a comparison of all with all finds."""

import random

import numpy as np
import pytest

from tutelage.data.quality import cross_duplicates
from tutelage.data.quality.cross_duplicates import find_alike
from tutelage.data.quality.near_duplicates import NOTHING, THRESHOLD


def similarity(one, other):
    """Compare two texts as the definition says."""
    first, second = ({text[begin : begin + 5] for begin in range(len(text) - 4)} for text in (one, other))
    return len(first & second) / len(first | second)


def texts(count, chance):
    return ["".join(chance.choices("abcdefgh ", k=60)) for _ in range(count)]


@pytest.fixture
def sources():
    """Return asked texts and known ones; of the asked every second one is a known one with some letters changed."""
    chance = random.Random(5)
    known = texts(400, chance)
    near = [f"{text[: 55 - place % 5]}{'yz' * 3}" for place, text in enumerate(known[:100])]
    return [text for pair in zip(near, texts(100, chance), strict=True) for text in pair], known


def found_in(asked, known):
    return find_alike(
        asked, known, lambda place, other: similarity(asked[place], known[other]) >= THRESHOLD
    ).tolist()


def test_the_pairs_are_those_of_a_comparison_of_all_with_all(sources):
    asked, known = sources
    expected = [
        next((place for place, other in enumerate(known) if similarity(one, other) >= THRESHOLD), NOTHING)
        for one in asked
    ]
    assert 30 < sum(place != NOTHING for place in expected) <= 100
    assert found_in(asked, known) == expected


def test_sketches_that_forget_a_text_are_caught(sources, monkeypatch):
    asked, known = sources
    right = found_in(asked, known)
    whole = cross_duplicates._sketch_all
    monkeypatch.setattr(cross_duplicates, "_sketch_all", lambda given: np.roll(whole(given), 1, axis=0))
    shifted = found_in(asked, known)
    monkeypatch.setattr(cross_duplicates, "_sketch_all", lambda given: whole(given)[::-1])
    assert right not in (shifted, found_in(asked, known))


def test_texts_are_sketched_alike_however_many_at_once(sources, monkeypatch):
    known = sources[1]
    together = cross_duplicates._sketch_all(known)
    for characters in (1, 61, 1_000):
        monkeypatch.setattr(cross_duplicates, "CHARACTERS_AT_ONCE", characters)
        assert (cross_duplicates._sketch_all(known) == together).all()


def test_nothing_is_like_nothing():
    assert find_alike([], ["a"], lambda place, other: True).tolist() == []
    assert find_alike(["a", "b"], [], lambda place, other: True).tolist() == [NOTHING, NOTHING]


def test_a_bucket_that_is_full_of_others_hides_no_likelier_text():
    known = [f"{'the same long opening of every text ' * 2}{number:06}" for number in range(3_000)]
    asked = [known[7], "something else altogether, which no other text says"]
    found = find_alike(asked, known, lambda place, other: asked[place] == known[other])
    assert found.tolist() == [7, NOTHING]
