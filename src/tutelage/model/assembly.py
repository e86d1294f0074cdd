"""Put a model together for a stage: the base alone, the base with a fresh adapter, or the base with a trained one."""

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

# Names what takes its time from now on.
Waiting = Callable[[str], None]

# transformers' own, which every family has.
OWN_ATTENTION = "eager"
# What is opened of tuned weights beside them.
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
    """Load what training started from with its weights in the compute type: the base, with an adapter if one was given.

    `fallback_reason` is what training found out.
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
    """Load the model as it is trained: a frozen base under a float32 adapter, or in float32 with some or all weights.

    `probes` are two real examples on which the model is compared with one example at a time. One that cannot be run
    over prefix trees is run on padded rows. With `classes` its head is one for so many classes, and with `sets` of them
    for several labels. `waiting(label)` names each part that takes its time.
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
    """Load a model under an adapter that does something, over prefix trees or as transformers and peft run it.

    Where it cannot be run over trees, `fallback_reason` says so.
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
    """Load a model over prefix trees if it is exact over them, else on padded rows."""
    try:
        return _load_checked(source, device, dtype, probes, waiting, fallback_reason=None)
    except ModelError as fault:
        reason, code = str(fault), fault.code
    waiting("Loading the model again, for padded rows")
    # Not above, where the fault would keep the first model in memory beside the second.
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
    """Load a model and hold it against one example at a time; ModelError where it differs."""
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
    """Fuse what can be fused of a model that is run over trees, and find its frozen head."""
    if model.is_padded:
        return model
    if fuse_layers(undressed(model.module)):
        _leave_the_file(model.module)
        return_freed_memory()
    return replace(model, frozen_head=find_frozen_head(undressed(model.module)))


def _leave_the_file(module: Any) -> None:
    """Copy what still lies in the mapped file of the weights, so that its pages are let go of.

    Fused layers have joined copies of theirs; as long as one tensor is left in the file, all of it stays beside them.
    """
    for weight in module.parameters():
        is_joined = weight.untyped_storage().nbytes() > weight.nbytes
        if weight.device.type == "cpu" and not weight.requires_grad and not is_joined:
            weight.data = weight.data.clone()


def without_dropout(module: Any) -> Any:
    """Turn off the dropout that a base model brings, and return it: examples that share a prefix would share its mask.

    Dropout before the adapter (adapter.lora_dropout) is not touched; it is added later.
    """
    for layer in module.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
        for name, value in vars(layer).items():
            if "drop" in name and isinstance(value, float):  # a rate that the layer hands to a function
                setattr(layer, name, 0.0)
    return module


def check_tuned(folder: Path, tuning: Tuning) -> None:
    """Stop where what training left in `folder` is not whole, before anything rests on its being there."""
    if tuning.is_lora:
        check_adapter(folder)
    elif tuning.last_blocks is not None or (folder / WEIGHTS).exists():
        check_weights(folder)
    else:
        with tuned_faults(folder):
            for weights in check_model_folder(folder, needs=["config.json"]):
                read_header(weights)


def check_checksums(folder: Path, tuning: Tuning) -> None:
    """Stop as `check_tuned` does, and where weights or configuration do not match the folder's manifest.

    The model card beside them may be edited.
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
    """Load what training left in `folder`: an adapter on top of the base given, or a whole model.

    Of a base with a head for classes, the weights that were trained in place are exchanged.
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
    """Return the tuned model as transformers has it, one set of float32 weights, on the CPU.

    With `classes` its head is one for so many classes, as it was trained.
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
    """Write what was trained: the adapter in peft's format, naming its base model, or the whole model.

    A whole model with a head for classes is none that another program could load, so that it is weights alone.
    """
    if tuning.is_lora:
        save_adapter(model.module, folder, base=base)
    elif class_head_name(model.module):
        save_weights(model.module, folder, tuning)
    else:
        with quietly():
            model.module.save_pretrained(folder)


def restore_tuned(model: CausalModel, folder: Path, tuning: Tuning) -> None:
    """Give a model that is being trained the weights that `save_tuned` wrote, to the bit."""
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
