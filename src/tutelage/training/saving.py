"""What a training leaves behind: its checkpoints, what it came to, and the folder of the tuned model."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch

from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import to_toml
from tutelage.errors import StorageError
from tutelage.model.forward import CausalModel
from tutelage.model.loading import load_tokenizer
from tutelage.model.sources import ModelSource
from tutelage.run.artifacts import Losses, TrainingResult, write_artifact
from tutelage.run.events import CheckpointNotSaved, ChecksumsSkipped, Event
from tutelage.run.folder import TRAINED_RECIPE, TRAINING, checkpoint_of, write_text
from tutelage.system.platforms import peak_memory_bytes
from tutelage.system.runtime import name_dtype
from tutelage.system.storage import MANIFEST, find_damage, is_out_of_space, replace_folder
from tutelage.training.checkpoint import (
    MOMENTS,
    STATE,
    Checkpoint,
    machine_of,
    prune_checkpoints,
    write_checkpoint,
)
from tutelage.training.loop import TrainState
from tutelage.training.model_card import model_card
from tutelage.training.optimizer import trainable_parameters

NO_WEIGHTS = (MOMENTS, STATE, MANIFEST)  # of a checkpoint, what the model's folder does not need


class EventSink(Protocol):
    """Takes the events of a training and keeps them."""

    def emit(self, event: Event) -> None: ...

    def sync(self) -> int:
        """Wait until all events are on the disk; return how many bytes they and those before them are."""
        ...

    def holds(self, event: type[Event]) -> bool:
        """Tell whether such an event is among those on the disk."""
        ...


class Saver:
    """Keeps the checkpoints of one training in a folder, and says what it came to.

    They record the `fingerprint` of the training; `allowed` names what differs from that of the `earlier`
    checkpoint that it goes on from.
    """

    def __init__(
        self,
        model: CausalModel,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        source: ModelSource,
        *,
        checkpoints: Path,
        fingerprint: Mapping[str, Any],
        events: EventSink,
        earlier: Checkpoint | None = None,
        allowed: Sequence[str] = (),
    ) -> None:
        self._model, self._optimizer = model, optimizer
        self._recipe, self._source = recipe, source
        self._events = events
        self._begin = time.perf_counter() - (earlier.seconds if earlier else 0.0)
        self._now = Checkpoint(
            folder=checkpoints,
            progress=TrainState(),
            seconds=0.0,
            events_bytes=0,
            fingerprint=fingerprint,
            machine=machine_of(model),
            resumed=[*earlier.resumed, earlier.progress.step] if earlier else [],
            allowed=[*(earlier.allowed if earlier else ()), *allowed],
        )

    def save(self, progress: TrainState, is_needed: bool) -> bool:
        """Keep a checkpoint and tell whether there was room for it; for one that is needed, StorageError."""
        checkpoints = self._now.folder
        checkpoint = replace(
            self._now,
            folder=checkpoint_of(checkpoints, progress.step),
            progress=progress,
            seconds=self._seconds(),
        )
        try:
            checkpoint = replace(checkpoint, events_bytes=self._events.sync())
            write_checkpoint(
                self._model, self._optimizer, self._recipe, base=self._source.name, checkpoint=checkpoint
            )
        except StorageError as fault:
            if is_needed or not is_out_of_space(fault):
                raise
            self._events.emit(CheckpointNotSaved(step=progress.step, reason=str(fault)))
            return False
        keep = self._recipe.training.save_total_limit
        prune_checkpoints(checkpoints, best=progress.best_step, keep=keep)
        return True

    def result(self, progress: TrainState, *, planned_steps: int) -> TrainingResult:
        """Return what model/training.json says of the training, once it is over."""
        self._events.sync()
        model = self._model
        return TrainingResult(
            format=2,
            steps=progress.step,
            planned_steps=planned_steps,
            best_step=progress.kept_step,
            examples_per_second=progress.examples / progress.step_seconds,
            computed_tokens=progress.computed_tokens,
            distinct_tokens=progress.distinct_tokens,
            supervised_tokens=progress.supervised_tokens,
            max_nodes=progress.max_nodes,
            seconds=self._seconds(),
            peak_memory_bytes=peak_memory_bytes(),
            dtype=name_dtype(model.compute_dtype),
            fallback_reason=model.fallback_reason,
            fallback_code=model.fallback_code,
            resumed=self._now.resumed,
            allowed_changes=self._now.allowed,
            trainable_parameters=sum(parameter.numel() for parameter in trainable_parameters(model.module)),
            loss=Losses(before=progress.loss_before, after=progress.loss_after, best=progress.loss_best),
            model_files=dict(self._source.files),
            checksums="skipped" if self._events.holds(ChecksumsSkipped) else "verified",
        )

    def _seconds(self) -> float:
        """Return how long the training took so far, that before the earlier checkpoint included."""
        return time.perf_counter() - self._begin


def fill_model_folder(
    folder: Path,
    best: Path,
    recipe: Recipe,
    source: ModelSource,
    *,
    progress: TrainState,
    result: TrainingResult,
) -> None:
    """Put the weights of the best checkpoint, the tokenizer and the model card where other stages look for them."""
    damage = find_damage(best)
    if damage:
        raise StorageError(
            "run.checkpoint_damaged",
            f"{best}, the best checkpoint, is damaged ({damage}). Run the same command again to continue the"
            " training without it.",
        )

    def fill(staged: Path) -> None:
        shutil.copytree(best, staged, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*NO_WEIGHTS))
        load_tokenizer(source.folder).save_pretrained(staged)
        write_text(staged / "README.md", model_card(recipe, source, progress))
        write_artifact(staged / TRAINING, result)
        write_text(staged / TRAINED_RECIPE, to_toml(recipe))

    replace_folder(folder, fill)
