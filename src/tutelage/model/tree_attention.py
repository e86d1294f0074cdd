"""Attention over the paths of a prefix tree, and over a cache, with plain matrix products.

Registered through transformers' AttentionInterface, so no model code is copied. A node sees the nodes of its own path
only. The new nodes of each path are cut into blocks of queries; the keys of a block are those of its path. So no query
is computed twice, and the cost grows with the lengths of the paths, not with the square of the tree.

    path 1:  a b c d e f       blocks of two queries: [a b] [c d] [e f]
    path 2:  a b c x y         one more: [x y], with the keys a b c x y

On CPUs the built-in bfloat16 kernel is several times slower than these products at the sizes of instruction tuning.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn.functional import embedding_bag
from transformers import AttentionInterface

from tutelage.data.prefix_tree import PrefixTree
from tutelage.model.workspace import Workspace

ATTENTION = "tutelage"
QUERIES_PER_BLOCK = 32
# A CPU makes the kernel of a product anew for every shape, so blocks are filled up to few widths and few counts.
KEYS_MULTIPLE, BLOCKS_MULTIPLE = 32, 4


@dataclass(frozen=True)
class TreePlan:
    """Which rows of queries and keys form which block; rows are counted over (heads, nodes).

    A padded query stands for node 0 and is never read; a padded key lies beyond every depth and is never seen.
    """

    blocks: int
    keys_per_block: int
    queries: torch.Tensor  # (key_heads * blocks * queries * group,) rows of the query tensor
    keys: torch.Tensor  # (key_heads * blocks * keys,) rows of the key tensor
    seen: torch.Tensor  # (blocks, queries, 1, keys) which key each query sees
    is_padding: torch.Tensor  # (blocks, queries, 1, 1)
    places: torch.Tensor  # (heads * nodes,) where in the blocks each query is
    uses: torch.Tensor  # where in the blocks each key is used, node after node
    first_uses: torch.Tensor  # (key_heads * nodes,) where in `uses` each key's list begins
    workspace: Workspace  # for what the layers keep of the pass that the plan is made for
    _biases: dict[torch.dtype, torch.Tensor] = field(init=False, repr=False, default_factory=dict)

    def bias(self, dtype: torch.dtype, key_heads: int, group: int) -> torch.Tensor:
        """Return what is added to the scores, (pairs, queries * group, keys): 0 where a key is seen, else -inf."""
        if dtype not in self._biases:
            hidden = torch.zeros(self.seen.shape, dtype=dtype, device=self.seen.device).masked_fill_(
                ~self.seen, float("-inf")
            )
            every = hidden.expand(key_heads, -1, -1, group, -1)
            self._biases[dtype] = every.reshape(key_heads * self.blocks, -1, self.keys_per_block)
        return self._biases[dtype]


def plan_tree(tree: PrefixTree, *, heads: int, key_heads: int, device: torch.device) -> TreePlan:
    """Cut the tree into blocks, once for all layers of a model with so many heads."""
    block_queries, block_paths = _cut_into_blocks(tree)
    nodes, group = len(tree.token_ids), heads // key_heads
    blocks = _filled_up(len(block_queries), BLOCKS_MULTIPLE)
    width = _filled_up(max(len(path) for path in block_paths), KEYS_MULTIPLE)
    queries = np.zeros((blocks, QUERIES_PER_BLOCK), dtype=np.int64)
    is_padding = np.ones((blocks, QUERIES_PER_BLOCK), dtype=bool)
    keys = np.zeros((blocks, width), dtype=np.int64)
    is_key = np.zeros((blocks, width), dtype=bool)
    for block, (own, path) in enumerate(zip(block_queries, block_paths, strict=True)):
        queries[block, : len(own)], is_padding[block, : len(own)] = own, False
        keys[block, : len(path)], is_key[block, : len(path)] = path, True
    seen = np.arange(width) <= tree.depths[queries][:, :, None]  # a key's place in its path is its depth
    places = np.zeros(nodes, dtype=np.int64)
    places[queries[~is_padding]] = np.flatnonzero(~is_padding)

    key_head = np.arange(key_heads)[:, None, None]
    in_group = np.arange(group)[None, None, :]
    head_major = (key_head * group + in_group) * nodes + queries.reshape(1, -1, 1)
    places_by_head = (
        key_head * blocks * QUERIES_PER_BLOCK + places[None, None, :]
    ) * group + in_group.reshape(1, -1, 1)
    used_at = np.flatnonzero(is_key)[np.argsort(keys[is_key], kind="stable")]
    counts = np.bincount(keys[is_key], minlength=nodes)
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    each_key_head = np.arange(key_heads)[:, None]

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    return TreePlan(
        blocks,
        width,
        queries=tensor(head_major.reshape(-1)),
        keys=tensor((each_key_head * nodes + keys.reshape(1, -1)).reshape(-1)),
        seen=tensor(seen[:, :, None, :]),
        is_padding=tensor(is_padding[:, :, None, None]),
        places=tensor(places_by_head.reshape(-1)),
        uses=tensor((each_key_head * blocks * width + used_at).reshape(-1)),
        first_uses=tensor((each_key_head * len(used_at) + first).reshape(-1)),
        workspace=Workspace(device),
    )


def _filled_up(count: int, multiple: int) -> int:
    return count + -count % multiple


def _cut_into_blocks(tree: PrefixTree) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return, for each block, its query nodes, and the path from the root to the last of them."""
    block_queries: list[np.ndarray] = []
    block_paths: list[np.ndarray] = []
    reached = -1  # nodes stand in the order in which sorted paths add them
    for path in sorted(tree.paths, key=lambda path: (path[-1], len(path))):
        begin = int(np.searchsorted(path, reached, side="right"))
        for start in range(begin, len(path), QUERIES_PER_BLOCK):
            end = min(start + QUERIES_PER_BLOCK, len(path))
            block_queries.append(path[start:end])
            block_paths.append(path[:end])
        reached = max(reached, int(path[-1]))
    return block_queries, block_paths


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    tree_plan: TreePlan | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attend over a tree where a plan is given, else under a boolean mask.

    query: (batch, heads, queries, size); key and value: (batch, key_heads, keys, size);
    attention_mask: (batch, 1, queries, keys), True where the key is seen. Returns (batch, queries, heads, size).
    """
    if options.get("softcap") or options.get("s_aux") is not None:
        raise ValueError("soft caps and sinks of the attention are not supported")
    assert not (dropout and module.training), "a base model is tuned without its own dropout"
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    query, key = (
        query.to(value.dtype),
        key.to(value.dtype),
    )  # autocast leaves what the rotation made in float32
    if tree_plan is not None:
        return _TreeAttention.apply(query, key, value, scaling, tree_plan), None
    if attention_mask is None:
        raise ValueError("the model does not hand the tree on to its attention")
    return attend_under_mask(query, key, value, attention_mask, scaling), None


def attend_under_mask(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, scaling: float
) -> torch.Tensor:
    batch, heads, queries, size = query.shape
    key_heads, keys = key.shape[1], key.shape[2]
    # The heads that share a key head become more rows of one product, so keys are never repeated.
    rows = query.reshape(batch, key_heads, -1, size)
    scores = (rows @ key.transpose(-1, -2)).view(batch, key_heads, -1, queries, keys)
    weights = _softmax(scores, mask[:, :, None], scaling).view(batch, key_heads, -1, keys)
    return (weights @ value).view(batch, heads, queries, size).transpose(1, 2)


def _softmax(scores: torch.Tensor, seen: torch.Tensor, scaling: float) -> torch.Tensor:
    """Return the weights in the type of the scores, computed in float32 at least."""
    wide = scores.to(torch.promote_types(scores.dtype, torch.float32)).mul_(scaling)
    return wide.masked_fill_(~seen, float("-inf")).softmax(dim=-1).to(scores.dtype)


class _TreeAttention(torch.autograd.Function):
    """Attention over the blocks of a plan, with a backward pass that keeps no scores but the weights."""

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd hands all of them over by place
        context: Any,
        query: torch.Tensor,  # (1, heads, nodes, size)
        key: torch.Tensor,  # (1, key_heads, nodes, size)
        value: torch.Tensor,
        scaling: float,
        plan: TreePlan,
    ) -> torch.Tensor:
        mixed, weights = attend_over_blocks(query[0], key[0], value[0], scaling=scaling, plan=plan)
        context.save_for_backward(query, key, value, weights)
        context.scaling, context.plan = scaling, plan
        return mixed.transpose(0, 1)[None]

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        query, key, value, weights = context.saved_tensors
        slopes = slopes_over_blocks(
            gradient[0].transpose(0, 1),
            query[0],
            key[0],
            value[0],
            weights,
            scaling=context.scaling,
            plan=context.plan,
        )
        return *(slope[None] for slope in slopes), None, None


def attend_over_blocks(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, scaling: float, plan: TreePlan
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mixed values, (heads, nodes, size), and the weights, which the slopes need.

    query: (heads, nodes, size); key and value: (key_heads, nodes, size).
    """
    rows, keys, values = _blocks_of(query, key, value, plan)
    bias = plan.bias(query.dtype, len(key), len(query) // len(key))
    scores = torch.baddbmm(bias, rows, keys.transpose(1, 2), alpha=scaling)  # (pairs, queries * group, keys)
    wide = torch.promote_types(scores.dtype, torch.float32)
    weights = scores.softmax(dim=-1, dtype=wide).to(scores.dtype)
    mixed = torch.bmm(weights, values).view(-1, query.shape[-1]).index_select(0, plan.places)
    return mixed.view(query.shape), weights


def slopes_over_blocks(
    gradient: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    weights: torch.Tensor,
    *,
    scaling: float,
    plan: TreePlan,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the gradients of query, key and value from that of the mixed values, all (heads, nodes, size)."""
    size = query.shape[-1]
    # Gathered anew: blocks repeat what paths share, so they are larger than what they are made of.
    rows, keys, values = _blocks_of(query, key, value, plan)
    mixed_gradient = gradient.reshape(-1, size).index_select(0, plan.queries)
    mixed_gradient.view(len(key), plan.blocks, QUERIES_PER_BLOCK, -1, size).masked_fill_(plan.is_padding, 0)
    mixed_gradient = mixed_gradient.view_as(rows)
    value_gradient = torch.bmm(weights.transpose(1, 2), mixed_gradient)
    weight_gradient = torch.bmm(mixed_gradient, values.transpose(1, 2))
    # Of softmax: p * (g - sum(p * g)), summed in float32.
    score_gradient = torch.ops.aten._softmax_backward_data(weight_gradient, weights, -1, weights.dtype)
    query_gradient = torch.bmm(score_gradient, keys).view(-1, size).index_select(0, plan.places)
    key_gradient = torch.bmm(score_gradient.transpose(1, 2), rows)
    return (
        query_gradient.view(query.shape).mul_(scaling),
        _sum_uses(key_gradient, plan).view(key.shape).mul_(scaling),
        _sum_uses(value_gradient, plan).view(value.shape),
    )


def _blocks_of(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, plan: TreePlan
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gather queries, (pairs, queries * group, size), and keys and values, (pairs, keys, size), of every block."""
    pairs, size = len(key) * plan.blocks, query.shape[-1]
    rows = query.reshape(-1, size).index_select(0, plan.queries).view(pairs, -1, size)
    keys = key.reshape(-1, size).index_select(0, plan.keys).view(pairs, -1, size)
    values = value.reshape(-1, size).index_select(0, plan.keys).view(pairs, -1, size)
    return rows, keys, values


def _sum_uses(gradient: torch.Tensor, plan: TreePlan) -> torch.Tensor:
    """Add up the gradients of a key over all blocks that use it, in float32 at least: (key_heads * nodes, size)."""
    return embedding_bag(plan.uses, gradient.reshape(-1, gradient.shape[-1]), plan.first_uses, mode="sum")


AttentionInterface.register(ATTENTION, attend)
