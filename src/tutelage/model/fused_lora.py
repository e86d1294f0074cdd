"""A linear layer with its LoRA adapter as one autograd step, on peft's own modules.

peft computes `W x + scaling * B (A x)` in separate steps and casts the input to the adapter's float32 and the result
back, which on a CPU costs as much as the base itself. Here the float32 masters of A and B are cast to the type of the
base, the two small products are added into the base's result, and no gradient of the frozen weight is ever formed.
Saving, loading and merging stay peft's.
"""

from typing import Any

import torch
from torch.nn.functional import linear


def fuse_adapters(module: torch.nn.Module, lora_linear: type[Any]) -> int:
    """Give every plain layer of peft's LoRA class the fused forward; return how many, the others keep peft's own."""
    layers = [layer for layer in module.modules() if isinstance(layer, lora_linear) and _is_plain(layer)]
    for layer in layers:
        layer.forward = _FusedForward(layer)  # type: ignore[method-assign]
    return len(layers)


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


class _FusedForward:
    """The forward of one layer; where peft's state has changed since, peft's own forward answers."""

    def __init__(self, layer: Any) -> None:
        self._layer, self._name = layer, layer.active_adapters[0]
        self._own_forward = layer.forward

    def __call__(self, x: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        layer = self._layer
        changed = layer.disable_adapters or layer.merged or layer.active_adapters != [self._name]
        if changed or arguments or options or torch.is_autocast_enabled(x.device.type):
            return self._own_forward(x, *arguments, **options)
        base = layer.base_layer
        down, up = layer.lora_A[self._name].weight, layer.lora_B[self._name].weight
        scaling = layer.scaling[self._name]
        flat = x.reshape(-1, x.shape[-1])  # (tokens, in)
        result = _LinearWithAdapter.apply(flat, base.weight, base.bias, down, up, scaling)
        return result.view(*x.shape[:-1], -1)


class _LinearWithAdapter(torch.autograd.Function):
    """x W^T + bias + scaling * (x A^T) B^T; gradients for x, A and B."""

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes them by position
        context: Any,
        x: torch.Tensor,  # (tokens, in)
        weight: torch.Tensor,  # (out, in)
        bias: torch.Tensor | None,
        down: torch.Tensor,  # A: (rank, in), a float32 master
        up: torch.Tensor,  # B: (out, rank), a float32 master
        scaling: float,
    ) -> torch.Tensor:
        down_cast, up_cast = down.to(x.dtype), up.to(x.dtype)
        inner = x @ down_cast.t()  # (tokens, rank)
        result = linear(x, weight, bias).addmm_(inner, up_cast.t(), alpha=scaling)
        context.save_for_backward(x, weight, down_cast, up_cast, inner)
        context.scaling, context.master_dtype = scaling, down.dtype
        return result

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        x, weight, down, up, inner = context.saved_tensors
        gradient = gradient.contiguous()
        inner_gradient = (gradient @ up).mul_(context.scaling)  # (tokens, rank)
        x_gradient = None
        if context.needs_input_grad[0]:
            x_gradient = (gradient @ weight).addmm_(inner_gradient, down)
        down_gradient = (inner_gradient.t() @ x).to(context.master_dtype)
        up_gradient = (gradient.t() @ inner).mul_(context.scaling).to(context.master_dtype)
        return x_gradient, None, None, down_gradient, up_gradient, None
