"""Which answer is mismatched to which prompt."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.judged import TOKENS
from support.rows import write_split

from tutelage.data.dataset.prepared_rows import map_rows
from tutelage.objectives.kto.judged import (
    judged_rows,
    mismatch,
    mismatched_example,
    prompt_numbers,
)
from tutelage.run.folder import split_files
from tutelage.tree.batches import BatchPlan, micro_batches
from tutelage.tree.examples import Example, PreparedRow


@given(st.lists(st.integers(0, 6), max_size=30))
def test_every_answer_is_mismatched_once_and_to_another_prompt_where_one_can_be_found(prompts):
    numbers = prompt_numbers([(prompt,) for prompt in prompts])
    found = mismatch(numbers)
    assert sorted(found.tolist()) == list(range(len(prompts)))
    if len(prompts) > 1:
        assert all(other != row for row, other in enumerate(found.tolist()))
    most = max(Counter(prompts).values(), default=0)
    if 2 * most <= len(prompts):
        assert all(prompts[other] != prompts[row] for row, other in enumerate(found.tolist()))


def test_a_shift_by_one_would_leave_answers_beside_their_own_prompt():
    numbers = prompt_numbers([(place // 2,) for place in range(20)])
    order = np.arange(20)
    assert (numbers[np.roll(order, -1)] == numbers).any()
    assert (numbers[mismatch(numbers)] != numbers).all()


def test_a_mismatched_answer_is_cut_where_it_would_be_longer_than_the_longest_row():
    own, other = Example(3, (1, 2, 3, 4, 9), 4, 1, label=1), Example(5, (6, 7, 8, 9, 9), 1, 4, label=0)
    assert mismatched_example(own, other, most_tokens=20) == Example(3, (1, 2, 3, 4, 7, 8, 9, 9), 4, 4)
    assert mismatched_example(own, other, most_tokens=5) == Example(3, (1, 2, 3, 4, 7), 4, 1)


@pytest.fixture
def rows(tmp_path):
    write_split(
        tmp_path,
        "train",
        [
            PreparedRow(
                "prompt", "answer", Example(row, prompt + answer, len(prompt), len(answer), label=int(good))
            )
            for row, (prompt, answer, good) in enumerate(TOKENS)
        ],
    )
    return map_rows(split_files(tmp_path, "train"))


def test_rows_give_each_answer_with_its_label_and_a_mismatched_answer(rows):
    found = judged_rows(rows)
    assert len(found) == len(TOKENS)
    for row, unit in enumerate(found):
        prompt, answer, is_desirable = TOKENS[row]
        assert (unit.row, unit.is_desirable, unit.example.ids) == (row, is_desirable, prompt + answer)
        other_prompt, other_answer, _ = TOKENS[found.mismatched[row]]
        assert other_prompt != prompt
        assert unit.mismatched.ids == (prompt + other_answer)[:9]  # the longest row has 9 tokens
        assert unit.mismatched.prompt_tokens == len(prompt)
        assert unit.examples == (unit.example,)


def test_the_mismatched_answers_of_a_step_follow_from_the_seed_and_the_step(rows):
    found = judged_rows(rows)
    plan = BatchPlan(len(found), 4, epochs=2, seed=7)
    for step in range(plan.steps):
        units = [found[index] for index in plan.examples_of_step(step)]
        expected = sorted(unit.mismatched.ids for unit in units)
        again = [judged_rows(rows)[index] for index in reversed(plan.examples_of_step(step))]
        for size in (1, 2, 4):
            cut = micro_batches(again, size=size, distinct_tokens=2048)
            assert len(cut) == 4 // size
            assert sorted(unit.mismatched.ids for batch in cut for unit in batch) == expected
    other = replace(plan, seed=8)
    assert [plan.examples_of_step(0), plan.examples_of_step(2)] != [
        other.examples_of_step(0),
        other.examples_of_step(2),
    ]


def test_a_row_is_the_same_by_itself_and_in_a_slice(rows):
    found = judged_rows(rows)
    assert [found[place] for place in (5, 2, 7)] == [found[2:8][3], found[2:8][0], found[7:][0]]
