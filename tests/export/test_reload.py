"""The fresh process of a verification: what it counts."""

import pytest

from tutelage.export.reload import Job, proportion_of_same_tokens

END, LONGEST = 9, 4


@pytest.mark.parametrize(
    ("own", "choices", "share"),
    [
        ([3, 4, END], {(): 3, (3,): 4, (3, 4): END}, 3 / 3),
        ([3, 4, END], {(): 3, (3,): 7, (3, 7): END, (3, 4): END}, 2 / 3),  # the end is one of three tokens
        ([3, 4, END], {(): 3, (3,): END, (3, 4): 5, (3, 4, 5): END}, 1 / 3),
        ([3, 4, 5, 6], {(): 8, (8,): END, (3,): 4, (3, 4): 5, (3, 4, 5): 6, (3, 4, 5, 6): 7}, 3 / 4),
        (
            [3, 4, 5, 6],
            {(): 3, (3,): 4, (3, 4): 5, (3, 4, 5): 6, (3, 4, 5, 6): 7},
            4 / 4,
        ),  # cut, without an end
    ],
)
def test_each_token_of_the_run_is_asked_for_after_those_before_it(own, choices, share):
    def answer(prompts):
        return [greedy(tuple(prompt[1:])) for prompt in prompts]

    def greedy(said):
        found = []
        while len(found) < LONGEST and END not in found:
            found.append(choices.get((*said, *found), END))
        return found

    job = Job("", "", "", None, [], [], [[1]], [own], [], LONGEST, 10, 0)
    assert proportion_of_same_tokens(job, answer([[1]]), answer) == pytest.approx(share)
