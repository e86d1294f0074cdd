"""What all prompts of a batch begin with is held once: answers, what slots hold, and prompts that begin otherwise."""

import pytest
from support.tiny_models import FAMILIES, greedy_one_by_one, ragged_examples, tiny_model

from tutelage.generation.continuous_batch import FEWEST_SHARED, ContinuousBatch
from tutelage.generation.slots import Slots

LONGEST = 6
BEGINNING = tuple(range(3, 3 + FEWEST_SHARED))
OTHERS = [tuple(example.ids[:-1]) for example in ragged_examples(8, seed=5)]
PROMPTS = [(*BEGINNING, 90 + place, *own) for place, own in enumerate(OTHERS)]
SHORTEST = (*BEGINNING, 77)


def answers(model, *arrivals, size=64):
    """Ask each group of prompts a step after the one before; return greedy answers, and the slots at each step."""
    batch = ContinuousBatch(model, size, 0.0)
    prompts = [prompt for group in arrivals for prompt in group]
    waiting = list(arrivals)
    found = {key: [] for key in range(len(prompts))}
    slots, asked = [], 0
    while waiting or batch.is_busy:
        if waiting:
            for prompt in waiting.pop(0):
                batch.ask(asked, prompt)
                asked += 1
        following = batch.step()
        slots.append(batch._slots)
        for row, key in zip(following.rows, following.keys, strict=True):
            found[key].append(int(following.logits[row].argmax()))
            if len(found[key]) == LONGEST:
                batch.end(key)
            else:
                batch.give(key, found[key][-1])
    return [found[key] for key in range(len(prompts))], slots


def expected(model, *arrivals):
    prompts = [prompt for group in arrivals for prompt in group]
    return [greedy_one_by_one(model.module, prompt, max_new_tokens=LONGEST) for prompt in prompts]


@pytest.mark.parametrize("size", [3, 64])
@pytest.mark.parametrize("family", FAMILIES)
def test_answers_behind_a_shared_beginning_are_those_of_one_prompt_at_a_time(family, size):
    model = tiny_model(family)
    found, slots = answers(model, PROMPTS, size=size)
    assert found == expected(model, PROMPTS)
    assert slots[0].shared.tokens == len(BEGINNING)


@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_that_begin_otherwise_and_come_later_are_answered_as_alone(family):
    model = tiny_model(family)
    arrivals = PROMPTS, OTHERS, [BEGINNING, BEGINNING[:-1], SHORTEST]
    assert answers(model, *arrivals)[0] == expected(model, *arrivals)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_prompt_that_is_nothing_but_the_beginning_is_answered(family):
    model = tiny_model(family)
    assert answers(model, [BEGINNING, *PROMPTS])[0] == expected(model, [BEGINNING, *PROMPTS])


def test_slots_hold_what_follows_the_beginning_alone():
    model = tiny_model("llama")
    longest = max(len(prompt) - len(BEGINNING) for prompt in PROMPTS) + LONGEST
    _, slots = answers(model, PROMPTS)
    keys = slots[0]._layers[0][0]
    assert longest <= keys.shape[2] < longest + 32
    _, slots = answers(model, [prompt[1:] for prompt in PROMPTS])  # one token fewer is too few to share
    assert slots[0].shared is None
    _, slots = answers(model, PROMPTS[:1])
    assert slots[0].shared is None


def test_another_beginning_is_found_when_all_were_answered():
    model = tiny_model("llama")
    batch = ContinuousBatch(model, 64, 0.0)
    for first in (5, 6):
        for key in range(2):
            batch.ask(key, (first, *BEGINNING, 90 + key))
        following = batch.step()
        assert batch._shared == (first, *BEGINNING)
        for key in following.keys:
            batch.end(key)
    assert not batch.is_busy


def all_follow(monkeypatch):
    fill = Slots.fill
    monkeypatch.setattr(
        Slots, "fill", lambda self, *given, follows: fill(self, *given, follows=[True] * len(follows))
    )


def none_follows(monkeypatch):
    fill = Slots.fill
    monkeypatch.setattr(
        Slots, "fill", lambda self, *given, follows: fill(self, *given, follows=[False] * len(follows))
    )


def positions_begin_in_the_slot(monkeypatch):
    monkeypatch.setattr(Slots, "positions", property(lambda self: self.lengths))


def the_beginning_is_another_prompts(monkeypatch):
    share = Slots.share
    monkeypatch.setattr(
        Slots, "share", lambda self, layers: share(self, ((keys.flip(2), values) for keys, values in layers))
    )


@pytest.mark.parametrize(
    "fault", [all_follow, none_follows, positions_begin_in_the_slot, the_beginning_is_another_prompts]
)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_wrong_beginning_is_caught(family, fault, monkeypatch):
    model = tiny_model(family)
    arrivals = PROMPTS, OTHERS
    fault(monkeypatch)
    assert answers(model, *arrivals)[0] != expected(model, *arrivals)
