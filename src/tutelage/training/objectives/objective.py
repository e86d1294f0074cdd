"""What the step, the validation and the proofs ask of an objective."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from tutelage.model.forward import CausalModel
from tutelage.tree.prefix_tree import PrefixTree

# The door to the model: the log-probability of every target of a tree, (targets,).
LogProbs = Callable[[CausalModel, PrefixTree], torch.Tensor]


@dataclass(frozen=True)
class Part:
    """What a micro-batch adds to the means of a step: the loss, a scalar with its gradient, and figures beside it."""

    loss: torch.Tensor
    figures: Mapping[str, float] = field(default_factory=dict)


class Loss(Protocol):
    """Returns the part of a step's means that one micro-batch adds; `tree` is that of its examples or pairs."""

    def __call__(
        self,
        model: CausalModel,
        tree: PrefixTree,
        units: Sequence[Any],
        *,
        divisor: int,
        log_probs: LogProbs,
    ) -> Part: ...


@dataclass(frozen=True)
class Objective:
    """A loss, and what its sum over some examples or pairs is divided by to be their mean.

    The divisor is that of the whole optimiser step. A mean of the micro-batches' own means would weigh one by the
    company it keeps.
    """

    loss: Loss
    divisor: Callable[[Sequence[Any]], int]
