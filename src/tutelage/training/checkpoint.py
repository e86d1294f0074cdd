"""Checkpoints: everything from which a training goes on as if nothing had happened, in safetensors and JSON."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from tutelage.codes import Message
from tutelage.config.recipe import TRAINED, Recipe
from tutelage.config.recipe_file import FOUND_BY_HASH, PLACE_OF_WORK, TOLD, walk
from tutelage.errors import ModelError, RunFolderError, StorageError
from tutelage.model.assembly import restore_tuned, save_tuned
from tutelage.model.folders import LONGEST_REASON
from tutelage.model.forward import CausalModel
from tutelage.model.sources import ModelSource
from tutelage.run.folder import checkpoint_of, read_json, steps_in, write_json
from tutelage.system.runtime import name_dtype, processor_name
from tutelage.system.storage import (
    file_sha256,
    files_with_hashes,
    find_damage,
    move_aside,
    remove,
    replace_folder,
)
from tutelage.training.loop import TrainState

FORMAT = 2
STATE, MOMENTS = "state.json", "optimizer.safetensors"

# Settings that change no step, and may so be others when a training goes on.
FREE = (
    *PLACE_OF_WORK,
    *TOLD,
    *FOUND_BY_HASH,
    "training.save_steps",
    "training.save_total_limit",
    "training.sample_prompts",
    "training.early_stopping_patience",
)
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)


@dataclass(frozen=True)
class Checkpoint:
    """What state.json of a checkpoint says."""

    folder: Path
    progress: TrainState
    seconds: float  # of the whole training so far
    events_bytes: int  # the length of events.jsonl at that moment
    fingerprint: Mapping[str, Any]  # what must be the same for the training to go on, by its name
    machine: Mapping[str, Any]  # what must be the same for it to go on to the bit
    resumed: list[int]  # the steps after which it went on before
    allowed: list[str]  # what was not the same then, and was allowed


def fingerprint_of(data: Path, recipe: Recipe, source: ModelSource) -> dict[str, Any]:
    """Return what a training on a `data` folder rests on, each by a name that a person knows, as text or SHA-256."""
    settings = {
        name: value for name, value, _ in walk(recipe) if name.split(".")[0] in TRAINED and name not in FREE
    }
    rows = {f"{data.name}/{name}": str(found["sha256"]) for name, found in files_with_hashes(data).items()}
    of_model = {
        f"the model's {name}": source.files.get(name) or file_sha256(source.folder / name)
        for name in ("config.json", *TOKENIZER_FILES)
        if (source.folder / name).is_file()
    }
    start = {"the starting adapter": source.adapter.sha256} if source.adapter else {}
    return {**settings, **rows, **of_model, **start, "the base weights": source.fingerprint}


def changes_since(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name what is another than it was, with both values where it is a setting."""
    return [
        f"{name} (was {before.get(name)!r}, now {now.get(name)!r})"
        if "." in name and "/" not in name and not name.startswith("the ")
        else name
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name) and name not in FREE  # as of checkpoints from when it was not
    ]


def check_changes(earlier: Checkpoint, now: Mapping[str, Any], *, root: Path, is_allowed: bool) -> list[str]:
    """Return what changed since a checkpoint, or stop with it, unless changes are allowed."""
    changed = changes_since(earlier.fingerprint, now)
    if changed and not is_allowed:
        raise RunFolderError(
            "run.settings_changed",
            f"{root} has a training to resume after step {earlier.progress.step}. Changed since then:"
            f" {', '.join(changed)}. Revert the change; or add --allow-changes to resume anyway, which is"
            " recorded; or add --overwrite to start from scratch.",
        )
    return changed


def machine_of(model: CausalModel) -> dict[str, Any]:
    """Return what decides the last bits of a step, without names of users, hosts or folders."""
    return {
        "dtype": name_dtype(model.compute_dtype),
        "fallback_reason": model.fallback_reason,
        "threads": torch.get_num_threads(),
        "device": model.device.type,
        "processor": processor_name(),
        **{name: metadata.version(name) for name in ("torch", "transformers", "peft")},
    }


def write_checkpoint(
    model: CausalModel,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    *,
    base: str,
    checkpoint: Checkpoint,
) -> None:
    """Publish weights, optimiser and state as one folder."""
    progress = checkpoint.progress
    state = {
        "format": FORMAT,
        **{name: value for name, value in vars(checkpoint).items() if name not in ("folder", "progress")},
        "progress": {
            **asdict(progress),
            "losses": {str(step): loss for step, loss in progress.losses.items()},
        },
    }

    def fill(staged: Path) -> None:
        save_state(staged, model, optimizer, recipe, base=base)
        write_json(staged / STATE, state)

    replace_folder(checkpoint.folder, fill)


def save_state(
    folder: Path, model: CausalModel, optimizer: torch.optim.Optimizer, recipe: Recipe, *, base: str
) -> None:
    """Write the weights and the moments into a folder; the same numbers always make the same bytes."""
    save_tuned(model, folder, recipe.tuning, base=base)
    _save_moments(model, optimizer, folder / MOMENTS)


