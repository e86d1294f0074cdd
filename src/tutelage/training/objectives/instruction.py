"""Instruction tuning: every supervised token as probable as can be."""

from collections.abc import Sequence

import torch

from tutelage.model.forward import CausalModel
from tutelage.training.objectives.objective import LogProbs, LossOutput, Objective
from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import PrefixTree


def instruction_loss(
    model: CausalModel,
    tree: PrefixTree,
    units: Sequence[Example],
    *,
    normalizer: int,
    statistic: torch.Tensor | None,
    log_probs: LogProbs,
) -> LossOutput:
    """Return the tree's part of the mean negative log-probability (nats per supervised token)."""
    return LossOutput(-log_probs(model, tree).sum() / normalizer)


def count_supervised(examples: Sequence[Example]) -> int:
    """Return how many tokens of the examples are supervised."""
    return sum(example.supervised for example in examples)


INSTRUCTION = Objective(instruction_loss, count_supervised)
