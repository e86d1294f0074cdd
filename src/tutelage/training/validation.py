"""The loss on rows that are not trained on."""

from collections.abc import Sequence

import torch

from tutelage.data.batches import examples_within
from tutelage.data.examples import Example
from tutelage.data.prefix_tree import merge
from tutelage.model.forward import MAX_NODES, CausalModel, target_log_probs
from tutelage.training.objectives.instruction import INSTRUCTION
from tutelage.training.objectives.objective import Objective


@torch.no_grad()
def validation_loss(
    model: CausalModel, examples: Sequence[Example], objective: Objective = INSTRUCTION
) -> float:
    """Return the mean of the objective over all examples, for instruction tuning in nats per supervised token."""
    model.module.eval()
    total = sum(
        objective.loss(model, merge(run), divisor=1, log_probs=target_log_probs).item()
        for run in examples_within(examples, distinct_tokens=MAX_NODES, padded=model.is_padded)
    )
    return total / objective.divisor(examples)
