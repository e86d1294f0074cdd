"""LoRA adapters through peft; no other module uses peft."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import (
    LoraConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from peft.tuners.lora import Linear as LoraLinear
from safetensors import SafetensorError
from safetensors.torch import load_file

from tutelage.config.recipe import AdapterSettings
from tutelage.config.recipe_adapter import ALL_LINEAR
from tutelage.errors import ModelError, RecipeError
from tutelage.model.folders import read_header, tuned_faults
from tutelage.model.fused_lora import fuse_adapters
from tutelage.model.starting_adapter import StartingAdapter
from tutelage.model.target_modules import check_targets


def add_adapter(
    module: Any, settings: AdapterSettings, *, seed: int, fused: bool = True, trained_whole: str | None = None
) -> Any:
    """Freeze the model and add a new float32 adapter, initialized from the seed.

    With `fused=False` every layer keeps peft's own forward, for comparisons. The layer named `trained_whole`
    gets no adapter; all its weights are trained.
    """
    targets = _targets_in(module, settings)
    config = LoraConfig(
        r=settings.r,
        lora_alpha=settings.lora_alpha,  # type: ignore[arg-type]
        lora_dropout=settings.lora_dropout,
        target_modules=targets,
        fan_in_fan_out=any(type(layer).__name__ == "Conv1D" for layer in module.modules()),  # as in GPT-2
        task_type="CAUSAL_LM",
        modules_to_save=None if trained_whole is None else [trained_whole],
    )
    with torch.random.fork_rng(devices=[]), _without_advice():
        torch.manual_seed(seed)
        try:
            adapted = get_peft_model(module, config)
        except ValueError as fault:
            raise RecipeError(
                "settings.target_modules_unsuitable",
                f"adapter.target_modules is {settings.target_modules!r}, which does not fit this model: {fault}",
            ) from fault
    if fused:
        fuse_adapters(adapted, LoraLinear)
    return adapted


def _targets_in(module: Any, settings: AdapterSettings) -> str | list[str]:
    """Return the target modules for peft.

    A regular expression is replaced with the names it matches, because peft would match it without a time
    limit. Raise RecipeError if adapter.target_modules does not fit the loaded model, whose module names can
    differ from its files.
    """
    if settings.target_modules == ALL_LINEAR:
        return ALL_LINEAR
    dimensions = {
        name: getattr(getattr(layer, "weight", None), "ndim", 0) for name, layer in module.named_modules()
    }
    ends = [module.get_input_embeddings(), module.get_output_embeddings()]
    is_tied = ends[1] is not None and ends[0].weight is ends[1].weight
    tied = {name for name, layer in module.named_modules() if is_tied and any(layer is end for end in ends)}
    names = check_targets(settings.target_modules, dimensions, tied=tied)
    if not isinstance(settings.target_modules, str):
        return settings.target_modules
    endings = tuple(f".{name}" for name in names)
    if any(other.endswith(endings) for other in dimensions if other not in names):
        return "|".join(map(re.escape, names))  # peft also matches each name in a list as a suffix
    return names


def start_second_halves(module: Any, *, seed: int) -> None:
    """Fill the second LoRA matrices (B) with small random numbers; they start at 0, so a new adapter has no
    effect.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, weight in module.named_parameters():
        if ".lora_B." in name:
            weight.data.copy_(0.02 * torch.randn(weight.shape, generator=generator))


def load_adapter(module: Any, folder: Path) -> Any:
    """Load a saved adapter onto its base model; an adapter that is already there is overwritten."""
    if isinstance(module, PeftModel):
        check_adapter(folder)
        restore_adapter(module, folder)
        return module
    adapted = with_adapter(module, folder)
    fuse_adapters(adapted, LoraLinear)
    return adapted


def with_adapter(module: Any, folder: Path) -> Any:
    """Load a saved adapter with plain peft: every layer keeps peft's own forward."""
    check_adapter(folder)
    with _without_advice(), tuned_faults(folder):
        return PeftModel.from_pretrained(module, str(folder), is_trainable=False)


def merge_adapter(module: Any, folder: Path) -> Any:
    """Merge a saved adapter into the weights of its base model, in their dtype."""
    adapted = with_adapter(module, folder)
    with tuned_faults(folder):
        return adapted.merge_and_unload(safe_merge=True)


def start_from_adapter(module: Any, start: StartingAdapter) -> Any:
    """Load an adapter to train further, or to compare a trained one with.

    Raise ModelError if a layer does not fit the model or a weight is not finite.
    """
    adapted = add_adapter(module, start.settings, seed=0)
    fill_from_adapter(adapted, start)
    return adapted


def fill_from_adapter(adapted: Any, start: StartingAdapter) -> None:
    """Copy the weights of the starting adapter into a new adapter, as float32."""
    try:
        _take_weights(adapted, start.folder)
    except (OSError, SafetensorError, ValueError) as fault:
        raise ModelError(
            "model.adapter_does_not_fit",
            f"The adapter {start.name}, trained on {start.base_name}, does not fit the model: {fault}. Set"
            " model.name_or_path to its base model.",
        ) from fault


def restore_adapter(module: Any, folder: Path) -> None:
    """Restore the weights that `save_adapter` wrote into an adapter in training; they are bit-identical."""
    with tuned_faults(folder):
        _take_weights(module, folder)


def _take_weights(module: Any, folder: Path) -> None:
    saved = load_file(folder / "adapter_model.safetensors")
    own = get_peft_model_state_dict(module, save_embedding_layers=False)
    if {name: weight.shape for name, weight in own.items()} != {
        name: weight.shape for name, weight in saved.items()
    }:
        raise ValueError("its weights do not have this adapter's names or shapes")
    set_peft_model_state_dict(module, saved)


def check_adapter(folder: Path) -> None:
    """Raise ModelError if a file of a saved adapter is missing or damaged; only the header of the weights is
    read.
    """
    weights = folder / "adapter_model.safetensors"
    with _without_advice(), tuned_faults(folder):
        for part in (weights, folder / "adapter_config.json"):
            if not part.is_file():  # peft would look for it on the Hub
                raise FileNotFoundError(f"it holds no {part.name}")
        LoraConfig.from_pretrained(str(folder))
        read_header(weights)


def save_adapter(module: Any, folder: Path, *, base: str) -> None:
    """Write the adapter in peft's format, with the name of the base model."""
    for config in module.peft_config.values():
        config.base_model_name_or_path = base
        if isinstance(config.target_modules, set):  # its order differs between processes
            config.target_modules = sorted(config.target_modules)
    # By default peft asks the Hub whether the vocabulary of the base model grew; ours never does.
    module.save_pretrained(str(folder), save_embedding_layers=False)


@contextmanager
def _without_advice() -> Iterator[None]:
    """Suppress warnings that peft and transformers address to each other's developers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