def _save_moments(model: CausalModel, optimizer: torch.optim.Optimizer, path: Path) -> None:
    try:
        save_file(
            {
                f"{name}/{key}": value.detach().contiguous()
                for name, parameter in model.module.named_parameters()
                if parameter in optimizer.state
                for key, value in optimizer.state[parameter].items()
            },
            path,
        )
    except SafetensorError as fault:  # its library tells of a full disk in words alone
        raise StorageError(
            "storage.write_failed",
            f"Could not write {path}: {fault}. Free some space there, then run the same command again.",
        ) from fault


def prune_checkpoints(checkpoints: Path, *, best: int | None, keep: int) -> None:
    """Remove all checkpoints but the latest `keep` and the best; one of them has just been published."""
    for step in steps_in(checkpoints)[:-keep]:
        if step != best:
            remove(checkpoint_of(checkpoints, step))


def find_checkpoint(
    checkpoints: Path, *, quarantine: Path, root: Path, tell: Callable[[Message], None]
) -> Checkpoint | None:
    """Return the newest whole checkpoint of the run in `root`, None where training has not saved one yet.

    Damaged ones are put into quarantine, and told. Where no whole one is left, StorageError: a training never starts
    from zero by itself.
    """
    for step in steps_in(checkpoints):
        folder = checkpoint_of(checkpoints, step)
        damage = find_damage(folder)
        if damage:
            place = move_aside(folder, quarantine / folder.name)
            told = f"{folder} is damaged ({damage}). It was moved to {place}, and will not be used."
            tell(Message("run.checkpoint_damaged", told))
    whole = steps_in(checkpoints)
    if whole:
        return read_checkpoint(checkpoints, whole[-1])
    if quarantine.exists():
        raise StorageError(
            "run.no_whole_checkpoint",
            f"All checkpoints of {root} are damaged; they are in {quarantine}. Put an undamaged one back"
            f" into {checkpoints}, or start from scratch: `tutelage train {root} --overwrite`.",
        )
    return None


def read_checkpoint(checkpoints: Path, step: int) -> Checkpoint:
    """Return what the state of a whole checkpoint says; StorageError where another version wrote it."""
    folder = checkpoint_of(checkpoints, step)
    with _misfits(folder):
        state = read_json(folder / STATE)
        if state.get("format") == FORMAT:
            checkpoint = TypeAdapter(Checkpoint).validate_python({**state, "folder": folder})
            progress = checkpoint.progress
            if progress.step != step:
                raise ValueError(f"it was saved after step {progress.step}")
            # Of a best checkpoint that was damaged nothing is left, so it can no longer be the result.
            lost = [at for at in progress.losses if at > 0 and not checkpoint_of(checkpoints, at).exists()]
            unsaved = tuple(sorted({*progress.unsaved, *lost}))
            return replace(checkpoint, progress=replace(progress, unsaved=unsaved))
    raise StorageError(
        "run.other_version",
        f"{folder} has format {state.get('format')} of another version of Tutelage, but this version reads"
        f" format {FORMAT}. Resume with that version, or start a new run.",
    )


@contextmanager
def _misfits(folder: Path) -> Iterator[None]:
    """Turn what a checkpoint lacks although its hashes are right into one message: somebody else wrote it."""
    try:
        yield
    except (SafetensorError, ModelError, RunFolderError, AttributeError, TypeError, ValueError) as fault:
        reason = " ".join(str(fault.__cause__ or fault).split())[:LONGEST_REASON].rstrip(".")
        raise StorageError(
            "run.checkpoint_not_ours",
            f"{folder} does not fit this training: {reason}. Move it away and run the same command again to"
            " resume from the checkpoint before it; or start a new run.",
        ) from fault


def restore(
    checkpoint: Checkpoint, model: CausalModel, optimizer: torch.optim.Optimizer, recipe: Recipe
) -> None:
    """Give model and optimiser the state that the checkpoint holds, to the bit."""
    named = {
        name: parameter for name, parameter in model.module.named_parameters() if parameter.requires_grad
    }
    saved: dict[str, dict[str, torch.Tensor]] = {name: {} for name in named}
    with _misfits(checkpoint.folder):
        restore_tuned(model, checkpoint.folder, recipe.tuning)
        for key, value in load_file(checkpoint.folder / MOMENTS).items():
            name, _, moment = key.rpartition("/")
            if name not in saved:
                raise ValueError(
                    f"{MOMENTS} contains {name}, which is not trained now; restore the earlier adapter.*"
                    " settings"
                )
            if value.ndim and value.shape != named[name].shape:
                raise ValueError(f"{MOMENTS} contains {name} with a different shape")
            saved[name][moment] = value.to(named[name].device) if value.ndim else value
        odd = [name for name, parameter in named.items() if not _is_finite(parameter, *saved[name].values())]
        if odd:
            raise ValueError(f"{odd[0]} or one of its optimizer moments is not finite")
    for name, parameter in named.items():
        optimizer.state[parameter] = saved[name]


def _is_finite(*values: torch.Tensor) -> bool:
    return all(bool(value.isfinite().all()) for value in values)
