from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tiny_models import ragged_examples

from tutelage.tree import drawing
from tutelage.tree.drawing import Branch, branches_of, names_of
from tutelage.tree.examples import Example, Pair, examples_of
from tutelage.tree.prefix_tree import merge


def spelled(branches, before=()):
    """Follow every branch from the root, and return what each row reads on its way and which of it is supervised."""
    for branch in branches:
        path = (*before, *zip(branch.ids, branch.supervised, strict=True))
        for name in branch.ends:
            yield int(name.removeprefix("row ")), path
        yield from spelled(branch.branches, path)


def faults(branches, examples):
    found = []
    read = dict(spelled(branches))
    if {row: tuple(fingerprint for fingerprint, _ in path) for row, path in read.items()} != {
        example.row: example.ids[:-1] for example in examples
    }:
        found.append("a row is spelled otherwise")
    if sum(branch.tokens for branch in branches) != len(merge(examples).token_ids):
        found.append("something stands twice, or nowhere")
    if any(len(branch.branches) == 1 and not branch.ends for branch in every(branches)):
        found.append("a run is cut where nothing branches off")
    for example in examples:
        wanted = {
            place
            for begin, end in example.spans
            for place in range(begin, end)
            if place < len(example.ids) - 1
        }
        if not wanted <= {
            place for place, (_, is_supervised) in enumerate(read.get(example.row, ())) if is_supervised
        }:
            found.append("a supervised token is not marked")
    return found


def every(branches):
    for branch in branches:
        yield branch
        yield from every(branch.branches)


@given(st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=7), min_size=1, max_size=8))
def test_each_distinct_prefix_is_drawn_once_and_every_row_can_be_followed(ids):
    examples = [Example(row, tuple(one), len(one) - 1, 1) for row, one in enumerate(ids)]
    assert faults(branches_of(examples, names_of(examples)), examples) == []


@pytest.mark.parametrize(
    "broken",
    [
        lambda branches: [*branches, branches[0]],
        lambda branches: branches[1:],
        lambda branches: [replace(branches[0], ids=branches[0].ids[::-1]), *branches[1:]],
        lambda branches: [replace(one, supervised=(False,) * len(one.ids), branches=()) for one in branches],
        lambda branches: [cut_in_two(branches[0]), *branches[1:]],
    ],
    ids=["drawn twice", "left out", "turned round", "cut off", "cut in two"],
)  # fmt: skip
def test_a_wrong_drawing_is_caught(broken):
    examples = ragged_examples(12)
    branches = branches_of(examples, names_of(examples))
    assert faults(branches, examples) == []
    assert faults(broken(branches), examples)


def test_of_pairs_both_answers_are_drawn_and_told_apart():
    pairs = [Pair(Example(3, (1, 2, 5, 6), 2, 2), Example(3, (1, 2, 7, 6), 2, 2))]
    (branch,) = branches_of(examples_of(pairs), names_of(examples_of(pairs), ("chosen", "rejected")))
    assert branch.ids == (1, 2)
    assert {inner.ids: inner.ends for inner in branch.branches} == {
        (5,): ("row 3 chosen",),
        (7,): ("row 3 rejected",),
    }


def cut_in_two(branch):
    rest = replace(branch, ids=branch.ids[1:], supervised=branch.supervised[1:])
    return Branch(branch.ids[:1], branch.supervised[:1], (), (rest,))


def test_a_run_is_cut_in_parts_where_supervision_changes():
    examples = [Example(0, (7, 8, 1, 2, 9, 3, 4), 5, 4, earlier_spans=((2, 4),))]
    (branch,) = branches_of(examples, names_of(examples))
    assert branch.parts(lambda ids: " ".join(map(str, ids))) == [
        ("7 8", False),
        ("1 2", True),
        ("9", False),
        ("3", True),
    ]
    assert drawing.branches_of([Example(5, (1, 2), 1, 1)], ["it"])[0].ends == ("it",)
