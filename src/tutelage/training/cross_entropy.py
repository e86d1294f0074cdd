"""Cross-entropy: every supervised token as probable as can be; of a text with a label the label is the token."""

from collections.abc import Sequence

import torch

from tutelage.model.forward import CausalModel
from tutelage.training.objective import LogProbs, LossOutput, Objective
from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import PrefixTree


def cross_entropy(
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


CROSS_ENTROPY = Objective(cross_entropy, count_supervised)
