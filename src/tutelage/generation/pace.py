"""Measure the time of a decoding step, and count the steps that answers of known lengths take in parallel."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tutelage.generation.continuous_batch import is_time_to_close_up, is_time_to_refill, make_batch
from tutelage.generation.generate import SHARE_TO_REFILL
from tutelage.generation.sampling import next_tokens
from tutelage.model.forward import CausalModel

STEPS_TIMED = 3


@dataclass(frozen=True)
class DecodingSteps:
    """The number of slots in each step, and the number of prompts in each refill."""

    slots: Sequence[int]
    reads: Sequence[int]


def decoding_steps(lengths: Sequence[int], *, batch_size: int) -> DecodingSteps:
    """Return the steps needed to decode answers of these lengths (tokens including the end), requested in this
    order.
    """
    waiting = list(reversed(lengths))
    size = min(batch_size, len(lengths))
    left: list[int] = []  # tokens still to come in each slot; 0 if it is free
    slots, reads = [], []
    while waiting or any(left):
        busy = sum(tokens > 0 for tokens in left)
        if waiting and is_time_to_refill(size=size, busy=busy, share_to_refill=SHARE_TO_REFILL):
            reads.append(min(size - busy, len(waiting)))
            begun = [waiting.pop() - 1 for _ in range(reads[-1])]  # reading a prompt yields the first token
            kept = [tokens for tokens in left if tokens]
            left = kept + begun + [0] * (len(left) - len(kept) - len(begun))
            continue
        if not waiting and is_time_to_close_up(slots=len(left), busy=busy):
            left = [tokens for tokens in left if tokens]
        slots.append(len(left))
        left = [max(0, tokens - 1) for tokens in left]
    return DecodingSteps(slots, reads)


@dataclass(frozen=True)
class StepSeconds:
    """Mean seconds per decoding step, with the adapters as they are and without gradients for any of them."""

    as_it_is: float
    untrained: float


def seconds_of_a_step(model: CausalModel, prompts: Sequence[Sequence[int]]) -> StepSeconds:
    """Time a few decoding steps of the given prompts; the model is not trained."""
    model.module.eval()
    batch = make_batch(model, size=len(prompts))
    for key, prompt in enumerate(prompts):
        batch.ask(key, prompt)

    def steps(count: int) -> float:
        begin = time.perf_counter()
        for _ in range(count):
            following = batch.step()
            places = [(key, 0) for key in following.keys]
            chosen = next_tokens(following.logits, following.rows, places, None)
            for key, token in zip(following.keys, chosen, strict=True):
                batch.give(key, token)
        return (time.perf_counter() - begin) / count

    steps(2)  # the first reads the prompts, and the second compiles the kernels
    as_it_is = steps(STEPS_TIMED)
    with _untrained(model.module):
        steps(1)
        return StepSeconds(as_it_is, untrained=steps(STEPS_TIMED))


@contextmanager
def _untrained(module: Any) -> Iterator[None]:
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
