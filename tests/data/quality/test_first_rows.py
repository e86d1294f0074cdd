import random
import tracemalloc

import pytest

from tutelage.data.quality import first_rows
from tutelage.data.quality.first_rows import FirstRows


def answers(fingerprints):
    rows = FirstRows()
    return [rows.setdefault(one, row) for row, one in enumerate(fingerprints)]


def by_a_dict(fingerprints):
    rows = {}
    return [rows.setdefault(one, row) for row, one in enumerate(fingerprints)]


@pytest.mark.parametrize("buckets", [1, 3, first_rows.BUCKETS])
def test_each_fingerprint_has_the_row_that_came_with_it_first(monkeypatch, buckets):
    monkeypatch.setattr(first_rows, "BUCKETS", buckets)
    chance = random.Random(1)
    seen = [chance.randbytes(16) for _ in range(300)] + [bytes(16), b"\xff" * 16, bytes(8) + b"\x01" * 8]
    drawn = chance.choices(seen, k=1_000)
    assert answers(drawn) == by_a_dict(drawn)


def test_bytes_that_lie_across_two_entries_are_no_fingerprint(monkeypatch):
    monkeypatch.setattr(first_rows, "BUCKETS", 1)
    # The end of the first entry, its row of eight bytes, and the begin of the second one.
    one, other = bytes(range(1, 17)), bytes(range(33, 49))
    across = one[12:] + (0).to_bytes(8) + other[:4]
    made = [one, other, across, across, other]
    assert answers(made) == by_a_dict(made) == [0, 1, 2, 2, 1]


def test_they_take_less_than_half_the_memory_of_a_dict():
    def taken(rows):
        chance = random.Random(2)
        tracemalloc.start()
        for row in range(100_000):
            rows.setdefault(chance.randbytes(16), row)
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return size

    assert taken(FirstRows()) < 0.5 * taken({})
