"""Run linear layers with the same input, and their LoRA adapters, as one product, forward and backward.

peft computes `W x + scaling * B (A x)` layer by layer in separate steps, and casts the input to the adapter's
float32 and the result back, which on a CPU costs as much as the base layer itself. Here the weights are
stacked, with B in extra columns beside them, so that one product computes base and adapter, and one product
both of their gradients:

    [x | A x] [W | B]^T        W and B of all layers stacked; B on the diagonal, 0 elsewhere

The float32 masters are cast to the dtype of the base, and gradients of frozen weights are never computed. peft
still creates, saves, loads and merges the adapters.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import torch
from torch.nn.functional import linear

from tutelage.system.autotune import has_bfloat16_products

# A packed weight is faster up to this many rows; beyond it, packing costs little compared with the product.
FEW_ROWS = 160


@dataclass(frozen=True)
class Adapter:
    """The part of one adapted layer in a group: its rows of the weights, equal to its output columns, and its
    ranks.
    """

    rows: slice
    ranks: slice


@dataclass(frozen=True)
class GroupWeights:
    """The operands of a group's product; `down` stacks every scaled A."""

    weight: torch.Tensor  # (outs, in + ranks), W beside B
    bias: torch.Tensor | None  # (outs,)
    down: torch.Tensor | None  # (ranks, in)
    scales: torch.Tensor | None  # (ranks, 1), in the dtype of the masters
    adapters: tuple[Adapter, ...]
    packed: torch.Tensor | None = None  # the weight again, in the layout of the kernel for few rows


class LinearGroup:
    """Frozen linear layers with the same input; each is plain or has one plain LoRA adapter of peft."""

    def __init__(self, layers: Sequence[Any]) -> None:
        self.layers = list(layers)
        self.bases = [getattr(layer, "base_layer", layer) for layer in layers]
        self.adapted = [
            (place, layer, layer.active_adapters[0])
            for place, layer in enumerate(layers)
            if hasattr(layer, "lora_A")
        ]
        self._weight: torch.Tensor | None = None
        self._fixed: tuple[Any, GroupWeights] | None = None  # (state, weights) of frozen adapters

    @property
    def masters(self) -> list[torch.Tensor]:
        """Every A, (rank, in), then every B, (out, rank): the trained parameters."""
        downs = [layer.lora_A[name].weight for _, layer, name in self.adapted]
        return downs + [layer.lora_B[name].weight for _, layer, name in self.adapted]

    def is_as_built(self) -> bool:
        """Return whether the state of peft is still the one that the group was built for."""
        return all(
            not layer.disable_adapters and not layer.merged and layer.active_adapters == [name]
            for _, layer, name in self.adapted
        )

    def weights(self, masters: Sequence[torch.Tensor]) -> GroupWeights:
        """Return the stacked weights with the current adapters, cast to their dtype."""
        weight = self._joined_weight()
        if any(master.requires_grad for master in masters):
            self._fixed = None
            return self._made(weight, masters)
        # Frozen adapters rarely change, but generation asks for them once per token.
        state = (weight.data_ptr(), *((master.data_ptr(), master._version) for master in masters))
        if self._fixed is None or self._fixed[0] != state:
            made = self._made(weight, masters)
            self._fixed = (state, replace(made, packed=_packed(made.weight)))
        return self._fixed[1]

    def _made(self, weight: torch.Tensor, masters: Sequence[torch.Tensor]) -> GroupWeights:
        if not self.adapted:
            return GroupWeights(weight, self._joined_bias(), None, None, ())
        downs, ups = masters[: len(self.adapted)], masters[len(self.adapted) :]
        scales = torch.cat(
            [
                down.new_full((len(down), 1), layer.scaling[name])
                for down, (_, layer, name) in zip(downs, self.adapted, strict=True)
            ]
        )
        # Put the scale into A, so that B and its gradient need no extra pass.
        down = (torch.cat(list(downs)) * scales).to(weight.dtype)
        adapters = tuple(self._adapters(downs, ups))
        spare = weight[:, down.shape[1] :]  # (outs, ranks)
        for up, adapter in zip(ups, adapters, strict=True):
            spare[adapter.rows, adapter.ranks] = up
        return GroupWeights(weight, self._joined_bias(), down, scales, adapters)

    def _adapters(self, downs: Sequence[torch.Tensor], ups: Sequence[torch.Tensor]) -> Iterator[Adapter]:
        ends = [*accumulate(len(base.weight) for base in self.bases)]
        rank = 0
        for down, up, (place, _, _) in zip(downs, ups, self.adapted, strict=True):
            yield Adapter(slice(ends[place] - len(up), ends[place]), slice(rank, rank + len(down)))
            rank += len(down)

    def _joined_weight(self) -> torch.Tensor:
        """Return the stacked base weights with room for B beside them; the layers' own weights become views of
        it.
        """
        weights = [base.weight for base in self.bases]
        if len(weights) == 1 and not self.adapted:
            return weights[0]
        if self._weight is None or not _are_parts(weights, self._weight):
            outs, ins = sum(len(weight) for weight in weights), weights[0].shape[1]
            ranks = sum(len(layer.lora_A[name].weight) for _, layer, name in self.adapted)
            self._weight = weights[0].new_zeros(outs, ins + ranks)
            parts = self._weight[:, :ins].split([len(weight) for weight in weights])
            for weight, part in zip(weights, parts, strict=True):
                part.copy_(weight.data)
                weight.data = part
        return self._weight

    def _joined_bias(self) -> torch.Tensor | None:
        biases = [base.bias for base in self.bases]
        if all(bias is None for bias in biases):
            return None
        if len(biases) == 1:
            return biases[0]
        return torch.cat(
            [
                base.weight.new_zeros(len(base.weight)) if bias is None else bias
                for base, bias in zip(self.bases, biases, strict=True)
            ]
        )


