"""The steps in which answers are decoded, counted before: those of a real batch, whatever the lengths."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tiny_models import tiny_model

from tutelage.generation import pace as pace_module
from tutelage.generation.continuous_batch import ContinuousBatch
from tutelage.generation.generate import SHARE_TO_REFILL
from tutelage.generation.pace import decoding_steps, seconds_of_a_step

MODEL = tiny_model("llama")


class Counted(ContinuousBatch):
    """A batch that notes how many slots each step computes, and how many prompts are read at once."""

    def __init__(self, size):
        super().__init__(MODEL, size, SHARE_TO_REFILL)
        self.slots, self.reads = [], []

    def _decode(self):
        self.slots.append(len(self._owners))
        return super()._decode()

    def _prefill(self, paths, places):
        self.reads.append(len(paths))
        return super()._prefill(paths, places)


def decoded(lengths, batch_size):
    """Answer a prompt for each length, and end each answer where it has so many tokens."""
    batch = Counted(min(batch_size, len(lengths)))
    for key in range(len(lengths)):
        batch.ask(key, [1, 2, 3])
    left = dict(enumerate(lengths))
    while batch.is_busy:
        for key in batch.step().keys:
            left[key] -= 1
            batch.give(key, 4) if left[key] else batch.end(key)
    return batch.slots, batch.reads


LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=14)


@settings(max_examples=40, deadline=None)
@given(lengths=LENGTHS, batch_size=st.integers(1, 9))
def test_the_steps_are_those_of_a_batch_that_decodes_answers_of_these_lengths(lengths, batch_size):
    found = decoding_steps(lengths, batch_size=batch_size)
    assert (found.slots, found.reads) == decoded(lengths, batch_size)


@pytest.mark.parametrize("rule", ["is_time_to_refill", "is_time_to_close_up"])
def test_a_rule_that_the_batch_does_not_follow_is_caught(monkeypatch, rule):
    lengths = [1, 9, 2, 8, 3, 7, 4, 6, 5]
    assert tuple(vars(decoding_steps(lengths, batch_size=4)).values()) == decoded(lengths, 4)

    def another(*, busy, size=0, slots=0, share_to_refill=0.0):
        return busy == 0

    monkeypatch.setattr(pace_module, rule, another)
    assert tuple(vars(decoding_steps(lengths, batch_size=4)).values()) != decoded(lengths, 4)


def test_steps_are_timed_without_what_comes_first_and_with_adapters_trained_and_not(monkeypatch):
    class Clock:
        now = 0.0

        def perf_counter(self):
            return self.now

    clock, model = Clock(), tiny_model("llama")
    monkeypatch.setattr(pace_module, "time", clock)

    class Slow(Counted):
        def _prefill(self, paths, places):
            clock.now += 1000.0
            return super()._prefill(paths, places)

        def _decode(self):
            is_trained = any(parameter.requires_grad for parameter in model.module.parameters())
            is_first = not self.slots or (not is_trained and self.was_trained)
            self.was_trained = is_trained
            clock.now += 100.0 if is_first else 5.0 if is_trained else 3.0  # the first makes the kernels
            return super()._decode()

    monkeypatch.setattr(pace_module, "make_batch", lambda model, *, size: Slow(size))
    found = seconds_of_a_step(model, [[1, 2], [1, 3], [4]])
    assert (found.as_it_is, found.untrained) == (5.0, 3.0)
    assert all(parameter.requires_grad for parameter in model.module.parameters())
