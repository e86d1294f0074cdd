"""The one door to the model: the log-probability of every supervised token of a prefix tree."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from tutelage.data.prefix_tree import PrefixTree
from tutelage.model.tree_attention import tree_mask

# Attention under a mask costs the square of the nodes, so longer work is cut into several trees of about this size.
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
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    target_ids = torch.from_numpy(tree.target_ids).to(model.device)
    return logits[of_target, target_ids] - logits.logsumexp(dim=-1)[of_target]


def run_tree(model: CausalModel, tree: PrefixTree, *, logits_to_keep: torch.Tensor, use_cache: bool) -> Any:
    """Run the model over the nodes of a tree as one packed row; `position_ids` are the depths."""
    with model.autocast():
        return model.module(
            input_ids=torch.from_numpy(tree.token_ids).to(model.device)[None],  # (1, nodes)
            position_ids=torch.from_numpy(tree.depths).to(model.device)[None],  # (1, nodes)
            attention_mask=tree_mask(tree, model.device),  # (1, 1, nodes, nodes)
            logits_to_keep=logits_to_keep,
            use_cache=use_cache,
        )
