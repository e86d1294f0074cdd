"""The loss on rows that are not trained on."""

from collections import Counter
from collections.abc import Sequence

import torch

from tutelage.model.forward import MAX_NODES, CausalModel, target_log_probs
from tutelage.model.short_memory import in_parts
from tutelage.training.objectives.instruction import INSTRUCTION
from tutelage.training.objectives.objective import Objective
from tutelage.tree.batches import examples_within
from tutelage.tree.examples import Unit, examples_of
from tutelage.tree.prefix_tree import merge


@torch.no_grad()
def validate(
    model: CausalModel, units: Sequence[Unit], objective: Objective = INSTRUCTION
) -> dict[str, float]:
    """Return the means of the objective over all examples or pairs: its loss, as `loss`, and its figures."""
    model.module.eval()
    sums: Counter[str] = Counter()

    def add(run: Sequence[Unit]) -> None:
        part = objective.loss(model, merge(examples_of(run)), run, divisor=1, log_probs=target_log_probs)
        sums.update({"loss": part.loss.item(), **part.figures})

    for run in examples_within(units, distinct_tokens=MAX_NODES, padded=model.is_padded):
        in_parts(run, add)
    divisor = objective.divisor(units)
    return {name: total / divisor for name, total in sums.items()}
