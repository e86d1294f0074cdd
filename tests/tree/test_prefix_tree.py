"""The prefix tree and its cuts against what they stand for, on any set of examples."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tiny_models import ragged_examples

from tutelage.tree.batches import BatchPlan, epoch_order, examples_within, micro_batches, runs_within
from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import PrefixTree, common_prefix_length, count_distinct, merge, merge_prompts


@st.composite
def example_lists(draw) -> list[Example]:
    """Few different tokens, so that prefixes are shared, repeated and cut off all the time; some texts with labels."""
    made = []
    for row in range(draw(st.integers(1, 8))):
        if draw(st.booleans()):
            text = tuple(draw(st.lists(st.integers(0, 2), min_size=1, max_size=8)))
            made.append(Example(row, text, len(text), 1, label=draw(st.integers(0, 2))))
            continue
        ids = tuple(draw(st.lists(st.integers(0, 2), min_size=2, max_size=8)))
        supervised = draw(st.integers(1, len(ids) - 1))
        begin = len(ids) - supervised
        # Cut what is supervised at some of its places, and leave a token between two answers.
        cuts = sorted(draw(st.sets(st.integers(begin + 1, len(ids) - 2)))) if supervised > 2 else []
        bounds = [begin, *(place for cut in cuts for place in (cut, cut + 1)), len(ids)]
        spans = [span for span in zip(bounds[::2], bounds[1::2], strict=True) if span[0] < span[1]]
        counted = sum(end - begin for begin, end in spans)
        made.append(Example(row, ids, spans[-1][0], counted, tuple(spans[:-1])))
    return made


def faults(tree: PrefixTree, examples: list[Example]) -> list[str]:
    """Return what of a tree is not as it should be, read off the examples without any tree."""
    inputs = [example.ids if example.label is not None else example.ids[:-1] for example in examples]
    prefixes = {ids[:end] for ids in inputs for end in range(1, len(ids) + 1)}
    expected_targets = [
        ((*example.ids, example.label)[:place], (*example.ids, example.label)[place], index)
        for index, example in enumerate(examples)
        for begin, end in example.spans
        for place in range(begin, end)
    ]

    # Each node with each prefix that some path gives it: one and the same, in a right tree.
    placed = {
        (int(node), tuple(tree.token_ids[path[: place + 1]].tolist()))
        for path in tree.paths
        for place, node in enumerate(path)
    }
    prefix_of = dict(placed)

    def prefix_at(node: int) -> tuple[int, ...]:
        return prefix_of[int(node)]

    found = []
    if (
        not len(tree.token_ids) == len(placed) == len(prefix_of) == len(prefixes)
        or set(prefix_of.values()) != prefixes
    ):
        found.append("nodes are not the distinct prefixes")
    if any(tree.depths[node] != len(prefix) - 1 for node, prefix in placed):
        found.append("depths are not positions")
    if [tuple(tree.token_ids[path].tolist()) for path in tree.paths] != inputs:
        found.append("paths do not spell the examples")
    if any((np.diff(path) <= 0).any() for path in tree.paths):
        found.append("nodes are not in depth-first order")
    targets = zip(tree.target_parents, tree.target_ids.tolist(), tree.target_examples.tolist(), strict=True)
    if [(prefix_at(parent), token, owner) for parent, token, owner in targets] != expected_targets:
        found.append("targets do not follow their prefixes")
    return found


@given(example_lists())
def test_a_tree_is_the_distinct_prefixes_of_its_examples(examples):
    assert faults(merge(examples), examples) == []


@given(example_lists())
def test_nodes_are_counted_without_building_the_tree(examples):
    assert count_distinct(examples) == len(merge(examples).token_ids)


@given(example_lists())
def test_prompts_make_the_tree_of_whole_paths_without_targets(examples):
    tree = merge_prompts([example.ids for example in examples])
    longer = [Example(0, (*example.ids, 0), len(example.ids), 1) for example in examples]
    expected = merge(longer)
    assert np.array_equal(tree.token_ids, expected.token_ids)
    assert [path.tolist() for path in tree.paths] == [path.tolist() for path in expected.paths]
    assert len(tree.target_ids) == len(tree.target_parents) == len(tree.target_examples) == 0


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (lambda tree: replace(tree, depths=np.arange(len(tree.depths))), "depths"),
        (lambda tree: replace(tree, token_ids=np.append(tree.token_ids, 0)), "nodes"),
        (lambda tree: replace(tree, paths=[path[::-1] for path in tree.paths]), "order"),
        (lambda tree: replace(tree, target_ids=np.roll(tree.target_ids, 1)), "targets"),
        (lambda tree: replace(tree, target_parents=np.maximum(tree.target_parents - 1, 0)), "targets"),
        (lambda tree: replace(tree, target_examples=tree.target_examples[::-1]), "targets"),
        (lambda tree: replace(tree, paths=tree.paths[::-1]), "paths"),
    ],
)
def test_a_wrong_tree_is_caught(broken, fault):
    examples = ragged_examples(12)
    assert faults(merge(examples), examples) == []
    assert any(fault in found for found in faults(broken(merge(examples)), examples))


def test_a_conversation_of_two_answers_has_the_targets_of_both():
    tree = merge([Example(0, (7, 8, 1, 2, 9, 3, 4), 5, 4, earlier_spans=((2, 4),))])
    assert tree.target_ids.tolist() == [1, 2, 3, 4]
    assert tree.target_parents.tolist() == [1, 2, 4, 5]
    assert tree.target_examples.tolist() == [0, 0, 0, 0]


def test_the_one_target_of_a_text_is_its_label_at_the_node_of_its_last_token():
    examples = [
        Example(0, (7, 8, 9), 3, 1, label=4),
        Example(1, (7, 8), 2, 1, label=0),
        Example(2, (7, 8, 9), 2, 1),
    ]
    tree = merge(examples)
    assert tree.token_ids.tolist() == [7, 8, 9]
    assert tree.target_parents.tolist() == [2, 1, 1]
    assert tree.target_ids.tolist() == [4, 0, 9]
    assert [example.tokens for example in examples] == [4, 3, 3]
    hidden = replace(examples[0], ids=(7, 8, 9, 4), prompt_tokens=4)  # the label as a token that is read
    assert len(merge([hidden]).token_ids) == 4


@pytest.mark.parametrize(
    "wrong", [{"supervised": 2}, {"prompt_tokens": 2}, {"earlier_spans": ((1, 2),)}, {"ids": ()}]
)
def test_of_a_text_with_a_label_nothing_else_is_supervised(wrong):
    text = Example(0, (7, 8, 9), 3, 1, label=4)
    with pytest.raises(AssertionError):
        replace(text, **wrong)


def test_the_label_of_an_answer_is_no_target():
    plain = Example(0, (7, 8, 9, 5), 2, 2)
    for label in (0, 1):
        labelled = replace(plain, label=label)
        assert (labelled.tokens, labelled.read_ids, labelled.target_ids) == (4, (7, 8, 9), (9, 5))
        assert labelled.is_desirable == (label == 1)
    assert plain.is_desirable is None
    assert Example(0, (7, 8), 2, 1, label=1).is_desirable is None, "it is the class of a text"
    with pytest.raises(AssertionError):
        replace(plain, label=2)


def test_the_drawing_in_the_module_is_what_merge_makes():
    stem, cat, cats, dog, dogs, end = 1, 2, 3, 4, 5, 6
    tree = merge([Example(0, (stem, cat, cats, end), 2, 2), Example(1, (stem, dog, dogs, end), 2, 2)])
    assert tree.token_ids.tolist() == [stem, cat, cats, dog, dogs]
    assert tree.depths.tolist() == [0, 1, 2, 1, 2]
    assert tree.target_parents.tolist() == [1, 2, 3, 4]
    assert tree.target_ids.tolist() == [cats, end, dogs, end]
    assert tree.target_examples.tolist() == [0, 0, 1, 1]
    assert [path.tolist() for path in tree.paths] == [[0, 1, 2], [0, 3, 4]]


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [((), (1,), 0), ((1, 2), (1, 2), 2), ((1, 2), (1, 2, 3), 2), ((1, 2, 3), (1, 4, 3), 1), ((2,), (1,), 0)],
)
def test_a_common_prefix_ends_at_the_first_difference(first, second, shared):
    assert common_prefix_length(first, second) == common_prefix_length(second, first) == shared


@given(example_lists(), st.integers(1, 12))
def test_runs_hold_every_path_once_and_keep_to_the_budget(examples, budget):
    paths = [example.read_ids for example in examples]
    runs = list(runs_within(paths, distinct_tokens=budget))
    assert sorted(index for run in runs for index in run) == list(range(len(paths)))
    for run in runs:
        assert run
        assert len(run) == 1 or count_distinct([examples[index] for index in run]) <= budget
    # Greedy: the first path of each run did not fit into the one before.
    for run, following in pairwise(runs):
        assert count_distinct([examples[index] for index in [*run, following[0]]]) > budget


@given(example_lists(), st.integers(1, 9), st.integers(1, 12))
def test_micro_batches_hold_every_example_once_within_both_limits(examples, size, budget):
    cut = micro_batches(examples, size=size, distinct_tokens=budget)
    assert sorted(example.row for batch in cut for example in batch) == list(range(len(examples)))
    assert all(len(batch) <= size for batch in cut)
    assert all(len(batch) == 1 or count_distinct(batch) <= budget for batch in cut)


def test_without_need_nothing_is_cut():
    examples = ragged_examples(12)
    assert [len(run) for run in examples_within(examples, distinct_tokens=10_000)] == [12]


@pytest.mark.parametrize("per_step", [1, 3, 8])
def test_every_example_is_seen_once_an_epoch_whatever_their_number(per_step):
    for examples in range(1, 41):
        plan = BatchPlan(examples, per_step, epochs=2, seed=7)
        seen = [plan.examples_of_step(step) for step in range(plan.steps)]
        first, second = seen[: plan.steps_per_epoch], seen[plan.steps_per_epoch :]
        for epoch in (first, second):
            assert sorted(index for step in epoch for index in step) == list(range(examples))
            assert all(len(step) == per_step for step in epoch[:-1])
            assert 1 <= len(epoch[-1]) <= per_step
        assert plan.steps == 2 * -(-examples // per_step)


def test_the_order_depends_on_seed_and_epoch_alone():
    orders = {
        (seed, epoch): tuple(epoch_order(50, seed=seed, epoch=epoch)) for seed in (1, 2) for epoch in (0, 1)
    }
    assert len(set(orders.values())) == 4
    assert orders[1, 1] == tuple(epoch_order(50, seed=1, epoch=1))
