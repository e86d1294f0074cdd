"""One fused decoder layer of the Llama kind, with its backward pass written out.

    x ─ norm ─ query, key, value ─ rotate ─ attend ─ output ─ + x ─ norm ─ gate, up ─ silu(gate) * up ─ down ─ + ─

It works in place where possible, recomputes what is cheap, and keeps only what the backward pass needs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch

from tutelage.model.linear_groups import GroupWeights, LinearGroup, complete, project, project_back
from tutelage.model.tree_attention import attend_over_tree, tree_backward
from tutelage.model.tree_plan import TreePlan

# Takes queries (heads, tokens, size) and keys and values (key_heads, tokens, size); returns the output and what
# to keep.
Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor | None]]


@dataclass(frozen=True)
class LayerParts:
    """The modules and sizes of a decoder layer; linear layers are grouped by their input."""

    layer: Any
    groups: tuple[LinearGroup, ...]  # query-key-value, output, gate-up, down
    heads: int
    key_heads: int
    size: int
    scaling: float
    epsilons: tuple[float, float]

    @property
    def norms(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.layer.input_layernorm.weight, self.layer.post_attention_layernorm.weight

    def masters(self) -> list[torch.Tensor]:
        return [master for group in self.groups for master in group.masters]

    def weights(self, masters: Sequence[torch.Tensor]) -> list[GroupWeights]:
        """Return the weights of each group; `masters` is the concatenation of all groups' masters."""
        found, begin = [], 0
        for group in self.groups:
            end = begin + len(group.masters)
            found.append(group.weights(masters[begin:end]))
            begin = end
        return found


class DecoderLayer(torch.autograd.Function):
    """A whole decoder layer over a tree as one autograd step, with gradients for its input and every A and B."""

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes them by position
        context: Any,
        x: torch.Tensor,  # (nodes, hidden)
        cos: torch.Tensor,  # (nodes, size)
        sin: torch.Tensor,
        plan: TreePlan,
        parts: LayerParts,
        *masters: torch.Tensor,
    ) -> torch.Tensor:
        groups = parts.weights(masters)
        result, kept = _run_over_tree(x, cos=cos, sin=sin, parts=parts, groups=groups, plan=plan)
        # Keep the attention of long runs even if the layer is recomputed: it takes most of the time and little
        # memory.
        of_attention = (kept.mixed, kept.of_attention) if plan.runs else ()
        context.save_for_backward(cos, sin, *(kept if plan.keeps_layers else (x, *of_attention)))
        context.plan, context.parts, context.groups = plan, parts, groups
        return result

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        cos, sin, *saved = context.saved_tensors
        plan, parts, groups = context.plan, context.parts, context.groups
        if plan.keeps_layers:
            kept = Kept(*saved)
        else:
            x, *of_attention = saved
            attended = partial(_attended_before, *of_attention, parts) if of_attention else None
            _, kept = _run_over_tree(
                x, cos=cos, sin=sin, parts=parts, groups=groups, plan=plan, attended=attended
            )
        of_x, of_masters = layer_backward(
            gradient, kept, cos=cos, sin=sin, parts=parts, groups=groups, plan=plan
        )
        return of_x, None, None, None, None, *of_masters


def _run_over_tree(
    x: torch.Tensor,
    *,
    cos: torch.Tensor,
    sin: torch.Tensor,
    parts: LayerParts,
    groups: Sequence[GroupWeights],
    plan: TreePlan,
    attended: Attention | None = None,
) -> tuple[torch.Tensor, "Kept"]:
    attention = attended or partial(attend_over_tree, scaling=parts.scaling, plan=plan)
    # The workspace lives until the backward pass; tensors that are not kept should be freed one by one.
    empty = partial(plan.workspace.empty, dtype=x.dtype) if plan.keeps_layers else x.new_empty
    return run_layer(x, cos=cos, sin=sin, parts=parts, groups=groups, attention=attention, empty=empty)


