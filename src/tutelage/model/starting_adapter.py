"""Read and check a LoRA adapter in PEFT format to continue training from, before it is loaded.

Only its configuration and the header of its weights are read, without torch. Anything other than plain LoRA is
rejected, and the error names the field.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tutelage.config.recipe_adapter import AdapterSettings
from tutelage.errors import ModelError
from tutelage.model.folders import raise_if_short_of_memory, read_header, read_json_file
from tutelage.system.storage import MANIFEST, file_sha256

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# The settings that determine what an adapter computes; the others in [adapter] concern its training.
OWN_SETTINGS = ("r", "lora_alpha", "target_modules")
# Fields that do not affect what plain LoRA computes from the weights.
WITHOUT_EFFECT = (
    "task_type",
    "auto_mapping",
    "peft_version",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "lora_dropout",  # of the earlier training
    "fan_in_fan_out",  # follows from the base model's layers
    "megatron_core",  # has no effect without megatron_config
    "qalora_group_size",  # has no effect without use_qalora
    "peft_type",
    *OWN_SETTINGS,
)
# Initializations that leave the weights of the base model unchanged.
PLAIN_BEGINNINGS = ("gaussian", "orthogonal")
LONGEST_REASON = 200


@dataclass(frozen=True)
class StartingAdapter:
    """An adapter on this machine; `sha256` identifies its weights and configuration.

    For the adapter of a run, `base_sha256` is the fingerprint of its base model and `prompt` the prompt style
    of its rows; otherwise they are None. `named_base` is the base model that the adapter names, if any.
    """

    folder: Path
    name: str
    sha256: str
    settings: AdapterSettings
    named_base: str | None
    base_sha256: str | None = None
    prompt: str | None = None

    @property
    def base_name(self) -> str:
        """The base model's name for messages."""
        return self.named_base or "an unnamed base model"


def read_adapter(folder: Path, name: str) -> StartingAdapter:
    """Read an adapter in PEFT format; raise ModelError if it is incomplete or not plain LoRA."""
    for part in (CONFIG, WEIGHTS):
        if not (folder / part).is_file():
            raise ModelError(
                "model.adapter_file_missing",
                f"model.adapter is {name}, but {folder} has no {part}. Set model.adapter to a run, or to a"
                " folder that holds an adapter in PEFT format as safetensors.",
            )
    config = read_json_file(folder / CONFIG)
    _require_lora(config, name)
    try:
        read_header(folder / WEIGHTS)
    except Exception as fault:  # the library's own errors, and the system's
        raise_if_short_of_memory(fault, f"the header of {folder / WEIGHTS}")
        reason = " ".join(str(fault).split())[:LONGEST_REASON].rstrip(".")
        raise _damaged(folder, f"{WEIGHTS} cannot be read: {reason}") from fault
    hashes = {part: file_sha256(folder / part) for part in (CONFIG, WEIGHTS)}
    base = config.get("base_model_name_or_path")
    _check_manifest(folder, hashes)
    return StartingAdapter(
        folder,
        name,
        hashlib.sha256("\n".join(hashes.values()).encode()).hexdigest(),
        _settings_of(config, folder),
        str(base) if base else None,
    )


def check_adapter_unchanged(adapter: StartingAdapter) -> None:
    """Read an adapter again; raise ModelError if it has changed since the command started."""
    if read_adapter(adapter.folder, adapter.name).sha256 != adapter.sha256:
        raise _damaged(adapter.folder, "it has changed since this command started")


def _require_lora(config: Mapping[str, Any], name: str) -> None:
    kind = config.get("peft_type")
    if kind != "LORA":
        raise ModelError(
            "model.adapter_not_lora",
            f"The adapter {name} has the type {kind}, but only LoRA can be trained further. Merge it into"
            " its base model with the program that trained it, and set model.name_or_path to the merged"
            " model.",
        )
    odd = [
        field
        for field, value in config.items()
        if field not in WITHOUT_EFFECT and not _is_plain(field, value)
    ]
    if odd:
        told = ", ".join(f"{field}={config[field]!r}"[:LONGEST_REASON] for field in odd)
        raise ModelError(
            "model.adapter_not_supported",
            f"The adapter {name} is not plain LoRA ({told}) and would give different results here. Merge it"
            " into its base model with the program that trained it, and set model.name_or_path to the merged"
            " model.",
        )


def _is_plain(field: str, value: Any) -> bool:
    """Return whether a field has no effect; unknown fields must be empty."""
    if field == "init_lora_weights":
        return isinstance(value, bool) or value in PLAIN_BEGINNINGS
    if isinstance(value, str | list | dict):
        return value in ("none", [], {})
    return value is None or value is False  # not 0: that can be a layer number


def _settings_of(config: Mapping[str, Any], folder: Path) -> AdapterSettings:
    found = {name: config.get(name) for name in OWN_SETTINGS}
    try:
        return AdapterSettings.model_validate(found)
    except ValidationError as fault:
        told = "; ".join(f"{error['loc'][0]} {error['msg']}" for error in fault.errors())
        raise _damaged(folder, f"in {CONFIG}, {told}") from fault


def _check_manifest(folder: Path, hashes: Mapping[str, str]) -> None:
    """Compare an adapter with the manifest that Tutelage wrote beside it, if there is one."""
    if not (folder / MANIFEST).is_file():
        return
    named = read_json_file(folder / MANIFEST).get("files")
    for part, found in hashes.items():
        entry = named.get(part) if isinstance(named, dict) else None
        if not isinstance(entry, dict) or entry.get("sha256") != found:
            raise _damaged(folder, f"{part} does not match its checksum in {MANIFEST}")


def _damaged(folder: Path, reason: str) -> ModelError:
    return ModelError(
        "model.adapter_damaged",
        f"The adapter in {folder} cannot be trained further: {reason}. Restore the folder, or use another"
        " adapter: --set model.adapter=...",
    )
