"""The learning rate as a closed form of the step."""

import math
from typing import Literal

import torch

from tutelage.config.recipe import TrainingSettings

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


def set_learning_rate(
    optimizer: torch.optim.Optimizer, settings: TrainingSettings, step: int, *, steps: int
) -> float:
    """Give every group of an optimizer the rate of step 0..steps-1, and return it."""
    rate = learning_rate_at(
        step,
        steps=steps,
        warmup_steps=round(settings.warmup_ratio * steps),
        peak=settings.learning_rate,
        kind=settings.lr_scheduler_type,
    )
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate
