"""Attention over the paths of a prefix tree, and over a cache, with plain matrix products.

It is registered through transformers' AttentionInterface, so no model code is copied. On CPUs the built-in
bfloat16 kernel is several times slower than these products at the sizes of instruction tuning. Long runs of
nodes and single new tokens still use that kernel (fused_attention.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import embedding_bag
from transformers import AttentionInterface

from tutelage.model.fused_attention import attend_in_run, attend_to_rows, has_fused_attention, run_backward
from tutelage.model.tree_plan import BlockBatch, TreePlan

ATTENTION = "tutelage"


@dataclass(frozen=True)
class SharedPrefix:
    """Keys and values of a prefix shared by all rows of a cache, stored once: for each layer (key_heads,
    tokens, size) both.
    """

    layers: Sequence[tuple[torch.Tensor, torch.Tensor]]

    @property
    def tokens(self) -> int:
        return self.layers[0][0].shape[1]


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    tree_plan: TreePlan | None = None,
    shared_prefix: SharedPrefix | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attend over a tree if there is a plan, else under a boolean mask.

    query: (batch, heads, queries, size); key and value: (batch, key_heads, keys, size); attention_mask: (batch,
    1, queries, keys), True where the key is visible, with the keys of a shared prefix first. Returns (batch,
    queries, heads, size).
    """
    if options.get("softcap") or options.get("s_aux") is not None:
        raise ValueError("soft caps and sinks of the attention are not supported")
    assert not (dropout and module.training), "a base model is fine-tuned without its own dropout"
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    query, key = (
        query.to(value.dtype),
        key.to(value.dtype),
    )  # under autocast, rotation leaves them in float32
    if tree_plan is not None:
        return _TreeAttention.apply(query, key, value, scaling, tree_plan), None
    if attention_mask is None:
        raise ValueError("the model does not pass the tree to its attention")
    shared = None if shared_prefix is None else shared_prefix.layers[module.layer_idx]
    return attend_under_mask(query, key, value, attention_mask, scaling=scaling, shared=shared), None


def attend_under_mask(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    *,
    scaling: float,
    shared: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> torch.Tensor:
    """Attend under a mask; returns (batch, queries, heads, size). Shapes are as in `attend`.

    `shared` holds the keys and values of all rows' common prefix, (key_heads, tokens, size) each.
    """
    batch, heads, queries, size = query.shape
    if queries == 1 and query.device.type == "cpu" and not torch.is_grad_enabled() and has_fused_attention():
        mixed = attend_to_rows(query[:, :, 0], key, value, mask[:, 0, 0], scaling=scaling, shared=shared)
        return mixed[:, None]
    key_heads = key.shape[1]
    # Heads that share a key head become extra rows of one product, so keys are never repeated.
    rows = query.reshape(batch, key_heads, -1, size)
    scores = rows @ key.transpose(-1, -2)
    if shared is not None:
        scores = torch.cat([_by_row(_by_key_head(rows) @ shared[0].transpose(-1, -2), batch), scores], dim=-1)
    by_query = scores.view(batch, key_heads, -1, queries, scores.shape[-1])
    weights = _softmax(by_query, mask[:, :, None], scaling).view(scores.shape)
    if shared is None:
        mixed = weights @ value
    else:
        of_shared, own = weights.split([shared[0].shape[1], key.shape[2]], dim=-1)
        mixed = (own @ value).add_(_by_row(_by_key_head(of_shared) @ shared[1], batch))
    return mixed.view(batch, heads, queries, size).transpose(1, 2)


def _by_key_head(part: torch.Tensor) -> torch.Tensor:
    """Turn (batch, key_heads, rows, n) into (key_heads, batch * rows, n), because all rows share the same keys."""
    return part.transpose(0, 1).flatten(1, 2)


def _by_row(part: torch.Tensor, batch: int) -> torch.Tensor:
    """Turn (key_heads, batch * rows, n) back into (batch, key_heads, rows, n)."""
    return part.unflatten(1, (batch, -1)).transpose(0, 1)


def _softmax(scores: torch.Tensor, seen: torch.Tensor, scaling: float) -> torch.Tensor:
    """Return the attention weights in the dtype of the scores, computed in at least float32."""
    wide = scores.to(torch.promote_types(scores.dtype, torch.float32)).mul_(scaling)
    return wide.masked_fill_(~seen, float("-inf")).softmax(dim=-1).to(scores.dtype)


class _TreeAttention(torch.autograd.Function):
    """Attention by a plan, with a backward pass that keeps only the weights, not the scores."""

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes them by position
        context: Any,
        query: torch.Tensor,  # (1, heads, nodes, size)
        key: torch.Tensor,  # (1, key_heads, nodes, size)
        value: torch.Tensor,
        scaling: float,
        plan: TreePlan,
    ) -> torch.Tensor:
        mixed, kept = attend_over_tree(query[0], key[0], value[0], scaling=scaling, plan=plan)
        context.save_for_backward(query, key, value, mixed if plan.runs else None, kept)
        context.scaling, context.plan = scaling, plan
        return mixed.transpose(0, 1)[None]

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        query, key, value, mixed, kept = context.saved_tensors
        slopes = tree_backward(
            gradient[0].transpose(0, 1),
            query[0],
            key[0],
            value[0],
            mixed=mixed,
            kept=kept,
            scaling=context.scaling,
            plan=context.plan,
        )
        return *(slope[None] for slope in slopes), None, None


