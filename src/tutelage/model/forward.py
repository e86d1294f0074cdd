"""The one door to the model: the log-probability of every supervised token of a prefix tree."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from tutelage.data.prefix_tree import PrefixTree
from tutelage.model.tree_attention import plan_tree

# What is kept for the backward pass grows with the nodes, so longer work is cut into several trees of this size.
MAX_NODES = 2048


@dataclass(frozen=True)
class CausalModel:
    """A model in memory, where it is, and the type of its matrix products."""

    module: Any
    device: torch.device
    compute_dtype: torch.dtype

    def autocast(self) -> AbstractContextManager[Any]:
        """Cast weights to the compute type on the fly, where the module keeps float32 masters of all of them."""
        if self.module.dtype == self.compute_dtype:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.compute_dtype)


def target_log_probs(model: CausalModel, tree: PrefixTree) -> torch.Tensor:
    """Return the log-probability (nats) of every target of a tree: (targets,), at least float32.

    Logits are made only at nodes that a target follows, each node once.
    """
    parents, of_target = torch.from_numpy(tree.target_parents).to(model.device).unique(return_inverse=True)
    logits = run_tree(model, tree, logits_to_keep=parents, use_cache=False).logits[0]  # (parents, vocabulary)
    target_ids = torch.from_numpy(tree.target_ids).to(model.device)
    return _LogProbs.apply(logits, of_target, target_ids)


class _LogProbs(torch.autograd.Function):
    """log softmax(logits)[rows, ids]: one pass over the vocabulary each way, where torch's own takes several."""

    @staticmethod
    def forward(context: Any, logits: torch.Tensor, rows: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        wide = torch.promote_types(logits.dtype, torch.float32)
        log_probs = logits.log_softmax(dim=-1, dtype=wide)  # (parents, vocabulary)
        context.save_for_backward(log_probs, rows, ids)
        context.logits_dtype = logits.dtype
        return log_probs[rows, ids]

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        log_probs, rows, ids = context.saved_tensors
        by_row = log_probs.new_zeros(len(log_probs)).index_add_(0, rows, gradient)
        # Of log softmax: one-hot(id) * g - p * sum(g). The saved tensor is ours alone, so it may be written over.
        logits_gradient = log_probs.exp_().mul_(-by_row[:, None])
        logits_gradient.index_put_((rows, ids), gradient, accumulate=True)
        return logits_gradient.to(context.logits_dtype), None, None


def run_tree(model: CausalModel, tree: PrefixTree, *, logits_to_keep: torch.Tensor, use_cache: bool) -> Any:
    """Run the model over the nodes of a tree as one packed row; `position_ids` are the depths."""
    config = model.module.config
    heads = config.num_attention_heads
    plan = plan_tree(
        tree,
        heads=heads,
        key_heads=getattr(config, "num_key_value_heads", None) or heads,
        device=model.device,
    )
    with model.autocast():
        return model.module(
            input_ids=torch.from_numpy(tree.token_ids).to(model.device)[None],  # (1, nodes)
            position_ids=torch.from_numpy(tree.depths).to(model.device)[None],  # (1, nodes)
            tree_plan=plan,
            logits_to_keep=logits_to_keep,
            use_cache=use_cache,
        )
