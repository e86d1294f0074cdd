"""Batches step by step: prompts that are ended early, a head that is frozen, and one prompt after the other."""

from dataclasses import replace

import pytest
import torch
from support.tiny_models import FAMILIES, greedy_one_by_one, ragged_examples, tiny_model
from transformers import Cache

from tutelage.generation.continuous_batch import FEWEST_SHARED, ContinuousBatch, OneByOne, make_batch
from tutelage.generation.slots import Slots
from tutelage.model.log_probs import find_frozen_head

LONGEST = 5
PROMPTS = [tuple(example.prompt_ids) for example in ragged_examples(8, seed=5)[:4]]


def opened(kind, *, size=64):
    model = tiny_model("llama")
    if kind is OneByOne:
        model.module.set_attn_implementation("eager")
        model = replace(model, fallback_reason="a test wants it")
    batch = make_batch(model, size=size)
    assert type(batch) is kind
    return batch


def greedy(batch, prompts):
    """Ask all prompts at once; return each one's most probable tokens."""
    for key, prompt in enumerate(prompts):
        batch.ask(key, prompt)
    return answered(batch, {key: [] for key in range(len(prompts))})


def answered(batch, found):
    while batch.is_busy:
        following = batch.step()
        for row, key in zip(following.rows, following.keys, strict=True):
            found[key].append(int(following.logits[row].argmax()))
            if len(found[key]) == LONGEST:
                batch.end(key)
            else:
                batch.give(key, found[key][-1])
    return found


def expected(model, prompts):
    return {
        key: greedy_one_by_one(model.module, prompt, max_new_tokens=LONGEST)
        for key, prompt in enumerate(prompts)
    }


KINDS = [ContinuousBatch, OneByOne]


@pytest.mark.parametrize("kind", KINDS)
def test_the_answers_of_a_batch_are_those_of_one_prompt_at_a_time(kind):
    found = greedy(opened(kind), PROMPTS)
    assert found == expected(tiny_model("llama"), PROMPTS)
    assert len({tuple(answer) for answer in found.values()}) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_is_ended_while_it_waits_is_never_begun(kind):
    batch = opened(kind, size=1)
    found = {key: [] for key in range(len(PROMPTS))}
    for key, prompt in enumerate(PROMPTS):
        batch.ask(key, prompt)
    assert batch.step().keys == [0]  # the others wait
    wanted = expected(tiny_model("llama"), PROMPTS)
    found[0].append(wanted[0][0])
    batch.give(0, wanted[0][0])
    batch.end(2)
    batch.end(99)  # which nobody asked
    assert answered(batch, found) == {**wanted, 2: []}


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_is_ended_under_way_leaves_the_others_as_they_are(kind):
    batch = opened(kind)
    found = {key: [] for key in range(len(PROMPTS))}
    for key, prompt in enumerate(PROMPTS):
        batch.ask(key, prompt)
    following = batch.step()
    for row, key in zip(following.rows, following.keys, strict=True):
        found[key].append(int(following.logits[row].argmax()))
        batch.give(key, found[key][-1])
    batch.end(1)
    wanted = expected(tiny_model("llama"), PROMPTS)
    begun = wanted[1][:1] if kind is ContinuousBatch else []
    assert answered(batch, found) == {**wanted, 1: begun}


def with_frozen_head(family):
    model = tiny_model(family)
    model.module.requires_grad_(False)
    head = find_frozen_head(model.module)
    assert head is not None
    return replace(model, frozen_head=head)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_frozen_head_gives_the_answers_of_the_whole_model(family):
    model = with_frozen_head(family)
    assert greedy(make_batch(model, size=3), PROMPTS) == expected(model, PROMPTS)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_of_another_model_is_caught(family):
    model = with_frozen_head(family)
    other = torch.nn.Linear(64, model.frozen_head.out_features, bias=False, dtype=torch.float64)
    other.weight.data = model.frozen_head.weight.flip(0)
    found = greedy(make_batch(replace(model, frozen_head=other), size=3), PROMPTS)
    wanted = expected(model, PROMPTS)
    assert all(found[key][1:] != wanted[key][1:] for key in wanted)


BEGINNING = tuple(range(3, 3 + FEWEST_SHARED))


@pytest.mark.parametrize("beginning", [(), BEGINNING])
def test_the_cache_says_how_long_its_longest_row_is(beginning, monkeypatch):
    """Models whose code asks the cache, beside the positions that they are given, count from it."""
    prompts = [beginning + prompt for prompt in PROMPTS]
    batch = opened(ContinuousBatch)
    for key, prompt in enumerate(prompts):
        batch.ask(key, prompt)
    longest = max(map(len, prompts))
    for step in range(3):
        for key in batch.step().keys:
            batch.give(key, 7)
        assert batch._slots.get_seq_length() == longest + step
    assert (batch._slots.shared is not None) == bool(beginning)
    monkeypatch.delattr(Slots, "get_seq_length")
    assert Slots.get_seq_length is Cache.get_seq_length
    assert batch._slots.get_seq_length() == 0, "what a cache without layers of transformers' own says"
