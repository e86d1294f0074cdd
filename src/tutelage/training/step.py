"""One optimiser step: gradients of every micro-batch, one clipped update."""

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from tutelage.errors import NonFiniteError
from tutelage.model.forward import CausalModel, target_log_probs
from tutelage.system.runtime import way_to_finite_numbers
from tutelage.training.cross_entropy import CROSS_ENTROPY
from tutelage.training.objective import LogProbs, Objective, sum_statistic
from tutelage.tree.batches import micro_batches
from tutelage.tree.examples import Unit, examples_of
from tutelage.tree.prefix_tree import count_distinct, merge


@dataclass(frozen=True)
class StepResult:
    """loss: the mean of the objective; grad_norm: before clipping; computed_tokens: nodes of all its trees;
    distinct_tokens: nodes that one tree of all its examples would have; metrics: more means of the objective."""

    loss: float
    grad_norm: float
    examples: int
    supervised_tokens: int
    computed_tokens: int
    distinct_tokens: int
    seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """Return it as the event of a step has it."""
        return {name: value for name, value in asdict(self).items() if name != "metrics"} | {**self.metrics}


def optimizer_step(
    model: CausalModel,
    examples: Sequence[Unit],
    optimizer: torch.optim.Optimizer,
    *,
    micro_batch_size: int,
    max_grad_norm: float,
    objective: Objective = CROSS_ENTROPY,
    max_nodes: int | None = None,
) -> StepResult:
    """Update the weights once from all examples or pairs; how they are cut into micro-batches changes nothing.

    max_nodes: of one tree; where it is less than the model's own `most_nodes`, micro-batches have fewer examples too.
    """
    begin = time.perf_counter()
    if not model.module.training:  # asking every module takes as long as a layer
        model.module.train()
    cut = cut_step(model, examples, micro_batch_size=micro_batch_size, max_nodes=max_nodes)
    normalizer = objective.normalizer(examples)
    loss, computed, metrics = accumulate_gradients(model, cut, normalizer=normalizer, objective=objective)
    grad_norm = clip_gradients(optimizer, max_grad_norm)
    _require_finite(loss, grad_norm, examples, model.compute_dtype)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    supervised = sum(example.supervised for example in examples)
    distinct = count_distinct(examples_of(examples))
    seconds = time.perf_counter() - begin
    return StepResult(loss, grad_norm, len(examples), supervised, computed, distinct, seconds, metrics)


def cut_step(
    model: CausalModel, examples: Sequence[Unit], *, micro_batch_size: int, max_nodes: int | None = None
) -> list[list[Unit]]:
    """Return the micro-batches of a step; max_nodes is that of `optimizer_step`."""
    max_nodes = model.most_nodes if max_nodes is None else max_nodes
    # Both shrink where the memory is short.
    at_most = max(1, micro_batch_size * max_nodes // model.most_nodes)
    return micro_batches(examples, size=at_most, distinct_tokens=max_nodes, padded=model.is_padded)


def accumulate_gradients(
    model: CausalModel,
    cut: Sequence[Sequence[Unit]],
    *,
    normalizer: int,
    objective: Objective = CROSS_ENTROPY,
    log_probs: LogProbs = target_log_probs,
) -> tuple[float, int, Mapping[str, float]]:
    """Add the gradients of a whole step to `.grad`; return the loss, the nodes computed and the metrics.

    A statistic of the objective is summed over all micro-batches before the loss of the first.
    """
    statistic = sum_statistic(objective, model, cut, log_probs=log_probs)
    loss, computed = 0.0, 0
    metrics: Counter[str] = Counter()
    for batch in cut:
        tree = merge(examples_of(batch))
        output = objective.loss(
            model, tree, batch, normalizer=normalizer, statistic=statistic, log_probs=log_probs
        )
        output.loss.backward()
        loss += output.loss.item()
        metrics.update(output.metrics)
        del output  # or its pass would keep its memory while the next one takes its own
        computed += len(tree.token_ids)
    return loss, computed, dict(metrics)


def clip_gradients(optimizer: torch.optim.Optimizer, max_norm: float) -> float:
    """Return the L2 norm of all gradients, and scale them down to `max_norm` where it is larger; 0 does not clip."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))).item()
    if max_norm and norm > max_norm:
        torch._foreach_mul_(gradients, max_norm / (norm + 1e-6))
    return norm


def _require_finite(loss: float, grad_norm: float, examples: Sequence[Unit], dtype: torch.dtype) -> None:
    if math.isfinite(loss) and math.isfinite(grad_norm):
        return
    rows = sorted(example.row for example in examples)
    raise NonFiniteError(
        "train.loss_not_finite",
        f"The loss is {loss} and the gradient norm {grad_norm} on the rows {rows}; the weights were not updated."
        f" {way_to_finite_numbers(dtype)}",
    )
