"""A training of an opened model: the loop, its checkpoints and samples, and the folder of the result."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import to_toml
from tutelage.errors import StorageError
from tutelage.model.forward import CausalModel
from tutelage.model.loading import load_tokenizer
from tutelage.model.sources import ModelSource
from tutelage.run.artifacts import Losses, TrainingResult, write_artifact
from tutelage.run.events import CheckpointNotSaved, ChecksumsSkipped, Event
from tutelage.run.folder import TRAINED_RECIPE, TRAINING, checkpoint_of, write_text
from tutelage.system.interruption import Interruption
from tutelage.system.platforms import peak_memory_bytes
from tutelage.system.runtime import name_dtype
from tutelage.system.storage import (
    MANIFEST,
    is_out_of_space,
    publish_folder,
    what_is_damaged,
)
from tutelage.training.checkpoint import (
    MOMENTS,
    STATE,
    Checkpoint,
    machine_of,
    prune_checkpoints,
    restore,
    write_checkpoint,
)
from tutelage.training.loop import Progress, Watch, plan_steps, train
from tutelage.training.model_card import model_card
from tutelage.training.objective import Objective
from tutelage.training.opening import OpenedRun
from tutelage.training.optimizer import make_optimizer, trainable_parameters
from tutelage.tree.examples import PreparedRow

NO_WEIGHTS = (MOMENTS, STATE, MANIFEST)  # of a checkpoint, what the model's folder does not need

# Answers prompts given as ids with texts; the stage above brings it, for training knows nothing of generation.
Answer = Callable[[CausalModel, Sequence[Sequence[int]]], list[str]]


class EventSink(Protocol):
    """Takes the events of a training and keeps them."""

    def begin(self) -> None:
        """Drop the events of an earlier training that this one does not go on with."""

    def emit(self, event: Event) -> None: ...

    def sync(self) -> int:
        """Wait until all events are on the disk; return how many bytes they and those before them are."""
        ...

    def holds(self, event: type[Event]) -> bool:
        """Tell whether such an event is among those on the disk."""
        ...


@dataclass(frozen=True)
class Tuned:
    """How far a training came, and what model/training.json says of it."""

    progress: Progress
    result: TrainingResult


def tune(
    recipe: Recipe,
    source: ModelSource,
    opened: OpenedRun,
    *,
    checkpoints: Path,
    identity: Mapping[str, Any],
    objective: Objective,
    answer: Answer,
    events: EventSink,
    interruption: Interruption,
    earlier: Checkpoint | None = None,
    accepted: Sequence[str] = (),
) -> Tuned:
    """Train from the beginning or from an earlier checkpoint; the checkpoints of all steps stand in one folder.

    `identity` is what the training rests on, which they record; `accepted` names what is another than in `earlier`.
    """
    begin = time.perf_counter()
    model = opened.model
    optimizer = make_optimizer(model.module, recipe.training)
    watched = opened.watched
    if earlier:
        restore(earlier, model, optimizer, recipe)
    now = Checkpoint(
        folder=checkpoints,
        progress=Progress(),
        seconds=0.0,
        events_bytes=0,
        identity=identity,
        machine=machine_of(model),
        resumed=[*earlier.resumed, earlier.progress.step] if earlier else [],
        accepted=[*(earlier.accepted if earlier else ()), *accepted],
    )
    seconds_before = earlier.seconds if earlier else 0.0

    def answer_samples() -> list[dict[str, Any]]:
        responses = answer(model, [row.example.prompt_ids for row in watched]) if watched else []
        return [
            {**_sample(row), "response": response} for row, response in zip(watched, responses, strict=True)
        ]

    events.begin()

    def save(progress: Progress, is_needed: bool) -> bool:
        checkpoint = replace(
            now,
            folder=checkpoint_of(checkpoints, progress.step),
            progress=progress,
            seconds=seconds_before + time.perf_counter() - begin,
        )
        try:
            checkpoint = replace(checkpoint, events_bytes=events.sync())
            write_checkpoint(model, optimizer, recipe, base=source.name, checkpoint=checkpoint)
        except StorageError as fault:
            if is_needed or not is_out_of_space(fault):
                raise
            events.emit(CheckpointNotSaved(step=progress.step, reason=str(fault)))
            return False
        prune_checkpoints(checkpoints, best=progress.best_step, keep=recipe.training.save_total_limit)
        return True

    if not source.is_checked:
        events.emit(ChecksumsSkipped(step=earlier.progress.step if earlier else 0))
    result = train(
        model,
        optimizer,
        opened.training,
        opened.validation,
        recipe.training,
        objective=objective,
        watch=Watch(events.emit, save, answer_samples),
        begin=earlier.progress if earlier else Progress(),
        interruption=interruption,
    )
    events.sync()
    planned = plan_steps(len(opened.training), recipe.training).steps
    seconds = seconds_before + time.perf_counter() - begin
    training = TrainingResult(
        steps=result.step,
        planned_steps=planned,
        best_step=result.kept_step,
        examples_per_second=result.examples / result.step_seconds,
        computed_tokens=result.computed_tokens,
        distinct_tokens=result.distinct_tokens,
        supervised_tokens=result.supervised_tokens,
        max_nodes=result.max_nodes,
        seconds=seconds,
        peak_memory_bytes=peak_memory_bytes(),
        dtype=name_dtype(model.compute_dtype),
        padded_because=model.padded_because,
        padded_code=model.padded_code,
        resumed=now.resumed,
        accepted_changes=now.accepted,
        trainable_parameters=sum(parameter.numel() for parameter in trainable_parameters(model.module)),
        loss=Losses(before=result.loss_before, after=result.loss_after, best=result.loss_best),
        model_files=dict(source.files),
        checksums="skipped" if events.holds(ChecksumsSkipped) else "verified",
    )
    return Tuned(result, training)


def fill_model_folder(folder: Path, best: Path, recipe: Recipe, source: ModelSource, tuned: Tuned) -> None:
    """Put the weights of the best checkpoint, the tokenizer and the model card where other stages look for them."""
    damage = what_is_damaged(best)
    if damage:
        raise StorageError(
            "run.checkpoint_damaged",
            f"{best}, whose weights are the result, is damaged ({damage}). Give the same command again: the training"
            " goes on without it.",
        )

    def fill(staged: Path) -> None:
        shutil.copytree(best, staged, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*NO_WEIGHTS))
        load_tokenizer(source.folder).save_pretrained(staged)
        write_text(staged / "README.md", model_card(recipe, source, tuned.progress))
        write_artifact(staged / TRAINING, tuned.result)
        write_text(staged / TRAINED_RECIPE, to_toml(recipe))

    publish_folder(folder, fill)


def _sample(row: PreparedRow) -> dict[str, Any]:
    return {"row": row.example.row, "prompt": row.prompt, "reference": row.response}
