"""The loss on rows that are not trained on."""

from collections import Counter
from collections.abc import Callable, Sequence

import torch

from tutelage.model.forward import MAX_NODES, CausalModel, target_log_probs
from tutelage.model.short_memory import in_parts
from tutelage.training.cross_entropy import CROSS_ENTROPY
from tutelage.training.objective import Objective
from tutelage.tree.batches import examples_within
from tutelage.tree.examples import Unit, examples_of
from tutelage.tree.prefix_tree import merge


@torch.no_grad()
def validate(
    model: CausalModel, units: Sequence[Unit], objective: Objective = CROSS_ENTROPY
) -> dict[str, float]:
    """Return the means of the objective over all examples or pairs: its loss, as `loss`, and its metrics.

    They are all one step to it: a statistic is that of all of them.
    """
    model.module.eval()
    statistic = _sum_statistic(model, units, objective)
    sums: Counter[str] = Counter()

    def add(run: Sequence[Unit]) -> None:
        output = objective.loss(
            model,
            merge(examples_of(run)),
            run,
            normalizer=1,
            statistic=statistic,
            log_probs=target_log_probs,
        )
        sums.update({"loss": output.loss.item(), **output.metrics})

    _for_each_run(model, units, add)
    normalizer = objective.normalizer(units)
    return {name: total / normalizer for name, total in sums.items()}


def _sum_statistic(model: CausalModel, units: Sequence[Unit], objective: Objective) -> torch.Tensor | None:
    statistic = objective.statistic
    if statistic is None:
        return None
    parts: list[torch.Tensor] = []
    _for_each_run(model, units, lambda run: parts.append(statistic(model, run, log_probs=target_log_probs)))
    return torch.stack(parts).sum(dim=0)


def _for_each_run(model: CausalModel, units: Sequence[Unit], work: Callable[[Sequence[Unit]], None]) -> None:
    """Do some work on runs of units, each as large as the memory holds."""
    for run in examples_within(units, distinct_tokens=MAX_NODES, padded=model.is_padded):
        in_parts(run, work)
