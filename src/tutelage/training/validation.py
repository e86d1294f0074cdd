"""The loss on rows that are not trained on."""

from collections.abc import Sequence

import torch

from tutelage.data.batches import examples_within
from tutelage.data.examples import Example
from tutelage.data.prefix_tree import merge
from tutelage.model.forward import MAX_NODES, CausalModel, target_log_probs


@torch.no_grad()
def validation_loss(model: CausalModel, examples: Sequence[Example]) -> float:
    """Return the mean negative log-probability (nats per supervised token) over all examples."""
    model.module.eval()
    total = sum(
        -target_log_probs(model, merge(run)).sum().item()
        for run in examples_within(examples, distinct_tokens=MAX_NODES, padded=model.is_padded)
    )
    return total / sum(example.supervised for example in examples)
