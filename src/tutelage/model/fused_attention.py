"""Fused CPU attention for long runs of nodes, and for new tokens over a cache.

torch's kernel never stores the matrix of scores.

A run is the contiguous new nodes of one path. Each node attends to the whole path before the run and to the
earlier nodes of the run, which takes two kernel calls. Besides its output, the kernel returns the log-sum-exp
of each query's scores. These give the weight of each part in the combined output; in the backward pass, each
part gets the combined output and its log-sum-exp.

A new token attends to its own row of the cache and to the prefix that rows share, if there is one: again two
calls. They replace a dozen small operations, each of which synchronizes all threads.
"""

from dataclasses import dataclass
from functools import cache

import torch

_PROBED = (2, 40, 16)  # heads, nodes, size
_TOLERANCE = 1e-4  # in float32; a wrong mask or scale is off by thousands of times as much


@dataclass(frozen=True)
class Run:
    """The new nodes of a path, and the earlier nodes of that path (None if there are none)."""

    nodes: slice
    before: torch.Tensor | None  # (nodes before,)


def attend_in_run(
    run: Run, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, scaling: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the attention output of the run's nodes, (heads, own, size), and its log-sum-exp, (heads, own).

    query: (heads, nodes, size); key and value: (key_heads, nodes, size).
    """
    own = query[:, run.nodes]
    mixed, log_sums = _attend(own, key[:, run.nodes], value[:, run.nodes], scaling=scaling, is_causal=True)
    if run.before is None:
        return mixed, log_sums
    keys, values = key.index_select(1, run.before), value.index_select(1, run.before)
    of_before, log_sums_before = _attend(own, keys, values, scaling=scaling, is_causal=False)
    whole = torch.logaddexp(log_sums, log_sums_before)
    share, share_before = (part.sub(whole).exp()[..., None] for part in (log_sums, log_sums_before))
    return mixed.mul(share).add_(of_before.mul(share_before)).to(query.dtype), whole


def run_backward(
    run: Run,
    gradient: torch.Tensor,
    inputs: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    mixed: torch.Tensor,
    log_sums: torch.Tensor,
    *,
    scaling: float,
    into: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    """Write the query gradients of a run to `into`, and add the gradients of all keys and values that it reads.

    All tensors cover the whole tree: `gradient` and `mixed` are (heads, nodes, size), `log_sums` is (heads,
    nodes), and `inputs` and `into` hold query, key and value.
    """
    query, key, value = inputs
    of_query, of_key, of_value = into
    given = gradient[:, run.nodes], query[:, run.nodes]
    whole = mixed[:, run.nodes], log_sums[:, run.nodes]
    own = _gradients(*given, key[:, run.nodes], value[:, run.nodes], whole, scaling=scaling, is_causal=True)
    of_query[:, run.nodes] = own[0]
    of_key[:, run.nodes] += own[1]
    of_value[:, run.nodes] += own[2]
    if run.before is not None:
        keys, values = key.index_select(1, run.before), value.index_select(1, run.before)
        before = _gradients(*given, keys, values, whole, scaling=scaling, is_causal=False)
        of_query[:, run.nodes] += before[0]
        of_key.index_add_(1, run.before, before[1])
        of_value.index_add_(1, run.before, before[2])


def attend_to_rows(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    seen: torch.Tensor,
    *,
    scaling: float,
    shared: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> torch.Tensor:
    """Return the attention output, (rows, heads, size), of one new token per row over its row of a cache.

    query: (rows, heads, size); key and value: (rows, key_heads, columns, size); seen: (rows, columns), True
    where a token attends to the column, with the columns of the shared prefix first. shared: keys and values of
    that prefix, (key_heads, tokens, size). A row attends to at least one column of its own, and to all or none
    of the shared prefix.
    """
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    rows, key_heads, size = len(query), key.shape[1], query.shape[-1]
    by_key_head = query.view(rows, key_heads, -1, size)  # heads of a key head: queries of one call
    group = by_key_head.shape[2]
    bias = torch.where(seen, 0.0, float("-inf")).to(query.dtype)[:, None, None]  # (rows, 1, 1, columns)
    own_bias = bias[..., bias.shape[-1] - key.shape[2] :].expand(-1, -1, group, -1)
    own, log_sums = kernel(by_key_head, key, value, attn_mask=own_bias, scale=scaling)
    if shared is None:
        return own.reshape(query.shape)
    of_all = by_key_head.permute(1, 2, 0, 3).reshape(1, key_heads, group * rows, size)
    of_shared, log_sums_shared = (
        part[0].unflatten(1, (group, rows))
        for part in kernel(of_all, *(part[None] for part in shared), scale=scaling)
    )
    # Weight of the prefix: exp(a) / (exp(a) + exp(b)), or 0 if the row does not use it.
    log_ratio = log_sums_shared.permute(2, 0, 1).add(bias[..., 0]).sub_(log_sums)  # (rows, key_heads, group)
    share = log_ratio.sigmoid_()[..., None].to(own.dtype)
    return torch.lerp(own, of_shared.permute(2, 0, 1, 3), share).reshape(query.shape)


@cache
def has_fused_attention() -> bool:
    """Return whether torch's kernel is available and matches plain attention, forward and backward.

    It is not a public function of torch, and a model's parity check may not exercise it.
    """
    with torch.autocast("cpu", enabled=False):
        return _agrees_with_plain_attention() and _agrees_over_rows()


def _agrees_with_plain_attention() -> bool:
    heads, nodes, size = _PROBED
    generator = torch.Generator().manual_seed(0)
    query, gradient = (torch.randn(heads, nodes, size, generator=generator) for _ in range(2))
    key, value = (torch.randn(1, nodes, size, generator=generator) for _ in range(2))
    middle = nodes // 2
    run = Run(slice(middle, nodes), torch.arange(middle))
    mixed, log_sums = torch.zeros_like(query), torch.zeros(heads, nodes)
    into = torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(value)
    try:
        mixed[:, run.nodes], log_sums[:, run.nodes] = attend_in_run(run, query, key, value, scaling=0.5)
        run_backward(run, gradient, (query, key, value), mixed, log_sums, scaling=0.5, into=into)
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError):
        return False
    expected = _by_plain_attention(run, query, key, value, gradient)
    return all(
        bool((found - right).abs().max() <= _TOLERANCE)
        for found, right in zip((mixed, *into), expected, strict=True)
    )


def _agrees_over_rows() -> bool:
    heads, columns, size = _PROBED
    generator = torch.Generator().manual_seed(0)
    rows, shared = 3, columns // 2
    query = torch.randn(heads, rows, size, generator=generator).transpose(0, 1)  # strides as in a layer
    key, value = (torch.randn(rows, 1, columns, size, generator=generator) for _ in range(2))
    key[:, :, :shared], value[:, :, :shared] = key[:1, :, :shared], value[:1, :, :shared]
    seen = torch.arange(columns) < torch.tensor([columns, shared + 1, columns - 3])[:, None]
    seen[2, :shared] = False  # a row that does not use the prefix
    held = key[0, :, :shared], value[0, :, :shared]
    try:
        found = attend_to_rows(
            query, key[:, :, shared:], value[:, :, shared:], seen, scaling=0.5, shared=held
        )
        alone = attend_to_rows(query, key, value, seen, scaling=0.5)
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError):
        return False
    scores = (0.5 * query[:, :, None] @ key.transpose(2, 3)).masked_fill(~seen[:, None, None], float("-inf"))
    expected = (scores.softmax(dim=-1) @ value)[:, :, 0]  # (rows, heads, size)
    return all(bool((one - expected).abs().max() <= _TOLERANCE) for one in (found, alone))


@torch.enable_grad()
def _by_plain_attention(
    run: Run, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, gradient: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Return the output of a run at the end of one path and its gradients, computed from the full score matrix."""
    inputs = [part.clone().requires_grad_() for part in (query, key, value)]
    seen = torch.ones(query.shape[1], query.shape[1], dtype=torch.bool).tril()
    scores = (0.5 * inputs[0] @ inputs[1].transpose(1, 2)).masked_fill(~seen, float("-inf"))
    mixed = torch.zeros_like(query)
    mixed[:, run.nodes] = (scores.softmax(dim=-1) @ inputs[2])[:, run.nodes]
    return mixed.detach(), *torch.autograd.grad(mixed, inputs, gradient)


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, scaling: float, is_causal: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    mixed, log_sums = kernel(*_as_read(query, key, value), 0.0, is_causal, scale=scaling)
    return mixed[0], log_sums[0]


def _gradients(
    gradient: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    whole: tuple[torch.Tensor, torch.Tensor],
    *,
    scaling: float,
    is_causal: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the gradients of query, key and value; those of key and value are at least float32.

    `whole` holds the attention output over all keys, and its log-sum-exp.
    """
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    read = _as_read(query, key, value)
    of_query, *of_both = kernel(
        gradient[None], *read, *(part[None] for part in whole), 0.0, is_causal, scale=scaling
    )
    group, wide = len(query) // len(key), torch.promote_types(key.dtype, torch.float32)
    of_key, of_value = (part[0].unflatten(0, (-1, group)).sum(dim=1, dtype=wide) for part in of_both)
    return of_query[0], of_key, of_value


def _as_read(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return query, key and value in the layout that the kernel expects, (1, heads, nodes, size).

    The kernel requires contiguous queries and does not support grouped heads, so keys and values are repeated.
    """
    group = len(query) // len(key)
    return query.contiguous()[None], *(part.repeat_interleave(group, dim=0)[None] for part in (key, value))
