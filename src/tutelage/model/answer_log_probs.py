"""How probable whole answers are: the sum over their tokens."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from tutelage.model.forward import MAX_NODES, CausalModel, target_log_probs
from tutelage.model.short_memory import in_parts
from tutelage.tree.batches import runs_within
from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import PrefixTree, merge


@torch.no_grad()
def answer_log_probs(
    model: CausalModel,
    examples: Sequence[Example],
    *,
    progress: Callable[[int], None] = lambda examples: None,
) -> np.ndarray:
    """Return the log-probability (nats) of the supervised tokens of each example: (examples,) float64."""
    model.module.eval()
    found = np.empty(len(examples))
    paths = [example.read_ids for example in examples]

    def read(run: Sequence[int]) -> None:
        tree = merge([examples[index] for index in run])
        log_probs = target_log_probs(model, tree).cpu().double()  # (targets,)
        found[run] = sum_by_example(log_probs, tree, len(run)).numpy()
        progress(len(run))

    for run in runs_within(paths, distinct_tokens=MAX_NODES, padded=model.is_padded):
        in_parts(run, read)
    return found


def rounding_of(log_probs: Any, tokens: Any, dtype: torch.dtype) -> Any:
    """Return how far rounding may move sums of log-probabilities (nats) over so many `tokens`, in their own shape.

    Each token's log-probability is a difference of numbers of its own size and of order 1, computed in `dtype`, so the
    sum is uncertain by the unit of rounding times the sum of these sizes. An array or a tensor gives its own kind.
    """
    return torch.finfo(dtype).eps * (abs(log_probs) + tokens)


def sum_by_example(log_probs: torch.Tensor, tree: PrefixTree, examples: int) -> torch.Tensor:
    """Return the sum of each example's targets, in their own type: (targets,) to (examples,)."""
    owners = torch.from_numpy(tree.target_examples).to(log_probs.device)
    return log_probs.new_zeros(examples).index_add(0, owners, log_probs)
