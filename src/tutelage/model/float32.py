"""Run a model in float32 for a while, though its weights are kept in half precision: a layer at a time.

A decoder layer gets its weights in float32 when it is called and its own ones back after it; what stands outside of the
layers, which is the embedding, the last norm and the head, has them in float32 all the while, and so has a layer that
is never called itself, such as a dictionary of modules. Its own weights are never written, so that they come back to
the bit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch

HALF = (torch.bfloat16, torch.float16)


@contextmanager
def in_float32(module: Any) -> Iterator[None]:
    """Let a model that is kept in half precision compute in float32; one in a wider type is left as it is."""
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
