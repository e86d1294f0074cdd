"""Classification with a weight for each class: the class of every text as probable as can be."""

from collections.abc import Sequence

import numpy as np
import torch

from tutelage.model.forward import CausalModel
from tutelage.training.objective import LogProbs, LossOutput, Objective
from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import PrefixTree


def balanced_weights(examples: Sequence[Example]) -> torch.Tensor:
    """Return rows / (classes * rows of the class) for each class: (classes,), whose mean over the rows is 1."""
    numbers = np.array([example.label for example in examples])
    counts = np.bincount(numbers)
    assert counts.all(), "a class that no training row has stops the preparation"
    return torch.from_numpy(len(numbers) / (len(counts) * counts))


def weighted_classes(weights: torch.Tensor) -> Objective:
    """Return the mean over rows of the negative log-probability (nats) of their class, times its weight.

    It is divided by the rows. Divided by the sum of their weights, as torch's own loss does it, a step whose rows all
    have one class would not feel the weights, and small batches would be balanced less than large ones.
    """

    def loss(
        model: CausalModel,
        tree: PrefixTree,
        units: Sequence[Example],
        *,
        normalizer: int,
        statistic: torch.Tensor | None,
        log_probs: LogProbs,
    ) -> LossOutput:
        found = log_probs(model, tree)  # (targets,)
        of_target = weights[torch.from_numpy(tree.target_ids)].to(found)
        return LossOutput(-(found * of_target).sum() / normalizer)

    return Objective(loss, len)
