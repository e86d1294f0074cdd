"""What the step, the validation and the proofs ask of an objective."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from tutelage.data.examples import Example
from tutelage.data.prefix_tree import PrefixTree
from tutelage.model.forward import CausalModel

# The door to the model: the log-probability of every target of a tree, (targets,).
LogProbs = Callable[[CausalModel, PrefixTree], torch.Tensor]


class Loss(Protocol):
    """Returns the part of a step's mean loss that the tree of one micro-batch adds, as a scalar with its gradient."""

    def __call__(
        self, model: CausalModel, tree: PrefixTree, *, divisor: int, log_probs: LogProbs
    ) -> torch.Tensor: ...


@dataclass(frozen=True)
class Objective:
    """A loss, and what its sum over some examples is divided by to be their mean.

    The divisor is that of the whole optimiser step. A mean of the micro-batches' own means would weigh one by the
    company it keeps.
    """

    loss: Loss
    divisor: Callable[[Sequence[Example]], int]
