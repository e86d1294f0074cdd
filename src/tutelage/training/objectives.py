"""What a step makes smaller, as a function of the supervised log-probabilities."""

import torch


def instruction_loss(log_probs: torch.Tensor, *, divisor: int) -> torch.Tensor:
    """Return the part of the mean negative log-probability (nats per token) that one micro-batch adds.

    `divisor` counts the supervised tokens of the whole optimiser step. A mean of the micro-batches' own means would
    weigh a token by the length of its neighbours.
    """
    return -log_probs.sum() / divisor
