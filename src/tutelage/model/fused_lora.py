"""Run linear layers and their LoRA adapters as one autograd step, patched onto peft's modules.

Layers with the same input (query, key and value; gate and up) become one product. Models whose whole decoder
layers are fused (decoder_layers.py) do not use this; it serves all other families.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from tutelage.model.linear_groups import GroupWeights, LinearGroup, is_plain, project, project_back

# Sibling layers with the same input, as named in Llama and its many relatives.
SHARED_INPUTS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


def fuse_adapters(module: torch.nn.Module, lora_linear: type[Any]) -> int:
    """Give every plain LoRA layer the fused forward and return how many there are; the others keep peft's."""
    fused = 0
    for parent in list(module.modules()):
        plain = {
            name: child
            for name, child in parent.named_children()
            if isinstance(child, lora_linear) and is_plain(child)
        }
        for names in _groups(set(plain)):
            group = _SharedResults(LinearGroup([plain[name] for name in names]))
            for place, name in enumerate(names):
                plain[name].forward = _FusedForward(group, place, plain[name].forward)  # type: ignore[method-assign]
            fused += len(names)
    return fused


def _groups(names: set[str]) -> Iterator[tuple[str, ...]]:
    whole = [group for group in SHARED_INPUTS if names.issuperset(group)]
    yield from whole
    yield from ((name,) for name in sorted(names.difference(*whole)))


def group_of(layers: Sequence[Any]) -> LinearGroup:
    """Return the existing group of these layers, or a new one; a second group would duplicate their weights."""
    group = getattr(layers[0].forward, "group", None)
    return group if group is not None and group.layers == list(layers) else LinearGroup(layers)


class _SharedResults:
    """The outputs of a group: the first layer that is called computes them all, and the others take theirs."""

    def __init__(self, group: LinearGroup) -> None:
        self.group = group
        self._input: torch.Tensor | None = None
        self._results: list[torch.Tensor | None] = []

    def take(self, place: int, x: torch.Tensor) -> torch.Tensor:
        """Return the output of one layer, (…, out)."""
        if self._input is not x or self._results[place] is None:
            self._input = x
            self._results = [*self._compute(x)]
        result = self._results[place]
        assert result is not None
        self._results[place] = None
        if not any(part is not None for part in self._results):
            self._input = None  # free the input once every layer has taken its output
        return result

    def _compute(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        masters = self.group.masters
        flat = x.reshape(-1, x.shape[-1])  # (tokens, in)
        results = _LinearWithAdapters.apply(flat, self.group.weights(masters), *masters)
        return (result.view(*x.shape[:-1], -1) for result in results)


class _FusedForward:
    """The fused forward of one layer; falls back to peft's own if the state of the adapter has changed."""

    def __init__(self, results: _SharedResults, place: int, own_forward: Any) -> None:
        self._results, self._place, self._own_forward = results, place, own_forward

    @property
    def group(self) -> LinearGroup:
        return self._results.group

    def __call__(self, x: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        # Under autocast, peft casts by itself.
        is_other = torch.is_autocast_enabled(x.device.type) or not self._results.group.is_as_built()
        if arguments or options or is_other:
            return self._own_forward(x, *arguments, **options)
        return self._results.take(self._place, x)


class _LinearWithAdapters(torch.autograd.Function):
    """The product of a group as one autograd step, with gradients for x, each A and each B."""

    @staticmethod
    def forward(
        context: Any,
        x: torch.Tensor,  # (tokens, in)
        group: GroupWeights,
        *masters: torch.Tensor,  # every A, (rank, in), then every B, (out, rank), in float32
    ) -> tuple[torch.Tensor, ...]:
        assert group.down is not None, "only layers with an adapter are fused here"
        inner = x @ group.down.t()  # (tokens, ranks)
        result = project(torch.cat([x, inner], dim=1), group)
        context.save_for_backward(x, inner)
        context.group = group
        outs = [adapter.rows.stop - adapter.rows.start for adapter in group.adapters]
        return result.split(outs, dim=1)

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        x, inner = context.saved_tensors
        gradient = torch.cat(gradients, dim=1) if len(gradients) > 1 else gradients[0].contiguous()
        x_gradient, of_masters = project_back(gradient, x, inner, context.group)
        return x_gradient, None, *of_masters
