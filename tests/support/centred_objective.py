"""An objective whose loss needs the whole step: how probable each example is beside the mean of all of them."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch.nn.functional import logsigmoid

from tutelage.model.answer_log_probs import sum_by_example
from tutelage.model.forward import CausalModel
from tutelage.training.objective import LogProbs, LossOutput, Objective
from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import PrefixTree, merge

SCALE = 0.1


def log_prob_and_count(model: CausalModel, units: Sequence[Example], *, log_probs: LogProbs) -> torch.Tensor:
    """Return the sum of the examples' log-probabilities (nats) and their number: (2,)."""
    total = log_probs(model, merge(units)).sum()
    return torch.stack([total, total.new_tensor(len(units))])


def centred_loss(
    model: CausalModel,
    tree: PrefixTree,
    units: Sequence[Example],
    *,
    normalizer: int,
    statistic: torch.Tensor | None,
    log_probs: LogProbs,
) -> LossOutput:
    """Return the part of the mean loss, and of the share of examples that are more probable than the mean."""
    assert statistic is not None, "it is that of the whole step"
    total, count = statistic
    ahead = sum_by_example(log_probs(model, tree), tree, len(units)) - total / count  # (examples,)
    loss = -logsigmoid(SCALE * ahead).sum() / normalizer
    return LossOutput(loss, {"above_mean": (ahead > 0).sum().item() / normalizer})


CENTRED = Objective(centred_loss, len, log_prob_and_count)


def _centred_in_its_micro_batch(
    model: CausalModel,
    tree: PrefixTree,
    units: Sequence[Example],
    *,
    normalizer: int,
    statistic: torch.Tensor | None,
    log_probs: LogProbs,
) -> LossOutput:
    with torch.no_grad():
        statistic = log_prob_and_count(model, units, log_probs=log_probs)
    return centred_loss(model, tree, units, normalizer=normalizer, statistic=statistic, log_probs=log_probs)


# A fault: the statistic of each micro-batch alone.
CENTRED_IN_MICRO_BATCHES = replace(CENTRED, loss=_centred_in_its_micro_batch)
