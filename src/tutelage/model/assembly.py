"""Assemble a model for a stage: the base alone, with a new adapter, or with a trained one."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from tutelage.config.recipe import AdapterSettings, Tuning
from tutelage.errors import ModelError
from tutelage.model.adapters import (
    add_adapter,
    check_adapter,
    fill_from_adapter,
    load_adapter,
    merge_adapter,
    restore_adapter,
    save_adapter,
    start_from_adapter,
    start_second_halves,
)
from tutelage.model.class_head import class_head_name, with_class_head
from tutelage.model.decoder_layers import fuse_layers, fused_layers
from tutelage.model.folders import check_model_folder, read_header, tuned_faults
from tutelage.model.forward import MAX_NODES, CausalModel, undressed
from tutelage.model.gradient_checkpointing import checkpoint_long_rows
from tutelage.model.kept_memory import LayerWidths, largest_tree
from tutelage.model.loading import load_model, quietly
from tutelage.model.log_probs import find_frozen_head
from tutelage.model.parity_check import check_parity
from tutelage.model.sources import ModelSource
from tutelage.model.trained_weights import (
    WEIGHTS,
    check_weights,
    load_weights,
    save_weights,
    trained_weights,
)
from tutelage.model.tree_attention import ATTENTION
from tutelage.system.runtime import return_freed_memory
from tutelage.system.storage import MANIFEST, file_sha256
from tutelage.tree.examples import Example

# Called with a label before each slow part.
Waiting = Callable[[str], None]

# transformers' own attention, available in every model family.
OWN_ATTENTION = "eager"
# Configuration files that are read along with tuned weights.
CONFIGURATIONS = (
    "adapter_config.json",
    "config.json",
    "generation_config.json",
    "model.safetensors.index.json",
)


def load_base(
    source: ModelSource,
    device: torch.device,
    compute_dtype: torch.dtype,
    *,
    fallback_reason: str | None = None,
) -> CausalModel:
    """Load the model that training started from, in the compute dtype: the base, plus a starting adapter if
    there is one.

    `fallback_reason` is the one that training recorded.
    """
    attention = ATTENTION if fallback_reason is None else OWN_ATTENTION
    module = load_model(source.folder, dtype=compute_dtype, device=device, attention=attention)
    if source.adapter is not None:
        module = start_from_adapter(module, source.adapter)
    return _frozen(module, device, compute_dtype, fallback_reason)


def load_for_training(
    source: ModelSource,
    tuning: Tuning,
    device: torch.device,
    compute_dtype: torch.dtype,
    *,
    seed: int,
    probes: list[Example],
    classes: int | None = None,
    sets: Sequence[Sequence[int]] = (),
    waiting: Waiting = lambda label: None,
) -> CausalModel:
    """Load a model for training: a frozen base with a float32 adapter, or float32 weights, some or all of them
    trained.

    `probes` are two real examples for the parity check against one example at a time. A model that fails it on
    prefix trees runs on padded rows. `classes` replaces the head with one of that many classes; with `sets` of
    classes, a text can have several labels. `waiting(label)` is called before each slow part.
    """
    is_adapter = tuning.is_lora
    weights_dtype = compute_dtype if is_adapter else torch.float32
    base = _load_exact(source, device, weights_dtype, probes, waiting)
    if classes:
        base = with_class_head(base, classes, seed=seed, sets=sets)
    if is_adapter:
        base.module.requires_grad_(False)
        head = class_head_name(base.module)
        adapted = add_adapter(base.module, tuning.adapter, seed=seed, trained_whole=head)
        if source.adapter is not None:
            fill_from_adapter(adapted, source.adapter)
        model = _with_fast_paths(replace(base, module=adapted))
    else:
        model = replace(base, compute_dtype=compute_dtype, frozen_head=None)
        if tuning.last_blocks is not None:
            base.module.requires_grad_(False)
            for weight in trained_weights(base.module, tuning).values():
                weight.requires_grad_(True)
    checkpoint_long_rows(undressed(model.module))
    return_freed_memory()
    return replace(model, most_nodes=_largest_tree(model))


def _largest_tree(model: CausalModel) -> int:
    body = undressed(model.module).base_model
    return largest_tree(
        LayerWidths.read(body.config),
        most=MAX_NODES,
        itemsize=model.compute_dtype.itemsize,
        is_fused=fused_layers(body) > 0,
        weight_bytes=sum(weight.nbytes for weight in model.module.parameters()),
    )


def load_for_comparison(
    source: ModelSource, device: torch.device, dtype: torch.dtype, probes: list[Example], *, over_trees: bool
) -> CausalModel:
    """Load a model with a nonzero adapter, on prefix trees or as plain transformers and peft run it.

    If the model cannot run on trees, `fallback_reason` says why.
    """
    if over_trees:
        model = _load_exact(source, device, dtype, probes)
    else:
        model = _load_checked(
            source, device, dtype, probes, fallback_reason="transformers' own attention was requested"
        )
    model.module.requires_grad_(False)
    adapted = add_adapter(model.module, AdapterSettings(r=4, lora_alpha=8), seed=0, fused=over_trees)
    start_second_halves(adapted, seed=1)
    return _with_fast_paths(replace(model, module=adapted))


def _load_exact(
    source: ModelSource,
    device: torch.device,
    dtype: torch.dtype,
    probes: list[Example],
    waiting: Waiting = lambda label: None,
) -> CausalModel:
    """Load a model on prefix trees if it passes the parity check there, and on padded rows otherwise."""
    try:
        return _load_checked(source, device, dtype, probes, waiting, fallback_reason=None)
    except ModelError as fault:
        reason, code = str(fault), fault.code
    waiting("Loading the model again, for padded rows")
    # Load outside the handler: there, the exception would keep the first model in memory.
    model = _load_checked(source, device, dtype, probes, waiting, fallback_reason=reason)
    return replace(model, fallback_code=code)


def _load_checked(
    source: ModelSource,
    device: torch.device,
    dtype: torch.dtype,
    probes: list[Example],
    waiting: Waiting = lambda label: None,
    *,
    fallback_reason: str | None,
) -> CausalModel:
    """Load a model and check its parity with one example at a time; raise ModelError if it differs."""
    attention = ATTENTION if fallback_reason is None else OWN_ATTENTION
    module = load_model(source.folder, dtype=dtype, device=device, attention=attention)
    waiting("Checking the model's results against one row at a time")
    model = CausalModel(without_dropout(module), device, dtype, fallback_reason=fallback_reason)
    check_parity(model, probes)
    return model


def _frozen(
    module: Any, device: torch.device, compute_dtype: torch.dtype, fallback_reason: str | None
) -> CausalModel:
    module.requires_grad_(False)
    return _with_fast_paths(CausalModel(module, device, compute_dtype, fallback_reason=fallback_reason))


def _with_fast_paths(model: CausalModel) -> CausalModel:
    """Fuse the layers of a model that runs on trees, and find its frozen head."""
    if model.is_padded:
        return model
    if fuse_layers(undressed(model.module)):
        _leave_the_file(model.module)
        return_freed_memory()
    return replace(model, frozen_head=find_frozen_head(undressed(model.module)))


def _leave_the_file(module: Any) -> None:
    """Copy weights out of the mapped weight file, so that its pages are released.

    Fused layers hold merged copies of their weights. As long as a single tensor still maps the file, the whole
    file stays in memory beside them.
    """
    for weight in module.parameters():
        is_joined = weight.untyped_storage().nbytes() > weight.nbytes
        if weight.device.type == "cpu" and not weight.requires_grad and not is_joined:
            weight.data = weight.data.clone()


def without_dropout(module: Any) -> Any:
    """Turn off the base model's own dropout and return the model: examples that share a prefix would share its
    mask.

    adapter.lora_dropout is not affected; it is added later.
    """
    for layer in module.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
        for name, value in vars(layer).items():
            if "drop" in name and isinstance(value, float):  # a rate that the layer passes to a function
                setattr(layer, name, 0.0)
    return module


def check_tuned(folder: Path, tuning: Tuning) -> None:
    """Raise ModelError if the trained weights in `folder` are incomplete."""
    if tuning.is_lora:
        check_adapter(folder)
    elif tuning.last_blocks is not None or (folder / WEIGHTS).exists():
        check_weights(folder)
    else:
        with tuned_faults(folder):
            for weights in check_model_folder(folder, needs=["config.json"]):
                read_header(weights)


def check_checksums(folder: Path, tuning: Tuning) -> None:
    """Raise ModelError if the trained weights or their configuration do not match the manifest of the folder.

    The model card may have been edited.
    """
    check_tuned(folder, tuning)
    with tuned_faults(folder):
        _check_manifest(folder)


def _check_manifest(folder: Path) -> None:
    named = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    opened = [*folder.glob("*.safetensors"), *(folder / name for name in named if name in CONFIGURATIONS)]
    for name in sorted(
        {path.name for path in opened} | {name for name in named if name.endswith(".safetensors")}
    ):
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(f"it holds no {name}")
        if name not in named or file_sha256(path) != named[name]["sha256"]:
            raise ValueError(f"{name} does not match its checksum in {MANIFEST}")


def load_tuned(base: CausalModel, folder: Path, tuning: Tuning) -> CausalModel:
    """Load the trained weights in `folder`: an adapter on top of `base`, or a whole model.

    If `base` has a class head, the weights trained in place are replaced.
    """
    if tuning.is_lora:
        return _with_fast_paths(replace(base, module=load_adapter(base.module, folder)))
    if class_head_name(base.module):
        load_weights(base.module, folder, tuning)
        return _with_fast_paths(base)
    attention = ATTENTION if base.fallback_reason is None else OWN_ATTENTION
    with tuned_faults(folder):
        module = load_model(folder, dtype=base.compute_dtype, device=base.device, attention=attention)
    return _frozen(module, base.device, base.compute_dtype, base.fallback_reason)


def load_merged(source: ModelSource, folder: Path, tuning: Tuning, *, classes: int | None = None) -> Any:
    """Return the tuned model as a plain transformers model with merged float32 weights, on the CPU.

    With `classes`, it has a head of that many classes.
    """
    cpu = torch.device("cpu")
    if classes is None and not tuning.is_lora:
        with tuned_faults(folder):
            return load_model(folder, dtype=torch.float32, device=cpu, attention=OWN_ATTENTION)
    base = load_model(source.folder, dtype=torch.float32, device=cpu, attention=OWN_ATTENTION)
    if classes is not None:
        base = with_class_head(CausalModel(base, cpu, torch.float32), classes, seed=0).module
    if tuning.is_lora:
        return merge_adapter(base, folder)
    load_weights(base, folder, tuning)
    return base


def save_tuned(model: CausalModel, folder: Path, tuning: Tuning, *, base: str) -> None:
    """Write the trained weights: the adapter in peft's format with the name of its base model, or the whole
    model.

    A whole model with a class head could not be loaded by other programs, so only its trained weights are
    written.
    """
    if tuning.is_lora:
        save_adapter(model.module, folder, base=base)
    elif class_head_name(model.module):
        save_weights(model.module, folder, tuning)
    else:
        with quietly():
            model.module.save_pretrained(folder)


def restore_tuned(model: CausalModel, folder: Path, tuning: Tuning) -> None:
    """Restore the weights that `save_tuned` wrote into a model in training; they are bit-identical."""
    if tuning.is_lora:
        restore_adapter(model.module, folder)
        return
    if class_head_name(model.module):
        load_weights(model.module, folder, tuning)
        return
    with tuned_faults(folder):
        files = folder.glob("model*.safetensors")
        saved = {name: weight for path in files for name, weight in load_file(path).items()}
        report = model.module.load_state_dict(saved, strict=False)
        tied = set(getattr(model.module, "all_tied_weights_keys", None) or ())
        odd = sorted({*report.unexpected_keys, *report.missing_keys} - tied)
        if odd:
            raise ValueError(f"its weights do not belong to this model ({', '.join(odd[:5])})")
