"""Linear layers with their LoRA adapters as one autograd step, on peft's own modules.

peft computes `W x + scaling * B (A x)` in separate steps and casts the input to the adapter's float32 and the result
back, which on a CPU costs as much as the base itself. Here the float32 masters of A and B are cast to the type of the
base, the small products are added into the base's result, and no gradient of the frozen weight is ever formed. Layers
that read the same input (query, key and value; gate and up) become one product with their weights stacked. Saving,
loading and merging stay peft's.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.functional import linear

# Sibling layers that read the same input, by their names in the Llama family and its many relatives.
SHARED_INPUTS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


def fuse_adapters(module: torch.nn.Module, lora_linear: type[Any]) -> int:
    """Give every plain layer of peft's LoRA class the fused forward; return how many, the others keep peft's own."""
    fused = 0
    for parent in list(module.modules()):
        plain = {
            name: child
            for name, child in parent.named_children()
            if isinstance(child, lora_linear) and _is_plain(child)
        }
        for names in _groups(set(plain)):
            group = _Group([plain[name] for name in names])
            for place, name in enumerate(names):
                plain[name].forward = _FusedForward(group, place, plain[name].forward)  # type: ignore[method-assign]
            fused += len(names)
    return fused


def _groups(names: set[str]) -> Iterator[tuple[str, ...]]:
    whole = [group for group in SHARED_INPUTS if names.issuperset(group)]
    yield from whole
    yield from ((name,) for name in sorted(names.difference(*whole)))


def _is_plain(layer: Any) -> bool:
    """Tell whether a layer is just base + scaled B A: one adapter, no dropout, DoRA, bias or merged weights."""
    if len(layer.active_adapters) != 1 or layer.active_adapters[0] not in layer.lora_A:
        return False
    name = layer.active_adapters[0]
    return (
        isinstance(layer.base_layer, torch.nn.Linear)
        and isinstance(layer.lora_dropout[name], torch.nn.Identity)
        and not layer.lora_variant
        and layer.lora_A[name].bias is None
        and layer.lora_B[name].bias is None
    )


class _Group:
    """Layers that read the same input; the first one called computes all, the others take their part."""

    def __init__(self, layers: list[Any]) -> None:
        self.layers = layers
        self.names = [layer.active_adapters[0] for layer in layers]
        self._weight: torch.Tensor | None = None
        self._input: torch.Tensor | None = None
        self._results: list[torch.Tensor | None] = []

    def is_as_fused(self, x: torch.Tensor) -> bool:
        """Tell whether peft's state is still the one that was fused; with autocast peft casts by itself."""
        return not torch.is_autocast_enabled(x.device.type) and all(
            not layer.disable_adapters and not layer.merged and layer.active_adapters == [name]
            for layer, name in zip(self.layers, self.names, strict=True)
        )

    def take(self, place: int, x: torch.Tensor) -> torch.Tensor:
        """Return the result of one layer, (…, out)."""
        if self._input is not x or self._results[place] is None:
            self._input = x
            self._results = [*self._compute(x)]
        result = self._results[place]
        assert result is not None
        self._results[place] = None
        if not any(part is not None for part in self._results):
            self._input = None  # nothing is kept longer than the layers take
        return result

    def _compute(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        masters = [
            part[name].weight
            for kind in ("lora_A", "lora_B")
            for part, name in zip((getattr(layer, kind) for layer in self.layers), self.names, strict=True)
        ]
        scalings = [layer.scaling[name] for layer, name in zip(self.layers, self.names, strict=True)]
        flat = x.reshape(-1, x.shape[-1])  # (tokens, in)
        results = _LinearWithAdapters.apply(
            flat, self._joined_weight(), self._joined_bias(), scalings, *masters
        )
        return (result.view(*x.shape[:-1], -1) for result in results)

    def _joined_weight(self) -> torch.Tensor:
        """Return the base weights one above the other, (sum of out, in); the layers' own become views of it."""
        weights = [layer.base_layer.weight for layer in self.layers]
        if len(weights) == 1:
            return weights[0]
        if self._weight is None or not _are_parts(weights, self._weight):
            self._weight = torch.cat([weight.data for weight in weights])
            parts = self._weight.split([len(weight) for weight in weights])
            for weight, part in zip(weights, parts, strict=True):
                weight.data = part
        return self._weight

    def _joined_bias(self) -> torch.Tensor | None:
        biases = [layer.base_layer.bias for layer in self.layers]
        if all(bias is None for bias in biases):
            return None
        outs = [len(layer.base_layer.weight) for layer in self.layers]
        weight = self.layers[0].base_layer.weight
        return torch.cat(
            [weight.new_zeros(out) if bias is None else bias for out, bias in zip(outs, biases, strict=True)]
        )


def _are_parts(weights: list[torch.Tensor], whole: torch.Tensor) -> bool:
    """Tell whether the weights still lie one after the other in `whole`; moving or casting a model parts them."""
    address = whole.data_ptr()
    for weight in weights:
        if weight.data_ptr() != address or weight.dtype != whole.dtype:
            return False
        address += weight.numel() * weight.element_size()
    return True


class _FusedForward:
    """The forward of one layer; where peft's state has changed since, peft's own forward answers."""

    def __init__(self, group: _Group, place: int, own_forward: Any) -> None:
        self._group, self._place, self._own_forward = group, place, own_forward

    def __call__(self, x: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        if arguments or options or not self._group.is_as_fused(x):
            return self._own_forward(x, *arguments, **options)
        return self._group.take(self._place, x)


class _LinearWithAdapters(torch.autograd.Function):
    """x W^T + bias + (x A^T) (scaling * B)^T for stacked layers; gradients for x, each A and each B.

    The A are stacked, (ranks, in); the B stand on the diagonal of one matrix, (outs, ranks), zero elsewhere.
    """

    @staticmethod
    def forward(
        context: Any,
        x: torch.Tensor,  # (tokens, in)
        weight: torch.Tensor,  # (outs, in)
        bias: torch.Tensor | None,  # (outs,)
        scalings: list[float],
        *masters: torch.Tensor,  # every A, (rank, in), then every B, (out, rank), in float32
    ) -> tuple[torch.Tensor, ...]:
        downs, ups = masters[: len(scalings)], masters[len(scalings) :]
        down = torch.cat([part.to(x.dtype) for part in downs])  # (ranks, in)
        up = x.new_zeros(len(weight), len(down))  # (outs, ranks)
        blocks = list(_diagonal(downs, ups))
        for part, scaling, (rows, columns) in zip(ups, scalings, blocks, strict=True):
            up[rows, columns] = part * scaling
        inner = x @ down.t()  # (tokens, ranks)
        result = linear(x, weight, bias).addmm_(inner, up.t())
        context.save_for_backward(x, weight, down, up, inner)
        context.scalings, context.blocks, context.master_dtype = scalings, blocks, downs[0].dtype
        return result.split([len(part) for part in ups], dim=1)

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        x, weight, down, up, inner = context.saved_tensors
        gradient = torch.cat(gradients, dim=1) if len(gradients) > 1 else gradients[0].contiguous()
        inner_gradient = gradient @ up  # (tokens, ranks)
        x_gradient = None
        if context.needs_input_grad[0]:
            x_gradient = (gradient @ weight).addmm_(inner_gradient, down)
        down_gradient = (inner_gradient.t() @ x).to(context.master_dtype)  # (ranks, in)
        up_gradient = (gradient.t() @ inner).to(context.master_dtype)  # (outs, ranks)
        return (
            x_gradient,
            None,
            None,
            None,
            *(down_gradient[columns] for _, columns in context.blocks),
            *(
                up_gradient[rows, columns] * scaling
                for scaling, (rows, columns) in zip(context.scalings, context.blocks, strict=True)
            ),
        )


def _diagonal(
    downs: tuple[torch.Tensor, ...], ups: tuple[torch.Tensor, ...]
) -> Iterator[tuple[slice, slice]]:
    """Yield the rows and columns of each B in the stacked matrix."""
    row = column = 0
    for down, up in zip(downs, ups, strict=True):
        yield slice(row, row + len(up)), slice(column, column + len(down))
        row, column = row + len(up), column + len(down)
