"""How long a decoding step takes, and how many steps answers of known lengths take side by side."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tutelage.generation.continuous_batch import is_time_to_close_up, is_time_to_refill, open_batch
from tutelage.generation.generate import SHARE_TO_REFILL
from tutelage.generation.sampling import next_tokens
from tutelage.model.forward import CausalModel

STEPS_TIMED = 4


@dataclass(frozen=True)
class DecodingSteps:
    """How many slots each step computes, and how many prompts are read each time that some are."""

    slots: Sequence[int]
    reads: Sequence[int]


def decoding_steps(lengths: Sequence[int], *, batch_size: int) -> DecodingSteps:
    """Return the steps in which answers of these lengths are decoded, tokens with their end, asked in this order."""
    waiting = list(reversed(lengths))
    size = min(batch_size, len(lengths))
    left: list[int] = []  # of each slot, the tokens that are still to come; 0 of a free one
    slots, reads = [], []
    while waiting or any(left):
        busy = sum(tokens > 0 for tokens in left)
        if waiting and is_time_to_refill(size=size, busy=busy, share_to_refill=SHARE_TO_REFILL):
            reads.append(min(size - busy, len(waiting)))
            begun = [waiting.pop() - 1 for _ in range(reads[-1])]  # reading a prompt gives the first token
            kept = [tokens for tokens in left if tokens]
            left = kept + begun + [0] * (len(left) - len(kept) - len(begun))
            continue
        if not waiting and is_time_to_close_up(slots=len(left), busy=busy):
            left = [tokens for tokens in left if tokens]
        slots.append(len(left))
        left = [max(0, tokens - 1) for tokens in left]
    return DecodingSteps(slots, reads)


def seconds_of_a_step(model: CausalModel, prompts: Sequence[Sequence[int]]) -> float:
    """Return the mean seconds in which each of a few answers grows by a token; the model learns nothing meanwhile.

    Adapters are read as those of a model that is not trained, for that is how most answers are asked.
    """
    model.module.eval()
    batch = open_batch(model, size=len(prompts))
    for key, prompt in enumerate(prompts):
        batch.ask(key, prompt)
    begin = 0.0
    with _untrained(model.module):
        for step in range(2 + STEPS_TIMED):
            if step == 2:  # the prompts are read, and the kernels are there
                begin = time.perf_counter()
            following = batch.step()
            places = [(key, 0) for key in following.keys]
            for key, token in zip(
                following.keys, next_tokens(following.logits, following.rows, places, None), strict=True
            ):
                batch.give(key, token)
    return (time.perf_counter() - begin) / STEPS_TIMED


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