def attend_over_tree(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, scaling: float, plan: TreePlan
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the attention output, (heads, nodes, size), and what else the backward pass needs.

    That is the weights if the plan keeps them, the log-sum-exp of its runs, (heads, nodes), if it has any, or
    None if the weights will be recomputed. query: (heads, nodes, size); key and value: (key_heads, nodes,
    size).
    """
    if plan.is_whole:
        mixed, weights = _attend_in(plan.batches[0], (query, key, value), scaling=scaling, plan=plan)
        return mixed.view(query.shape), weights if plan.keeps_weights else None
    mixed = query.new_empty(query.shape)
    for batch in plan.batches:
        own, _ = _attend_in(batch, (query, key, value), scaling=scaling, plan=plan)
        mixed.view(-1, query.shape[-1]).index_copy_(0, batch.query_rows, own)
    if not plan.runs:
        return mixed, None
    log_sums = query.new_empty(query.shape[:2], dtype=torch.promote_types(query.dtype, torch.float32))
    for run in plan.runs:
        mixed[:, run.nodes], log_sums[:, run.nodes] = attend_in_run(run, query, key, value, scaling=scaling)
    return mixed, log_sums


def _attend_in(
    batch: BlockBatch,
    inputs: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    *,
    scaling: float,
    plan: TreePlan,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the output of the batch's queries, (heads * own nodes, size), and the weights."""
    query, key, _ = inputs
    rows, keys, values = _blocks_of(*inputs, batch)
    weights = _weights_of(rows, keys, batch, scaling=scaling, plan=plan, heads=(len(query), len(key)))
    mixed = torch.bmm(weights, values).view(-1, query.shape[-1]).index_select(0, batch.places)
    return mixed, weights


def _weights_of(
    rows: torch.Tensor,
    keys: torch.Tensor,
    batch: BlockBatch,
    *,
    scaling: float,
    plan: TreePlan,
    heads: tuple[int, int],
) -> torch.Tensor:
    """Return the attention weights of a batch, (pairs, queries * group, keys)."""
    bias = plan.bias(batch, rows.dtype, heads[1], heads[0] // heads[1])
    scores = torch.baddbmm(bias, rows, keys.transpose(1, 2), alpha=scaling)
    wide = torch.promote_types(scores.dtype, torch.float32)
    return scores.softmax(dim=-1, dtype=wide).to(scores.dtype)


def tree_backward(
    gradient: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    mixed: torch.Tensor | None,
    kept: torch.Tensor | None,
    scaling: float,
    plan: TreePlan,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the gradients of query, key and value, given that of the output; all are (heads, nodes, size).

    `mixed` and `kept` come from `attend_over_tree`; `mixed` is only needed if the plan has runs.
    """
    inputs = query, key, value
    if plan.is_whole:
        of_query, of_key, of_value = _gradients_in(
            plan.batches[0], gradient, inputs, kept, scaling=scaling, plan=plan
        )
        return (
            of_query.view(query.shape).mul_(scaling),
            of_key.to(key.dtype).view(key.shape).mul_(scaling),
            of_value.to(value.dtype).view(value.shape),
        )
    size, wide = query.shape[-1], torch.promote_types(key.dtype, torch.float32)
    of_query = query.new_empty(query.shape)
    of_key, of_value = (key.new_zeros(key.shape, dtype=wide) for _ in range(2))
    for batch in plan.batches:
        own = _gradients_in(batch, gradient, inputs, None, scaling=scaling, plan=plan)
        of_query.view(-1, size).index_copy_(0, batch.query_rows, own[0])
        of_key.view(-1, size).index_add_(0, batch.key_rows, own[1].to(wide))
        of_value.view(-1, size).index_add_(0, batch.key_rows, own[2].to(wide))
    of_query, of_key = of_query.mul_(scaling), of_key.mul_(scaling)
    for run in plan.runs:  # the kernel already scales their gradients
        assert mixed is not None and kept is not None
        into = of_query, of_key, of_value
        run_backward(run, gradient, inputs, mixed, kept, scaling=scaling, into=into)
    return of_query, of_key.to(key.dtype), of_value.to(value.dtype)


def _gradients_in(
    batch: BlockBatch,
    gradient: torch.Tensor,
    inputs: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    weights: torch.Tensor | None,
    *,
    scaling: float,
    plan: TreePlan,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the unscaled gradients of the batch's queries, and of the keys and values that it reads."""
    query, key, _ = inputs
    size = query.shape[-1]
    # Gather again instead of keeping: blocks repeat what paths share, so they are larger than their sources.
    rows, keys, values = _blocks_of(*inputs, batch)
    if weights is None:
        weights = _weights_of(rows, keys, batch, scaling=scaling, plan=plan, heads=(len(query), len(key)))
    mixed_gradient = gradient.reshape(-1, size).index_select(0, batch.queries)
    mixed_gradient.view(len(key), *batch.is_padding.shape[:2], -1, size).masked_fill_(batch.is_padding, 0)
    mixed_gradient = mixed_gradient.view_as(rows)
    value_gradient = torch.bmm(weights.transpose(1, 2), mixed_gradient)
    weight_gradient = torch.bmm(mixed_gradient, values.transpose(1, 2))
    # Softmax gradient: p * (g - sum(p * g)), summed in float32.
    score_gradient = torch.ops.aten._softmax_backward_data(weight_gradient, weights, -1, weights.dtype)
    query_gradient = torch.bmm(score_gradient, keys).view(-1, size).index_select(0, batch.places)
    key_gradient = torch.bmm(score_gradient.transpose(1, 2), rows)
    return query_gradient, _sum_uses(key_gradient, batch), _sum_uses(value_gradient, batch)


def _blocks_of(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, batch: BlockBatch
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gather queries, (pairs, queries * group, size), and keys and values, (pairs, keys, size), of every block."""
    pairs, size = len(key) * batch.blocks, query.shape[-1]
    rows = query.reshape(-1, size).index_select(0, batch.queries).view(pairs, -1, size)
    keys = key.reshape(-1, size).index_select(0, batch.keys).view(pairs, -1, size)
    values = value.reshape(-1, size).index_select(0, batch.keys).view(pairs, -1, size)
    return rows, keys, values


def _sum_uses(gradient: torch.Tensor, batch: BlockBatch) -> torch.Tensor:
    """Sum the gradients of each key over all blocks that use it, in at least float32: (key_heads * seen, size)."""
    return embedding_bag(batch.uses, gradient.reshape(-1, gradient.shape[-1]), batch.first_uses, mode="sum")


AttentionInterface.register(ATTENTION, attend)
