"""Show on a model that how a step is cut changes nothing: trees, padded rows, micro-batches and types side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from tutelage.model.assembly import load_for_comparison
from tutelage.model.forward import MAX_NODES, CausalModel, padded_log_probs, target_log_probs
from tutelage.model.sources import ModelSource
from tutelage.system.runtime import name_dtype
from tutelage.training.cross_entropy import CROSS_ENTROPY
from tutelage.training.optimizer import trainable_parameters
from tutelage.training.step import accumulate_gradients
from tutelage.tree.batches import micro_batches
from tutelage.tree.examples import Example

# Rounding in float32 is sums in another order; a mistake in a mask or a normalizer is a thousand times that.
LOSS_LIMIT, GRADIENT_LIMIT = 1e-5, 1e-4
# bfloat16 rounds whatever the way: the loss by chance, up to so many nats; the gradients by about as much in each way.
BFLOAT16_LOSS_LIMIT, BFLOAT16_FACTOR = 0.05, 1.5
DTYPES = (torch.float32, torch.bfloat16)


@dataclass(frozen=True)
class Way:
    """A way to run the examples of one step; `padding` counts columns beyond the longest row, None stands for trees."""

    micro_batch_size: int
    padding: int | None = None

    def describe(self, examples: int) -> str:
        batches = -(-examples // self.micro_batch_size)
        cut = f"{batches} x {self.micro_batch_size}"
        if self.padding is None:
            return f"{cut}, prefix trees"
        if self.micro_batch_size == 1:
            return f"{cut}, transformers and peft"
        return f"{cut}, padded rows" + (f", {self.padding} more columns" if self.padding else "")


@dataclass(frozen=True)
class StepComparison:
    """How far a way is from one example at a time in float32: loss in nats per token, gradients relative by norm."""

    way: str
    dtype: str
    loss: float
    gradients: float
    over_trees: bool
    is_within: bool


def count_ways(examples: Sequence[Example]) -> int:
    """Return how many comparisons there are at most; a model that takes no trees has fewer."""
    return len(DTYPES) * (1 + len(_padded_ways(len(examples))) + len(_tree_ways(len(examples))))


def compare_ways(source: ModelSource, examples: list[Example]) -> Iterator[StepComparison]:
    """Run one step in every way, each from the same weights and adapter, and compare as they come.

    The reference is one example at a time by transformers' own layers and attention and peft's own forward.
    """
    exact: _Step | None = None
    for dtype in DTYPES:
        own = _open(source, dtype, examples, over_trees=False)
        alone = _run(own, examples, Way(1, padding=0))
        exact = exact or alone
        limits = _limits(alone, exact)
        compare = partial(_compare, examples=examples, exact=exact, limits=limits)
        yield compare(own, Way(1, padding=0), step=alone)
        for way in _padded_ways(len(examples)):
            yield compare(own, way)
        del own  # two models at a time would need twice the memory
        ours = _open(source, dtype, examples, over_trees=True)
        for way in [] if ours.is_padded else _tree_ways(len(examples)):
            yield compare(ours, way)
        del ours


def _sizes(count: int) -> list[int]:
    return sorted({count, max(1, count // 2), min(2, count)}, reverse=True)


def _padded_ways(count: int) -> list[Way]:
    return [Way(size, padding=0) for size in _sizes(count)] + [Way(count, padding=more) for more in (7, 50)]


def _tree_ways(count: int) -> list[Way]:
    return [Way(size) for size in sorted({*_sizes(count), 1}, reverse=True)]


@dataclass(frozen=True)
class _Step:
    loss: float
    gradients: torch.Tensor  # (trainable scalars,) in float64


def _open(
    source: ModelSource, dtype: torch.dtype, examples: list[Example], *, over_trees: bool
) -> CausalModel:
    return load_for_comparison(source, torch.device("cpu"), dtype, examples[:2], over_trees=over_trees)


def _run(model: CausalModel, examples: Sequence[Example], way: Way) -> _Step:
    model.module.zero_grad(set_to_none=True)
    log_probs = target_log_probs if way.padding is None else partial(padded_log_probs, padding=way.padding)
    is_padded = way.padding is not None
    cut = micro_batches(examples, size=way.micro_batch_size, distinct_tokens=MAX_NODES, padded=is_padded)
    normalizer = CROSS_ENTROPY.normalizer(examples)
    loss, *_ = accumulate_gradients(
        model, cut, normalizer=normalizer, objective=CROSS_ENTROPY, log_probs=log_probs
    )
    gradients = [weight.grad for weight in trainable_parameters(model.module) if weight.grad is not None]
    return _Step(loss, torch.cat([gradient.double().flatten() for gradient in gradients]))


def _limits(alone: _Step, exact: _Step) -> tuple[float, float]:
    """Return how far loss and gradients may be from the exact ones in a type in which `alone` was run."""
    if alone is exact:
        return LOSS_LIMIT, GRADIENT_LIMIT
    _, gradients = _differences(alone, exact)
    return BFLOAT16_LOSS_LIMIT, BFLOAT16_FACTOR * gradients


def _differences(step: _Step, exact: _Step) -> tuple[float, float]:
    gradients = (step.gradients - exact.gradients).norm() / exact.gradients.norm()
    return abs(step.loss - exact.loss), gradients.item()


def _compare(
    model: CausalModel,
    way: Way,
    *,
    examples: Sequence[Example],
    exact: _Step,
    limits: tuple[float, float],
    step: _Step | None = None,
) -> StepComparison:
    loss, gradients = _differences(step or _run(model, examples, way), exact)
    return StepComparison(
        way.describe(len(examples)),
        name_dtype(model.module.dtype),
        loss,
        gradients,
        over_trees=way.padding is None,
        is_within=loss <= limits[0] and gradients <= limits[1],
    )
