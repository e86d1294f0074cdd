"""Tokens are drawn with the probabilities that the settings give them, and from the seed alone."""

import numpy as np
import pytest
import torch
from scipy import stats

from tutelage.generation.sampling import Sampling, next_tokens

LOGITS = torch.tensor([2.0, -1.0, 1.0, 0.5, -3.0], dtype=torch.float64)
DRAWS = 4000


def counts(sampling: Sampling) -> np.ndarray:
    places = [(prompt, 7) for prompt in range(DRAWS)]
    return np.bincount(
        next_tokens(LOGITS.expand(DRAWS, -1), range(DRAWS), places, sampling), minlength=len(LOGITS)
    )


def wanted(kept: list[int], temperature: float = 1.0) -> np.ndarray:
    """The softmax by hand over the tokens that are kept."""
    weights = np.zeros(len(LOGITS))
    weights[kept] = np.exp(LOGITS.numpy()[kept] / temperature)
    return weights / weights.sum()


@pytest.mark.parametrize(
    ("sampling", "kept", "temperature"),
    [
        (Sampling(), [0, 1, 2, 3, 4], 1.0),
        (Sampling(temperature=0.5), [0, 1, 2, 3, 4], 0.5),
        (Sampling(temperature=2.0), [0, 1, 2, 3, 4], 2.0),
        (Sampling(top_k=2), [0, 2], 1.0),
        (Sampling(top_k=99), [0, 1, 2, 3, 4], 1.0),
        (Sampling(top_p=0.7), [0, 2], 1.0),  # 0.61, and with the next 0.84
        (Sampling(top_p=0.01), [0], 1.0),  # the most probable one is never cut
        (Sampling(top_k=3, top_p=0.7), [0, 2], 1.0),
    ],
)
def test_tokens_come_as_often_as_their_probability(sampling, kept, temperature):
    found, expected = counts(sampling), wanted(kept, temperature) * DRAWS
    assert set(np.flatnonzero(found)) <= set(kept)
    assert stats.chisquare(found[kept], expected[kept]).pvalue > 1e-4 or len(kept) == 1


def test_the_most_probable_token_is_left_by_a_top_p_that_float32_takes_for_0():
    assert next_tokens(LOGITS.float()[None], [0], [(0, 0)], Sampling(top_p=1e-300)) == [0]


def test_probabilities_at_another_temperature_are_caught():
    assert stats.chisquare(counts(Sampling()), wanted([0, 1, 2, 3, 4], 1.2) * DRAWS).pvalue < 1e-4


def test_a_draw_depends_on_seed_prompt_and_place_alone():
    many = LOGITS.expand(50, -1)
    places = [(prompt, prompt % 5) for prompt in range(50)]
    whole = next_tokens(many, range(50), places, Sampling(seed=1))
    assert [next_tokens(LOGITS[None], [0], [place], Sampling(seed=1))[0] for place in places] == whole
    assert next_tokens(many, range(50), places, Sampling(seed=2)) != whole
    assert (
        next_tokens(many, range(50), [(prompt, made + 1) for prompt, made in places], Sampling(seed=1))
        != whole
    )


def test_without_sampling_or_at_temperature_0_it_is_the_most_probable():
    assert next_tokens(LOGITS[None], [0], [(0, 0)], None) == [0]
    assert next_tokens(LOGITS[None], [0], [(0, 0)], Sampling(temperature=0.0)) == [0]


def test_only_the_rows_that_are_asked_for_are_answered():
    logits = torch.stack([LOGITS, LOGITS.flip(0), LOGITS.roll(1)])
    assert next_tokens(logits, [2, 1], [(0, 0), (1, 0)], None) == [1, 4]
    nearly_greedy = Sampling(temperature=0.01)
    assert next_tokens(logits, [2, 1], [(0, 0), (1, 0)], nearly_greedy) == [1, 4]
