"""Put a model together for a stage: the base alone, the base with a fresh adapter, or the base with a trained one."""

from pathlib import Path
from typing import Any

import torch

from tutelage.data.examples import Example
from tutelage.model.adapters import add_adapter, check_adapter, load_adapter, save_adapter
from tutelage.model.folders import check_model_folder, read_header, tuned_faults
from tutelage.model.forward import CausalModel, undressed
from tutelage.model.loading import load_model, quietly
from tutelage.model.log_probs import find_frozen_head
from tutelage.model.self_check import refuse_unless_tree_is_exact
from tutelage.model.sources import ModelSource
from tutelage.model.tree_attention import ATTENTION
from tutelage.recipe import AdapterSettings


def open_base(source: ModelSource, device: torch.device, compute_dtype: torch.dtype) -> CausalModel:
    """Load the untuned model with its weights in the compute type."""
    module = load_model(source.folder, dtype=compute_dtype, device=device, attention=ATTENTION)
    return _frozen(module, device, compute_dtype)


def open_for_training(
    source: ModelSource,
    settings: AdapterSettings,
    device: torch.device,
    compute_dtype: torch.dtype,
    *,
    seed: int,
    probes: list[Example],
) -> CausalModel:
    """Load the model as it is trained: a frozen base under a float32 adapter, or every weight in float32.

    `probes` are two real examples on which the tree is compared with one example at a time.
    """
    is_adapter = settings.type == "lora"
    weights_dtype = compute_dtype if is_adapter else torch.float32
    module = load_model(source.folder, dtype=weights_dtype, device=device, attention=ATTENTION)
    without_dropout(module)
    base = (
        _frozen(module, device, weights_dtype) if is_adapter else CausalModel(module, device, weights_dtype)
    )
    refuse_unless_tree_is_exact(base, probes)
    if not is_adapter:
        return CausalModel(module, device, compute_dtype)
    adapted = add_adapter(module, settings, seed=seed)
    return CausalModel(adapted, device, compute_dtype, find_frozen_head(undressed(adapted)))


def _frozen(module: Any, device: torch.device, compute_dtype: torch.dtype) -> CausalModel:
    module.requires_grad_(False)
    return CausalModel(module, device, compute_dtype, find_frozen_head(module))


def without_dropout(module: torch.nn.Module) -> None:
    """Turn off the dropout that a base model brings: examples that share a prefix would share its mask.

    Dropout before the adapter (adapter.lora_dropout) is not touched; it is added later.
    """
    for layer in module.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
        for name, value in vars(layer).items():
            if "drop" in name and isinstance(value, float):  # a rate that the layer hands to a function
                setattr(layer, name, 0.0)


def check_tuned(folder: Path, settings: AdapterSettings) -> None:
    """Stop where what training left in `folder` is not whole, before anything rests on its being there."""
    if settings.type == "lora":
        check_adapter(folder)
    else:
        with tuned_faults(folder):
            for weights in check_model_folder(folder):
                read_header(weights)


def open_tuned(base: CausalModel, folder: Path, settings: AdapterSettings) -> CausalModel:
    """Load what training left in `folder`: an adapter on top of the base given, or a whole model."""
    if settings.type == "lora":
        adapted = load_adapter(base.module, folder)
        return CausalModel(adapted, base.device, base.compute_dtype, find_frozen_head(undressed(adapted)))
    with tuned_faults(folder):
        module = load_model(folder, dtype=base.compute_dtype, device=base.device, attention=ATTENTION)
    return _frozen(module, base.device, base.compute_dtype)


def save_tuned(model: CausalModel, folder: Path, settings: AdapterSettings, *, base: str) -> None:
    """Write what was trained: the adapter in peft's format, naming its base model, or the whole model."""
    if settings.type == "lora":
        save_adapter(model.module, folder, base=base)
    else:
        with quietly():
            model.module.save_pretrained(folder)
