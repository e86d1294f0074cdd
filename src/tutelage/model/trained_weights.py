"""Save and load the weights that are trained in place under a class head."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tutelage.config.recipe import Tuning
from tutelage.errors import ModelError
from tutelage.model.folders import read_header, tuned_faults

WEIGHTS = "trained_weights.safetensors"


def trained_weights(module: Any, tuning: Tuning) -> dict[str, torch.nn.Parameter]:
    """Return the trained weights by name: all of them, or the last blocks, the last norm and the head.

    Raise ModelError if the blocks of the model cannot be identified.
    """
    everything = dict(module.named_parameters())
    if tuning.method == "full":
        return everything
    parts = [*_last_parts(module.base_model, tuning), module.get_output_embeddings()]
    chosen = {id(weight) for part in parts for weight in part.parameters()}
    return {name: weight for name, weight in everything.items() if id(weight) in chosen}


def _last_parts(body: Any, tuning: Tuning) -> list[torch.nn.Module]:
    """Return the last blocks and the norm after them; nothing if no block is trained."""
    if not tuning.last_blocks:
        return []
    parts = list(body.children())
    lists = [place for place, part in enumerate(parts) if isinstance(part, torch.nn.ModuleList)]
    if len(lists) != 1 or len(parts[lists[0]]) != body.config.num_hidden_layers:
        raise ModelError(
            "settings.blocks_not_supported",
            f"training.method is {tuning.method}, but Tutelage does not know which parts of a"
            f" {body.config.model_type} model that is. Choose another model, or training.method=lora.",
        )
    return [*list(parts[lists[0]])[-tuning.last_blocks :], *parts[lists[0] + 1 :]]


def save_weights(module: Any, folder: Path, tuning: Tuning) -> None:
    """Write the trained weights in their dtype."""
    weights = {name: weight.detach() for name, weight in trained_weights(module, tuning).items()}
    save_file({name: weight.contiguous() for name, weight in weights.items()}, folder / WEIGHTS)


def load_weights(module: Any, folder: Path, tuning: Tuning) -> None:
    """Load the weights that `save_weights` wrote; they are bit-identical if the dtype is the same."""
    with tuned_faults(folder):
        saved, own = load_file(folder / WEIGHTS), trained_weights(module, tuning)
        if {name: weight.shape for name, weight in saved.items()} != {
            name: weight.shape for name, weight in own.items()
        }:
            raise ValueError(f"{WEIGHTS} does not hold the names or shapes of the trained weights")
        with torch.no_grad():
            for name, weight in own.items():
                weight.copy_(saved[name])


def check_weights(folder: Path) -> None:
    """Raise ModelError if the file is missing or truncated; only its header is read."""
    with tuned_faults(folder):
        if not (folder / WEIGHTS).is_file():
            raise FileNotFoundError(f"it holds no {WEIGHTS}")
        read_header(folder / WEIGHTS)
