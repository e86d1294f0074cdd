"""The loss of an instruction tuning, and beside it the share of tokens that the model predicts correctly."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from tutelage.model.forward import CausalModel
from tutelage.run.events import MEAN_TOKEN_ACCURACY
from tutelage.training.cross_entropy import count_supervised, cross_entropy
from tutelage.training.objective import LogProbs, LossOutput, Objective
from tutelage.tree.prefix_tree import PrefixTree


def instruction_loss(
    model: CausalModel,
    tree: PrefixTree,
    units: Sequence[Any],
    *,
    normalizer: int,
    statistic: torch.Tensor | None,
    log_probs: LogProbs,
) -> LossOutput:
    """Return the part of the mean cross-entropy, and of the mean accuracy over the same tokens, equally weighted.

    A token is correct if it is the argmax of the logits; of equal logits, which bfloat16 often has, the first counts.
    """
    is_correct = torch.empty(len(tree.target_ids), dtype=torch.bool, device=model.device)  # (targets,)
    output = cross_entropy(
        model,
        tree,
        units,
        normalizer=normalizer,
        statistic=statistic,
        log_probs=partial(log_probs, is_correct=is_correct),
    )
    return LossOutput(output.loss, {MEAN_TOKEN_ACCURACY: is_correct.sum().item() / normalizer})


INSTRUCTION = Objective(instruction_loss, count_supervised)
