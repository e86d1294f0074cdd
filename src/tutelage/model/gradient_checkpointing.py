"""Gradient checkpointing for transformers' own decoder layers, only for trees too long to keep all activations.

The fused layers of the Llama kind have their own (layer_step.py).
"""

from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from tutelage.model.cache_name import CACHE


def checkpoint_long_rows(module: Any) -> int:
    """Checkpoint every decoder layer that has transformers' own forward, and return how many there are."""
    layers = [
        layer
        for layer in module.modules()
        if isinstance(layer, GradientCheckpointingLayer) and not hasattr(layer.forward, "own_forward")
    ]
    for layer in layers:
        layer.forward = _CheckpointedForward(layer.forward)
    return len(layers)


class _CheckpointedForward:
    """The forward of one layer, recomputed in the backward pass if the plan of the tree asks for it."""

    def __init__(self, own_forward: Any) -> None:
        self.own_forward = own_forward

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        plan = options.get("tree_plan")
        keeps_all = plan is None or plan.keeps_layers or options.get(CACHE) is not None
        if keeps_all or not torch.is_grad_enabled():
            return self.own_forward(*arguments, **options)
        return checkpoint(self.own_forward, *arguments, use_reentrant=False, **options)