def is_plain(layer: Any) -> bool:
    """Return whether a layer is a frozen `W x`, optionally with scaled B A: no dropout, DoRA or merged weights."""
    base = getattr(layer, "base_layer", layer)
    if type(base) is not torch.nn.Linear or base.weight.requires_grad:
        return False
    if base.bias is not None and base.bias.requires_grad:
        return False
    return layer is base or _has_one_plain_adapter(layer)


def _has_one_plain_adapter(layer: Any) -> bool:
    if not hasattr(layer, "lora_A") or len(layer.active_adapters) != 1:
        return False
    name = layer.active_adapters[0]
    return (
        name in layer.lora_A
        and isinstance(layer.lora_dropout[name], torch.nn.Identity)
        and not layer.lora_variant
        and layer.lora_A[name].bias is None
        and layer.lora_B[name].bias is None
    )


def _are_parts(weights: list[torch.Tensor], whole: torch.Tensor) -> bool:
    """Return whether the weights are still consecutive parts of `whole`; moving or casting a model separates
    them.
    """
    address = whole.data_ptr()
    for weight in weights:
        if weight.data_ptr() != address or weight.dtype != whole.dtype:
            return False
        address += len(weight) * whole.stride(0) * whole.element_size()
    return True


def _packed(weight: torch.Tensor) -> torch.Tensor | None:
    """Return a weight in the layout of the CPU's bfloat16 kernel, or None if that kernel is unavailable.

    Otherwise every product repacks its weight, which takes a third of its time for few rows.
    """
    is_taken = weight.device.type == "cpu" and weight.dtype == torch.bfloat16
    if not is_taken or weight.requires_grad or not has_bfloat16_products():
        return None
    return torch.ops.mkldnn._reorder_linear_weight(weight.detach(), FEW_ROWS)


def complete(widened: torch.Tensor, group: GroupWeights) -> torch.Tensor:
    """Turn [x | anything] into [x | x A^T], the input of a group: (tokens, in + ranks), in place."""
    if group.down is not None:
        ins = group.down.shape[1]
        torch.mm(widened[:, :ins], group.down.t(), out=widened[:, ins:])
    return widened


def project(widened: torch.Tensor, group: GroupWeights, *, out: torch.Tensor | None = None) -> torch.Tensor:
    """Return x W^T + bias + (x A^T) B^T, (tokens, outs), from [x | x A^T]."""
    if group.packed is not None and len(widened) <= FEW_ROWS:
        return torch.ops.mkldnn._linear_pointwise(widened, group.packed, group.bias, "none", [], "")
    if out is None:
        return linear(widened, group.weight, group.bias)
    if group.bias is None:
        return torch.mm(widened, group.weight.t(), out=out)
    return torch.addmm(group.bias, widened, group.weight.t(), out=out)


def project_back(
    gradient: torch.Tensor, x: torch.Tensor, inner: torch.Tensor, group: GroupWeights
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return the gradients of x, (tokens, in), and of every master, A before B, in the dtype of the masters.

    x: (tokens, in); inner: x A^T, (tokens, ranks). Together they are the input of the group.
    """
    through = gradient @ group.weight  # (tokens, in + ranks)
    if group.down is None or group.scales is None:
        return through, []
    ins = group.down.shape[1]
    inner_gradient = through[:, ins:]  # (tokens, ranks)
    of_x = through[:, :ins].addmm_(inner_gradient, group.down)
    of_down = (inner_gradient.t() @ x).to(group.scales.dtype).mul_(group.scales)
    of_up = (gradient.t() @ inner).to(group.scales.dtype)  # (outs, ranks)
    downs = [of_down[adapter.ranks] for adapter in group.adapters]
    return of_x, downs + [of_up[adapter.rows, adapter.ranks] for adapter in group.adapters]
