"""Choose the next token: the most probable one, or a sampled one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Sampling:
    """Sampling from softmax(logits / temperature), restricted to the most probable tokens.

    top_k: at most this many tokens; top_p: the fewest tokens whose probabilities sum to at least this.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    seed: int = 0


def next_tokens(
    logits: torch.Tensor, rows: Sequence[int], places: Sequence[tuple[int, int]], sampling: Sampling | None
) -> list[int]:
    """Return a token for some rows of logits, (all, vocabulary); without sampling, the most probable one.

    `places` gives (prompt, tokens so far) for each row. What is drawn depends only on these and the seed, not
    on other answers in the batch.
    """
    if sampling is None or sampling.temperature == 0:
        return (
            logits.max(dim=-1).indices[list(rows)].tolist()
        )  # the first maximum, like argmax, in a fifth of its time
    import torch  # noqa: PLC0415 - only needed to sample; the server imports this module for the settings alone

    logits = logits[list(rows)]
    if logits.device.type == "mps":
        logits = logits.cpu()  # mps has no float64
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    probabilities, tokens = (wide / sampling.temperature).softmax(dim=-1).sort(dim=-1, descending=True)
    before = probabilities.cumsum(dim=-1) - probabilities  # of all more probable tokens
    is_cut = before >= sampling.top_p
    is_cut[:, 0] = False  # always keep the most probable one, even if top_p underflows in float32
    probabilities[is_cut] = 0
    if sampling.top_k is not None:
        probabilities[:, sampling.top_k :] = 0
    sums = probabilities.cumsum(dim=-1)  # (rows, vocabulary)
    uniform = [_uniform(sampling.seed, *place) for place in places]
    drawn = torch.tensor(uniform, dtype=torch.float64, device=logits.device)  # float32 could round up to 1
    # The first token whose cumulative sum exceeds the draw. It is never one that was cut off, as the draw is
    # below the last sum.
    index = (sums <= drawn[:, None] * sums[:, -1:]).sum(dim=-1, keepdim=True)
    return tokens.gather(1, index)[:, 0].tolist()


def _uniform(seed: int, prompt: int, made: int) -> float:
    """Return a number in [0, 1) that is the same on every machine."""
    return float(np.random.Generator(np.random.Philox(key=[seed, prompt], counter=made)).random())
