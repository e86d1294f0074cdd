"""Run a model kept in half precision in float32, one layer at a time.

A decoder layer gets float32 weights when it is called and its own weights back afterwards. Everything outside
the layers (embedding, last norm, head) stays in float32 throughout, as do layers that are never called
themselves, such as a ModuleDict. The original weights are never written, so they come back bit-identical.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch

HALF = (torch.bfloat16, torch.float16)


@contextmanager
def in_float32(module: Any) -> Iterator[None]:
    """Run a model in float32 if it is kept in half precision; wider dtypes are left alone."""
    layers = [layer for group in _outermost_lists(module) for layer in group if _can_be_called(layer)]
    inside = {id(value) for layer in layers for value in _values(layer)}
    outside = [value for value in _values(module) if id(value) not in inside]
    kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    handles = [
        handle
        for layer in layers
        for handle in (
            layer.register_forward_pre_hook(lambda called, _: _widen(_values(called), kept)),
            layer.register_forward_hook(lambda called, *_: _restore(_values(called), kept)),
        )
    ]
    _widen(outside, kept)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for value, own in kept.values():
            value.data = own


def _outermost_lists(module: torch.nn.Module) -> Iterator[torch.nn.ModuleList]:
    for child in module.children():
        if isinstance(child, torch.nn.ModuleList):
            yield child
        else:
            yield from _outermost_lists(child)


def _can_be_called(layer: torch.nn.Module) -> bool:
    return type(layer).forward is not torch.nn.Module.forward


def _values(module: torch.nn.Module) -> list[torch.Tensor]:
    return [value for value in chain(module.parameters(), module.buffers()) if value.is_floating_point()]


def _widen(values: list[torch.Tensor], kept: dict[int, tuple[torch.Tensor, torch.Tensor]]) -> None:
    for value in values:
        if value.dtype in HALF:
            kept[id(value)] = value, value.data
            value.data = value.data.float()


def _restore(values: list[torch.Tensor], kept: dict[int, tuple[torch.Tensor, torch.Tensor]]) -> None:
    for value in values:
        if id(value) in kept:
            value.data = kept.pop(id(value))[1]
