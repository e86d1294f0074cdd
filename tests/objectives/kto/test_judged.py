"""Which answer is mismatched to which prompt."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.judged import TOKENS
from support.rows import write_split
from tutelage.training.objectives.judged_rows import (
    judged_rows,
    mismatch,
    mismatched_example,
    prompt_numbers,
)

from tutelage.data.dataset.prepared_rows import open_rows
from tutelage.run.folder import split_files
from tutelage.tree.examples import Example, PreparedRow


@given(st.lists(st.integers(0, 6), max_size=30), st.integers(0, 2**32))
def test_every_answer_is_mismatched_once_and_to_another_prompt_where_one_can_be_found(prompts, seed):
    numbers = prompt_numbers([(prompt,) for prompt in prompts])
    found = mismatch(numbers, seed=seed)
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
    assert (numbers[mismatch(numbers, seed=1)] != numbers).all()


def test_the_seed_decides_and_the_same_seed_decides_alike():
    numbers = np.arange(50)
    one, same, other = (mismatch(numbers, seed=seed).tolist() for seed in (1, 1, 2))
    assert one == same != other


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
    return open_rows(split_files(tmp_path, "train"))


def test_rows_give_each_answer_with_its_label_and_a_mismatched_answer(rows):
    found = judged_rows(rows, seed=7)
    assert len(found) == len(TOKENS)
    for row, unit in enumerate(found):
        prompt, answer, is_desirable = TOKENS[row]
        assert (unit.row, unit.is_desirable, unit.example.ids) == (row, is_desirable, prompt + answer)
        other_prompt, other_answer, _ = TOKENS[found.mismatched[row]]
        assert other_prompt != prompt
        assert unit.mismatched.ids == (prompt + other_answer)[:9]  # the longest row has 9 tokens
        assert unit.mismatched.prompt_tokens == len(prompt)
        assert unit.examples == (unit.example,)


def test_a_step_has_the_same_mismatched_answers_in_whatever_order_it_is_asked_for(rows):
    found = judged_rows(rows, seed=7)
    assert [found[place] for place in (5, 2, 7)] == [found[2:8][3], found[2:8][0], found[7:][0]]