def _attended_before(
    mixed: torch.Tensor, of_attention: torch.Tensor, parts: LayerParts, *_: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the attention output of an earlier pass over the same queries, keys and values."""
    return _by_head(mixed, parts), of_attention


class Kept(NamedTuple):
    """What the backward pass of a layer needs; inputs of linear groups are extended by their product with A."""

    x: torch.Tensor  # (tokens, hidden)
    first_scale: torch.Tensor  # (tokens, 1) of the norm before attention
    first: torch.Tensor  # (tokens, hidden + ranks) input of query, key and value
    query_key: torch.Tensor  # (heads + key_heads, tokens, size), rotated
    value: torch.Tensor  # (key_heads, tokens, size)
    of_attention: torch.Tensor | None  # for the backward pass of attention, besides its output
    mixed: torch.Tensor  # (tokens, heads * size + ranks) input of the output projection
    middle: torch.Tensor  # (tokens, hidden) after attention
    second_scale: torch.Tensor
    second: torch.Tensor  # (tokens, hidden + ranks) input of gate and up
    gate_up: torch.Tensor  # (tokens, 2 * inner)
    opened: torch.Tensor  # (tokens, inner) silu of the gate
    product_inner: torch.Tensor  # (tokens, ranks) the input of down is opened * up, extended by this


def run_layer(
    x: torch.Tensor,
    *,
    cos: torch.Tensor,
    sin: torch.Tensor,
    parts: LayerParts,
    groups: Sequence[GroupWeights],
    attention: Attention,
    empty: Callable[..., torch.Tensor],
) -> tuple[torch.Tensor, Kept]:
    """Run a layer; return its output, (tokens, hidden), and what its backward pass needs.

    cos and sin: (tokens, size). `empty(*shape)` allocates memory for what is kept; the output is allocated
    separately.
    """
    inputs, output, gate_and_up, down = groups
    (tokens, hidden), rotated = x.shape, parts.heads + parts.key_heads
    first = empty(tokens, inputs.weight.shape[1])
    first_scale = rms_norm(x, parts.norms[0], parts.epsilons[0], out=first[:, :hidden])
    projected = project(complete(first, inputs), inputs)  # (tokens, (heads + 2 key_heads) * size)
    by_head = projected.view(tokens, -1, parts.size).transpose(0, 1)
    query_key = rotate(by_head[:rotated], cos, sin, out=empty(rotated, tokens, parts.size))
    value = empty(parts.key_heads, tokens, parts.size).copy_(by_head[rotated:])
    mixed_by_head, of_attention = attention(query_key[: parts.heads], query_key[parts.heads :], value)
    mixed = empty(tokens, output.weight.shape[1])
    mixed[:, : parts.heads * parts.size].unflatten(1, (parts.heads, -1)).copy_(mixed_by_head.transpose(0, 1))
    middle = project(complete(mixed, output), output, out=empty(tokens, hidden)).add_(x)
    second = empty(tokens, gate_and_up.weight.shape[1])
    second_scale = rms_norm(middle, parts.norms[1], parts.epsilons[1], out=second[:, :hidden])
    gate_up = project(complete(second, gate_and_up), gate_and_up, out=empty(tokens, len(gate_and_up.weight)))
    gate, up = gate_up.chunk(2, dim=1)
    opened = torch.ops.aten.silu.out(gate, out=empty(*gate.shape))
    product = x.new_empty(tokens, down.weight.shape[1])
    torch.mul(opened, up, out=product[:, : gate.shape[1]])
    result = project(complete(product, down), down).add_(middle)
    product_inner = product[:, gate.shape[1] :].clone()  # a copy, so that the rest of `product` is freed
    kept = Kept(
        x, first_scale, first, query_key, value, of_attention, mixed,
        middle, second_scale, second, gate_up, opened, product_inner,
    )  # fmt: skip
    return result, kept


def layer_backward(
    gradient: torch.Tensor,
    kept: Kept,
    *,
    cos: torch.Tensor,
    sin: torch.Tensor,
    parts: LayerParts,
    groups: Sequence[GroupWeights],
    plan: TreePlan,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return the gradients of the layer's input and of all masters, in the order of the groups."""
    inputs, output, gate_and_up, down = groups
    hidden = kept.x.shape[1]
    gate, up = kept.gate_up.chunk(2, dim=1)
    of_product, of_down = project_back(gradient, kept.opened * up, kept.product_inner, down)
    of_gate_up = torch.empty_like(kept.gate_up)
    of_gate, of_up = of_gate_up.chunk(2, dim=1)
    torch.mul(of_product, kept.opened, out=of_up)
    torch.ops.aten.silu_backward.grad_input(of_product.mul_(up), gate, grad_input=of_gate)
    of_second, of_gate_and_up = project_back(of_gate_up, *_parted(kept.second, hidden), gate_and_up)
    of_middle = rms_norm_back(of_second, kept.middle, parts.norms[1], kept.second_scale).add_(gradient)
    mixed, mixed_inner = _parted(kept.mixed, parts.heads * parts.size)
    of_mixed, of_output = project_back(of_middle, mixed, mixed_inner, output)
    of_query, of_key, of_value = tree_backward(
        of_mixed.unflatten(1, (parts.heads, parts.size)).transpose(0, 1),
        kept.query_key[: parts.heads],
        kept.query_key[parts.heads :],
        kept.value,
        mixed=_by_head(kept.mixed, parts),
        kept=kept.of_attention,
        scaling=parts.scaling,
        plan=plan,
    )
    of_rotated = rotate_back(torch.cat([of_query, of_key]), cos, sin)
    of_projected = torch.cat([of_rotated, of_value]).transpose(0, 1).reshape(len(of_middle), -1)
    of_first, of_inputs = project_back(of_projected, *_parted(kept.first, hidden), inputs)
    of_x = rms_norm_back(of_first, kept.x, parts.norms[0], kept.first_scale).add_(of_middle)
    return of_x, [*of_inputs, *of_output, *of_gate_and_up, *of_down]


def _by_head(mixed: torch.Tensor, parts: LayerParts) -> torch.Tensor:
    """Return a view of the attention output in [mixed | inner] as (heads, tokens, size)."""
    return mixed[:, : parts.heads * parts.size].unflatten(1, (parts.heads, parts.size)).transpose(0, 1)


def _parted(widened: torch.Tensor, ins: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Split [x | x A^T], (tokens, in + ranks), into its two parts."""
    return widened[:, :ins], widened[:, ins:]


def rms_norm(x: torch.Tensor, weight: torch.Tensor, epsilon: float, *, out: torch.Tensor) -> torch.Tensor:
    """Write x * scale * weight to `out`, (tokens, hidden); return scale = 1 / sqrt(mean(x^2) + epsilon)."""
    wide = torch.promote_types(x.dtype, torch.float32)
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide)
    scale = norm.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
    torch.mul((x * scale).to(x.dtype), weight, out=out)
    return scale


def rms_norm_back(
    gradient: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """Return the gradient of x: scale * (g - n * mean(g * n)), with n = x * scale and g = gradient * weight."""
    normed = x * scale
    inner = (gradient * weight).to(normed.dtype)
    mean = (inner * normed).mean(dim=-1, keepdim=True)
    return inner.sub_(normed.mul_(mean)).mul_(scale).to(x.dtype)


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, *, out: torch.Tensor) -> torch.Tensor:
    """Rotate the halves (a, b) of every head to (a cos - b sin, b cos + a sin), (heads, tokens, size), into
    `out`.
    """
    turned = torch.mul(x, cos, out=out)
    half = x.shape[-1] // 2
    turned[..., :half].addcmul_(x[..., half:], sin[:, :half], value=-1)
    turned[..., half:].addcmul_(x[..., :half], sin[:, half:])
    return turned


def rotate_back(gradient: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Return the gradient of the input of `rotate`."""
    turned = gradient * cos
    half = gradient.shape[-1] // 2
    turned[..., :half].addcmul_(gradient[..., half:], sin[:, half:])
    turned[..., half:].addcmul_(gradient[..., :half], sin[:, :half], value=-1)
    return turned
