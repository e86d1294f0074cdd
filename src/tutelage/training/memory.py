"""When the memory does not hold a step: the same step again in smaller trees, over the same examples."""

from collections.abc import Callable

import torch

from tutelage.errors import MemoryExhaustedError
from tutelage.model.short_memory import first_line, release_memory
from tutelage.system.runtime import is_out_of_memory
from tutelage.training.step import StepResult

SMALLEST_TREE = 64  # nodes; a model that cannot do that with them does not fit at all


def step_within_memory(
    step: Callable[[int], StepResult], optimizer: torch.optim.Optimizer, *, max_nodes: int
) -> tuple[StepResult, int]:
    """Make a step with trees of at most `max_nodes`, halved until the memory holds it; return that number too.

    A step that fails has not touched the weights: they are updated last, when all gradients are there.
    """
    while True:
        try:
            return step(max_nodes), max_nodes
        except (MemoryError, RuntimeError) as fault:
            if not is_out_of_memory(fault):
                raise
            if max_nodes // 2 < SMALLEST_TREE:
                raise MemoryExhaustedError(
                    "train.out_of_memory",
                    f"There is not enough memory for one step, even with trees of {max_nodes} tokens"
                    f" ({first_line(fault)}). Close other programs, lower data.max_length, or choose a"
                    " smaller model or adapter.r.",
                ) from None
        # Outside the handler, where the fault no longer holds what the failed step had allocated.
        optimizer.zero_grad(set_to_none=True)
        release_memory()
        max_nodes //= 2
