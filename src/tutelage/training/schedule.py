"""The learning rate as a closed form of the step."""

import math
from typing import Literal

Kind = Literal["constant", "linear", "cosine"]


def learning_rate_at(step: int, *, steps: int, warmup_steps: int, peak: float, kind: Kind) -> float:
    """Return the rate of step 0..steps-1: a straight rise to `peak`, then constant, or down towards 0.

    The first step already moves (rate peak / warmup_steps), and the last one still does.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if kind == "constant":
        return peak
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)  # 0 up to, but not, 1
    return peak * (1 - progress if kind == "linear" else (1 + math.cos(math.pi * progress)) / 2)
