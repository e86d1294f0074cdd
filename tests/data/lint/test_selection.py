import re
from itertools import pairwise

import pytest
from support.rows import alpaca_values, make_records

from tutelage.data.formats.formats import read_conversations
from tutelage.data.lint.description import at_quantiles, describe
from tutelage.data.lint.selection import Criteria, clusters, leave_out, sample_rows
from tutelage.data.quality.checks import check_rows


def row(instruction, output="Fine."):
    return {"instruction": instruction, "output": output}


VALUES = [
    row("Name a fruit that is red and round.", "An apple."),
    row("说出一种红色的圆形水果。", "苹果。"),
    row("Name a fruit that is red and round.", "A cherry."),
    row("Name a fruit that is red and round!", "A plum."),
    row("Write to ann@example.org about it.", "Dear Ann,"),
    row("", "Nothing was asked."),
    row("Name a fruit that is red and round.", "An apple."),
    row("Spell <|im_end|> for me.", "It is a sign."),
]


def left_out(values=VALUES, tokens=None, **criteria):
    records = make_records(values)
    rows = read_conversations(records, source="rows.json").rows
    found = leave_out(records, rows, check_rows(rows), Criteria(**criteria), tokens=tokens or {})
    return {row: (reason.code, reason.text) for row, reason in found.items()}


def test_a_rule_leaves_out_what_the_check_tells_of_and_says_so():
    assert left_out(without_rules=(10,)) == {6: ("filter.rule", "rule 10, exact duplicates")}
    assert left_out(without_rules=(9, 28)) == {
        4: ("filter.rule", "rule 28, possible secrets"),
        5: ("filter.rule", "rule 9, empty texts"),
    }
    assert set(left_out(without_rules=(11,))) == {2}
    assert set(left_out(only_rules=(20, 28))) == set(range(8)) - {4, 7}


def test_languages_are_kept_or_left_out():
    assert left_out(without_languages=("zh",)) == {1: ("filter.language", "language zh")}
    assert set(left_out(languages=("zh",))) == set(range(8)) - {1}


def test_expressions_are_looked_for_in_what_is_asked_and_what_is_answered():
    assert set(left_out(matching=[re.compile("fruit"), re.compile("apple")])) == {1, 2, 3, 4, 5, 7}
    assert left_out(not_matching=[re.compile(r"\bDear\b|苹果")]) == dict.fromkeys(
        (1, 4), ("filter.match", r"matches \bDear\b|苹果")
    )


def test_lengths_are_bounds_that_are_themselves_allowed():
    answers = [len(value["output"]) for value in VALUES]  # 9, 3, 9, 7, 9, 18, 9, 13
    found = left_out(min_answer_characters=7, max_answer_characters=13)
    assert set(found) == {place for place, length in enumerate(answers) if not 7 <= length <= 13} == {1, 5}
    assert found[1][0] == "filter.too_short"
    tokens = dict(enumerate([3, 4, 5, 6, 7, 8, 9, 10]))
    assert set(left_out(tokens=tokens, min_tokens=4, max_tokens=9)) == {0, 7}


def test_a_cluster_keeps_as_many_of_its_rows_as_it_may():
    reason = ("filter.cluster_full", "more than 2 in one cluster of near-duplicates")
    assert left_out(per_cluster=2) == {3: reason, 6: reason}
    # Rows that another criterion leaves out take no place in their cluster.
    assert set(left_out(per_cluster=2, not_matching=[re.compile("cherry")])) == {2, 6}


def test_clusters_join_what_is_alike_through_others():
    # Each is like the next, and the first is not like the last: 28 of 33 pieces are shared at each step.
    steps = ["abcdefghijklmnopqrstuvwxyz0123456789"[start : start + 32] for start in range(0, 5, 2)]
    records = make_records([row(text) for text in ("An other thing altogether.", *steps)])
    rows = read_conversations(records, source="rows.json").rows
    assert clusters(rows) == [[1, 2, 3]]
    assert clusters([rows[1], rows[3]]) == []


def test_a_larger_sample_holds_the_smaller_one_and_another_seed_draws_others():
    rows = range(200)
    samples = [sample_rows(rows, count, seed=5) for count in (1, 20, 100, 200)]
    assert [len(sample) for sample in samples] == [1, 20, 100, 200]
    assert all(small < large for small, large in pairwise(samples))
    assert sample_rows(rows, 20, seed=6) != samples[1]
    # Of 200 rows half are expected on each side of the middle; five standard deviations of that are 18.
    assert abs(len([drawn for drawn in samples[2] if drawn < 100]) - 50) < 18


def test_a_description_counts_every_row():
    records = make_records([*VALUES, {"messages": []}])
    read = read_conversations(records, source="rows.json")
    found = describe(records, read.rows, read.formats, tokens=[5, 1, 9])
    assert found.rows == 9
    assert found.formats == {"alpaca": 8, "messages": 1}
    assert found.fields == {"instruction": 8, "output": 8, "messages": 1}
    assert found.messages == {0: 1, 2: 8}
    assert found.lengths["answer, characters"] == {
        "shortest": 3,
        "half up to": 9,
        "nine of ten up to": 18,
        "longest": 18,
    }
    assert found.lengths["whole, tokens"]["half up to"] == 5
    assert (found.repeated_prompts, found.distinct_answers) == (2, 7)
    assert found.clusters == [[0, 2, 3, 6]]
    assert found.to_record()["clusters"] == found.clusters


@pytest.mark.parametrize("lengths", [[4], [4, 4, 7], list(range(100))])
def test_so_many_rows_are_no_longer_than_is_said(lengths):
    for name, share in {"shortest": 0.0, "half up to": 0.5, "nine of ten up to": 0.9, "longest": 1.0}.items():
        length = at_quantiles(lengths)[name]
        assert sum(one <= length for one in lengths) >= share * len(lengths)
        assert sum(one < length for one in lengths) <= share * len(lengths)
        assert length in lengths


def test_rows_without_turns_are_neither_alike_nor_a_fault():
    assert left_out([*alpaca_values(2), {"messages": []}, {"messages": []}], per_cluster=1) == {}
