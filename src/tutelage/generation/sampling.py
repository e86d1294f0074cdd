"""Which token comes next: the most probable one, or one drawn from the most probable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn: from softmax(logits / temperature), cut to its most probable part.

    top_k: at most so many tokens; top_p: the fewest tokens that together have so much probability.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    seed: int = 0


def next_tokens(
    logits: torch.Tensor, rows: Sequence[int], places: Sequence[tuple[int, int]], sampling: Sampling | None
) -> list[int]:
    """Return a token for some rows of logits, (all, vocabulary); without sampling the most probable one.

    `places` says of each row which prompt it answers and how many tokens it has already: what is drawn depends on
    these and the seed alone, not on what else is answered at the same time.
    """
    if sampling is None or sampling.temperature == 0:
        return (
            logits.max(dim=-1).indices[list(rows)].tolist()
        )  # the first of equals, as argmax, in a fifth of its time
    import torch  # noqa: PLC0415 - who only says how to draw, as the server does, needs none of it

    logits = logits[list(rows)]
    if logits.device.type == "mps":
        logits = logits.cpu()  # mps has no float64
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    probabilities, tokens = (wide / sampling.temperature).softmax(dim=-1).sort(dim=-1, descending=True)
    before = probabilities.cumsum(dim=-1) - probabilities  # of all more probable tokens
    is_cut = before >= sampling.top_p
    is_cut[:, 0] = False  # the most probable one always stays, however small top_p is as float32
    probabilities[is_cut] = 0
    if sampling.top_k is not None:
        probabilities[:, sampling.top_k :] = 0
    sums = probabilities.cumsum(dim=-1)  # (rows, vocabulary)
    uniform = [_uniform(sampling.seed, *place) for place in places]
    drawn = torch.tensor(uniform, dtype=torch.float64, device=logits.device)  # float32 would round up to 1
    # The first token whose sum passes the draw; none that was cut off, because the draw is below the last sum.
    index = (sums <= drawn[:, None] * sums[:, -1:]).sum(dim=-1, keepdim=True)
    return tokens.gather(1, index)[:, 0].tolist()


def _uniform(seed: int, prompt: int, made: int) -> float:
    """Return a number in [0, 1) that is the same on every machine."""
    return float(np.random.Generator(np.random.Philox(key=[seed, prompt], counter=made)).random())
