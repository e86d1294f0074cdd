"""Check a Hugging Face model folder before anything in it is loaded."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tutelage.errors import MemoryExhaustedError, ModelError
from tutelage.system.system_errors import is_short_of_memory

LONGEST_REASON = 300
# Files beside the weights that this program, its libraries and its converters open, or may open in other
# versions.
OPENED = ("*.json", "*.jinja", "*.model", "additional_chat_templates/*.jinja")
# Keys that make transformers open a different file, and the one file name that is allowed.
OTHER_FILES = {
    "transformers_weights": None,
    "configuration_files": "config.json",
    "fast_tokenizer_files": "tokenizer.json",
}
SHARD_NAME = re.compile(r"[A-Za-z0-9._-]{1,116}\.safetensors")


def check_model_folder(folder: Path, needs: Sequence[str] = ("config.json", "tokenizer.json")) -> list[Path]:
    """Return the safetensors files of a complete model; raise ModelError if a part is missing or could run
    code.
    """
    check_no_code(folder)
    if (folder / "adapter_config.json").exists():
        raise ModelError(
            "model.is_an_adapter",
            f"{folder} holds an adapter, not a full model. Set model.name_or_path to the adapter's base"
            f" model, and to train the adapter further model.adapter={folder}; or merge the two first.",
        )
    for needed in needs:
        if not (folder / needed).is_file():
            raise ModelError(
                "model.file_missing",
                f"{folder} has no {needed}, so it is not a full model. Add the file, or fix the path.",
            )
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    shards = _indexed_weights(index) if index.is_file() else []
    # The loader also prefers the single file if both exist.
    weights = shards if shards and not single.is_file() else [single]
    missing = [file.name for file in weights if not file.is_file()]
    if missing:
        raise ModelError(
            "model.no_safetensors",
            f"{folder} lacks its safetensors weights ({', '.join(missing[:5])}). Pickled weights (.bin, .pt)"
            " are never read, because loading them can run code. Save the model as safetensors first.",
        )
    return weights


def opened_files(folder: Path, weights: Sequence[Path]) -> list[Path]:
    """Return all files of a model that are opened: weights, index, configuration, tokenizer and templates.

    Optional files are included if they exist.
    """
    named = {path for pattern in OPENED for path in folder.glob(pattern) if path.is_file()}
    return [*weights, *sorted(named - {*weights})]


def check_no_code(folder: Path) -> None:
    """Raise ModelError if anything in `folder` requires custom code or a file from elsewhere."""
    _require_regular_files(folder)
    _check_links(folder)
    scripts = sorted(folder.rglob("*.py"))
    if scripts:
        raise ModelError(
            "model.contains_code",
            f"{scripts[0]} is code, and model folders with code are rejected. {_CODE_REMEDY}",
        )
    for config in sorted(folder.glob("*config.json")):
        value = read_json_file(config)
        for key in _keys_that_run_code(value):
            raise ModelError(
                "model.contains_code",
                f"{config} has `{key}`, which requires running the model's own code. {_CODE_REMEDY}",
            )
        for key in _keys_of_other_files(value):
            raise ModelError(
                "model.other_file_named",
                f"{config} has `{key}`, so transformers would open a file that was not checked. Remove the"
                " key, and give the file that it names the usual name.",
            )


def _require_regular_files(folder: Path) -> None:
    """Reject pipes, sockets and devices: reading one could block or never end."""
    for path in sorted(folder.rglob("*")):
        if path.exists() and not path.is_file() and not path.is_dir():
            raise ModelError(
                "model.not_a_file_or_folder",
                f"{path} is a pipe, a socket or a device, but a model folder may only hold files. Remove it.",
            )


def _check_links(folder: Path) -> None:
    """Reject links that leave the folder: they could bring any file into the run, for example as a chat
    template.

    The Hub client stores a model as links into a blobs folder beside its snapshots; those are allowed.
    """
    place = folder.resolve()
    inside = [place, *([place.parent.parent / "blobs"] if place.parent.name == "snapshots" else [])]
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() and not any(path.resolve().is_relative_to(each) for each in inside):
            raise ModelError(
                "model.link_outside",
                f"{path} is a link to a file outside the model folder. Replace the link with the file, or"
                " set model.name_or_path to the file's folder.",
            )


_CODE_REMEDY = "Remove it if the model works without it, or choose a model that transformers supports."


def _keys_that_run_code(value: Any) -> list[str]:
    asking = ("auto_map", "custom_pipelines", "trust_remote_code")
    return [key for found in _objects_in(value) for key in asking if found.get(key)]


def _keys_of_other_files(value: Any) -> list[str]:
    return [
        key
        for found in _objects_in(value)
        for key, usual in OTHER_FILES.items()
        if found.get(key) and found[key] not in (usual, [usual])
    ]


def _objects_in(value: Any) -> Iterator[dict[str, Any]]:
    """Yield all objects in a JSON value, at any depth."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def read_json_file(path: Path) -> dict[str, Any]:
    """Read a JSON object from a model folder; raise ModelError if there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as fault:
        raise ModelError(
            "model.file_unreadable", f"{path} could not be read: {fault}. Download the model folder again."
        ) from fault
    if not isinstance(value, dict):
        raise ModelError(
            "model.file_malformed", f"{path} does not hold a JSON object. Download the model folder again."
        )
    return value


def raise_if_short_of_memory(fault: Exception, what: str) -> None:
    """Raise MemoryExhaustedError if a library ran out of memory while reading; the file itself may be fine."""
    if is_short_of_memory(fault):
        reason = " ".join(str(fault).split())[:LONGEST_REASON].rstrip(".")
        raise MemoryExhaustedError(
            "device.out_of_memory",
            f"Out of memory for {what} ({reason or type(fault).__name__}). Close other programs, or raise"
            " the limit of this process (`ulimit -v`) if it has one.",
        ) from None


@contextmanager
def tuned_faults(folder: Path) -> Iterator[None]:
    """Turn any failure to load trained weights into one message that says how to restore them."""
    try:
        yield
    except MemoryExhaustedError:
        raise
    except Exception as fault:  # a damaged folder can fail anywhere in the libraries
        reason = " ".join(str(fault).split())[:LONGEST_REASON].rstrip(".")
        raise_if_short_of_memory(fault, f"the tuned model in {folder}")
        root = folder.parent if folder.name == "model" else folder.parent.parent  # or of a checkpoint
        raise ModelError(
            "run.model_damaged",
            f"The tuned model in {folder} could not be loaded: {reason}. Restore the folder, or train again:"
            f" `tutelage train {root} --overwrite`.",
        ) from fault


def read_header(weights: Path) -> list[str]:
    """Return the tensor names in a safetensors file; the library's exception if the file is incomplete."""
    return list(read_shapes(weights))


def read_shapes(weights: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor in a safetensors file from its header; the library's exception if it is
    damaged.
    """
    from safetensors import safe_open  # noqa: PLC0415 - only where weights are looked at

    with safe_open(weights, framework="numpy") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no dict


def _indexed_weights(index: Path) -> list[Path]:
    weight_map = read_json_file(index).get("weight_map")
    names: list[Any] = list(weight_map.values()) if isinstance(weight_map, dict) else [weight_map]
    odd = [name for name in names if not (isinstance(name, str) and SHARD_NAME.fullmatch(name))]
    if odd or not names:
        raise ModelError(
            "model.index_malformed",
            f"{index} does not map weights to plain .safetensors file names in its own"
            f" folder{f' ({odd[0]!r})' if odd else ''}. Download the model folder again from a source you"
            " trust.",
        )
    return [index.parent / name for name in sorted(set(names))]
