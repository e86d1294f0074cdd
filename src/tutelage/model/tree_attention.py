"""Attention with plain matrix products, under whatever mask the tree or the cache gives.

Registered through transformers' AttentionInterface, so no model code is copied. On CPUs the built-in bfloat16 kernel
is several times slower than these three products at the sizes of instruction tuning.
"""

from typing import Any

import torch
from transformers import AttentionInterface

from tutelage.data.prefix_tree import PrefixTree

ATTENTION = "tutelage"


def tree_mask(tree: PrefixTree, device: torch.device) -> torch.Tensor:
    """Return which nodes each node sees: itself and those above it. Boolean, (1, 1, nodes, nodes)."""
    nodes = torch.arange(len(tree.token_ids), device=device)
    ends = torch.from_numpy(tree.subtree_ends).to(device)
    query, key = nodes[:, None], nodes[None, :]
    return ((key <= query) & (query < ends[None, :]))[None, None]


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    *,
    scaling: float,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attend under a boolean mask.

    query: (batch, heads, queries, size); key and value: (batch, key_heads, keys, size);
    attention_mask: (batch or 1, 1, queries, keys), True where the key is seen. Returns (batch, queries, heads, size).
    """
    batch, heads, queries, size = query.shape
    key_heads, keys = key.shape[1], key.shape[2]
    group = heads // key_heads
    # The heads that share a key head become more rows of one product, so keys are never repeated.
    rows = (query * scaling).reshape(batch, key_heads, group * queries, size)
    scores = (rows @ key.transpose(-1, -2)).view(batch, key_heads, group, queries, keys)
    wide = torch.float64 if scores.dtype == torch.float64 else torch.float32
    scores = scores.to(wide)
    if options.get("softcap"):
        scores = options["softcap"] * torch.tanh(scores / options["softcap"])
    scores = scores.masked_fill(~attention_mask[:, :, None], float("-inf"))
    weights = torch.softmax(scores, dim=-1).to(value.dtype)
    weights = torch.nn.functional.dropout(weights, p=dropout, training=module.training)
    mixed = weights.view(batch, key_heads, group * queries, keys) @ value
    return mixed.view(batch, heads, queries, size).transpose(1, 2), None


AttentionInterface.register(ATTENTION, attend)
