from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.tree.batches import BatchPlan, epoch_order, examples_within, micro_batches, runs_within
from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import count_distinct


def rows_of_steps(plan, examples_of_step=BatchPlan.examples_of_step):
    return [examples_of_step(plan, step) for step in range(plan.steps)]


def fault_of(plan, examples_of_step=BatchPlan.examples_of_step):
    """Say what is wrong with a plan's steps, or None."""
    epochs, whole, rest = plan.epochs, *divmod(plan.examples, plan.examples_per_step)
    steps = epochs * (whole + (rest > 0))
    if plan.steps != steps:
        return f"{plan.steps} steps, not {steps}"
    rows = rows_of_steps(plan, examples_of_step)
    sizes = ([plan.examples_per_step] * whole + [rest] * (rest > 0)) * epochs
    if [len(batch) for batch in rows] != sizes:
        return f"batches of {[len(batch) for batch in rows]}"
    for epoch in range(epochs):
        of_epoch = rows[epoch * steps // epochs : (epoch + 1) * steps // epochs]
        if Counter(row for batch in of_epoch for row in batch) != Counter(range(plan.examples)):
            return f"epoch {epoch} does not have each row once"
    return None


def test_each_row_is_seen_once_an_epoch_in_the_number_of_steps_of_the_closed_form():
    for examples in range(1, 41):
        for examples_per_step in range(1, 9):
            for epochs in range(1, 4):
                plan = BatchPlan(examples, examples_per_step, epochs, seed=123)
                assert fault_of(plan) is None, plan


def test_the_check_catches_a_plan_that_drops_the_last_rows_or_repeats_some():
    plan = BatchPlan(10, 4, 2, seed=123)

    def drops_last(plan, step):
        rows = plan.examples_of_step(step)
        return rows if len(rows) == 4 else []

    def fills_up(plan, step):
        rows = plan.examples_of_step(step)
        return rows + [0] * (4 - len(rows))

    def one_row_twice(plan, step):
        return [row - row % 2 for row in plan.examples_of_step(step)]

    assert all(fault_of(plan, broken) for broken in (drops_last, fills_up, one_row_twice))


@pytest.mark.parametrize(("max_steps", "steps"), [(1, 1), (5, 5), (6, 6), (None, 6)])
def test_max_steps_cuts_the_plan_and_changes_no_step_before_it(max_steps, steps):
    whole, cut = BatchPlan(10, 4, 2, seed=1), BatchPlan(10, 4, 2, seed=1, max_steps=max_steps)
    assert (whole.steps, cut.steps) == (6, steps)
    assert rows_of_steps(cut) == rows_of_steps(whole)[:steps]


def test_max_steps_goes_on_past_the_epochs_as_more_epochs_would():
    longer = BatchPlan(10, 4, 2, seed=1, max_steps=8)
    assert rows_of_steps(longer) == rows_of_steps(BatchPlan(10, 4, 3, seed=1))[:8]


def test_a_step_can_be_asked_for_alone_and_in_any_order():
    plan = BatchPlan(23, 4, 3, seed=9)
    straight = rows_of_steps(plan)
    for step in reversed(range(plan.steps)):
        assert BatchPlan(23, 4, 3, seed=9).examples_of_step(step) == straight[step]


def test_the_order_is_a_function_of_seed_and_epoch_alone():
    orders = {
        (seed, epoch): tuple(epoch_order(40, seed=seed, epoch=epoch))
        for seed in (0, 1, 123, 2**32 - 1)
        for epoch in range(3)
    }
    assert len(set(orders.values())) == len(orders)
    np.random.seed(0)
    assert orders == {
        (seed, epoch): tuple(epoch_order(40, seed=seed, epoch=epoch)) for seed, epoch in reversed(orders)
    }


def test_the_order_is_the_same_on_every_machine():
    # Philox and numpy's permutation are specified; a change here would change every run that is repeated.
    assert epoch_order(8, seed=123, epoch=0).tolist() == [1, 5, 4, 0, 6, 7, 2, 3]


token_lists = st.lists(st.integers(0, 3), min_size=2, max_size=12)


@given(
    st.lists(token_lists, min_size=1, max_size=20),
    st.integers(min_value=1, max_value=8),
    st.integers(min_value=1, max_value=30),
)
def test_micro_batches_hold_each_example_once_within_both_bounds(tokens, size, distinct_tokens):
    examples = [Example(row, tuple(ids), len(ids) - 1, 1) for row, ids in enumerate(tokens)]
    cut = micro_batches(examples, size=size, distinct_tokens=distinct_tokens)
    assert sorted(example.row for batch in cut for example in batch) == list(range(len(examples)))
    in_order = [example.ids[:-1] for batch in cut for example in batch]
    assert in_order == sorted(in_order)  # neighbours share the most
    for batch in cut:
        assert 1 <= len(batch) <= size
        assert len(batch) == 1 or count_distinct(batch) <= distinct_tokens
        assert sum(example.supervised for example in batch) > 0


@given(st.lists(token_lists, min_size=1, max_size=20), st.integers(min_value=1, max_value=30))
def test_runs_are_as_few_as_their_order_allows(tokens, distinct_tokens):
    paths = [tuple(ids) for ids in tokens]
    runs = list(runs_within(paths, distinct_tokens=distinct_tokens))
    order = [index for run in runs for index in run]
    assert sorted(order) == list(range(len(paths)))
    assert [paths[index] for index in order] == sorted(paths)
    for run, following in pairwise(runs):
        # The next path did not fit: with it the run would hold too many distinct tokens.
        assert distinct([paths[index] for index in [*run, following[0]]]) > distinct_tokens


@given(st.lists(token_lists, min_size=1, max_size=20), st.integers(min_value=1, max_value=30))
def test_runs_that_will_be_padded_are_bounded_by_their_rows_times_the_longest(tokens, budget):
    paths = [tuple(ids) for ids in tokens]
    runs = list(runs_within(paths, distinct_tokens=budget, padded=True))
    assert sorted(index for run in runs for index in run) == list(range(len(paths)))
    for run in runs:
        assert len(run) == 1 or padded_tokens(paths, run) <= budget
    for run, following in pairwise(runs):
        assert padded_tokens(paths, [*run, following[0]]) > budget


def padded_tokens(paths, run):
    return len(run) * max(len(paths[index]) for index in run)


def distinct(paths):
    return len({path[:end] for path in paths for end in range(1, len(path) + 1)})


def test_no_examples_make_no_runs():
    assert list(examples_within([], distinct_tokens=5)) == []


@pytest.mark.parametrize("supervised", [0, 3, 4])
def test_an_example_cannot_be_made_without_a_supervised_token_and_one_before_it(supervised):
    with pytest.raises(AssertionError):
        Example(0, (1, 2, 3), 1, supervised)
