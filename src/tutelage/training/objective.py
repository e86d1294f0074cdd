"""What the step, the validation and the proofs ask of an objective."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from tutelage.model.forward import CausalModel
from tutelage.tree.prefix_tree import PrefixTree


class LogProbs(Protocol):
    """The interface to the model: the log-probability of every target of a tree, (targets,). There are no logits here.

    If given, `is_correct`, (targets,) bool, is set to whether each target is the most probable token.
    """

    def __call__(
        self, model: CausalModel, tree: PrefixTree, /, *, is_correct: torch.Tensor | None = None
    ) -> torch.Tensor: ...


@dataclass(frozen=True)
class LossOutput:
    """What a micro-batch adds to the means of a step: the loss, a scalar with its gradient, and metrics beside it."""

    loss: torch.Tensor
    metrics: Mapping[str, float] = field(default_factory=dict)


class Loss(Protocol):
    """Returns what one micro-batch adds to a step's means; `tree` is the prefix tree of its examples or pairs."""

    def __call__(
        self,
        model: CausalModel,
        tree: PrefixTree,
        units: Sequence[Any],
        *,
        normalizer: int,
        statistic: torch.Tensor | None,
        log_probs: LogProbs,
    ) -> LossOutput: ...


class Statistic(Protocol):
    """Returns what one micro-batch adds to the statistic of a step, of any shape; no gradient goes through it.

    A mean is a sum and a count in one tensor. The normalizer is no such count: it is 1 while rows validate, whose sums
    are divided in the end.
    """

    def __call__(self, model: CausalModel, units: Sequence[Any], *, log_probs: LogProbs) -> torch.Tensor: ...


@dataclass(frozen=True)
class Objective:
    """A loss, what its sum over some examples or pairs is divided by to be their mean, and a statistic that it needs.

    Normalizer and statistic are those of the whole optimiser step. A mean of the micro-batches' own means would weigh
    one by the company it keeps.
    """

    loss: Loss
    normalizer: Callable[[Sequence[Any]], int]
    statistic: Statistic | None = None


@torch.no_grad()
def sum_statistic(
    objective: Objective, model: CausalModel, cut: Sequence[Sequence[Any]], *, log_probs: LogProbs
) -> torch.Tensor | None:
    """Return the statistic of a whole step from its micro-batches; None where the objective has none."""
    if objective.statistic is None:
        return None
    return torch.stack([objective.statistic(model, units, log_probs=log_probs) for units in cut]).sum(dim=0)
