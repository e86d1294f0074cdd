"""Compute the log-probability of whole answers."""

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
    """Return the log-probability (nats) of each example's supervised tokens, summed: (examples,) float64."""
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
    """Return a bound on the rounding error of summed log-probabilities (nats) over `tokens` tokens.

    The log-probability of a token is the difference of two numbers of about its own size, computed in `dtype`.
    The error of the sum is therefore eps times the sum of these sizes. Arrays and tensors keep their type and
    shape.
    """
    return torch.finfo(dtype).eps * (abs(log_probs) + tokens)


def sum_by_example(log_probs: torch.Tensor, tree: PrefixTree, examples: int) -> torch.Tensor:
    """Sum the target values of each example, in their own dtype: (targets,) to (examples,)."""
    owners = torch.from_numpy(tree.target_examples).to(log_probs.device)
    return log_probs.new_zeros(examples).index_add(0, owners, log_probs)
