"""Stage 2 as a whole: open the model, train it, keep the best and the last, and fill the model folder."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import to_toml
from tutelage.data.dataset.preparation import refuse_unknown_ids
from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.errors import StorageError
from tutelage.model.assembly import Waiting, open_for_training
from tutelage.model.forward import CausalModel
from tutelage.model.loading import context_length, load_tokenizer, vocabulary_size
from tutelage.model.sources import ModelSource
from tutelage.run.artifacts import Losses, TrainingResult, write_artifact
from tutelage.run.events import CheckpointNotSaved, ChecksumsSkipped, Event
from tutelage.run.folder import TRAINED_RECIPE, TRAINING, checkpoint_of, write_text
from tutelage.system.interruption import Interruption
from tutelage.system.platforms import peak_memory_bytes
from tutelage.system.runtime import choose_device, choose_dtype, name_dtype
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
from tutelage.training.optimizer import make_optimizer, trainable_parameters
from tutelage.training.preflight import refuse_without_memory
from tutelage.tree.examples import Example, PreparedRow, Unit
from tutelage.tree.prefix_tree import common_prefix_length

NO_WEIGHTS = (MOMENTS, STATE, MANIFEST)  # of a checkpoint, what the model's folder does not need
PROBE_TOKENS = (
    512  # of an example on which the model proves itself, where it does not share more with the other
)
SAMPLE_TOKENS = 64  # the longest answer that is shown while the model learns

# Answers prompts given as ids with texts; the stage above brings it, for training knows nothing of generation.
Answer = Callable[[CausalModel, Sequence[Sequence[int]]], list[str]]


def as_examples(rows: PreparedRows) -> Sequence[Example]:
    """Return the examples of prepared rows, each read when it is asked for."""
    return rows.examples


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
class OpenedRun:
    """A run whose model and rows are in memory, ready for the first step."""

    model: CausalModel
    training: Sequence[Unit]
    validation: Sequence[Unit]
    watched: list[PreparedRow]  # the first validation rows whose prompt leaves room for a sample answer


def open_run(
    recipe: Recipe,
    source: ModelSource,
    *,
    training: PreparedRows,
    validation: PreparedRows,
    units: Callable[[PreparedRows], Sequence[Unit]] = as_examples,
    classes: int | None = None,
    label_sets: Sequence[Sequence[int]] = (),
    earlier: Checkpoint | None = None,
    waiting: Waiting = lambda label: None,
) -> OpenedRun:
    """Load the model as it is trained, and hold the recipe and the rows against it; nothing is written.

    `units` gives what the training counts as one each. With `classes` the model gets a head for so many labels;
    `label_sets` are what the targets stand for where a text has several. `waiting(label)` names what is waited for from
    then on, after the loading.

    What was chosen by measurement when the training began is not measured again when it goes on from `earlier`.
    """
    for rows in (training, validation):
        refuse_unknown_ids(rows, vocabulary=vocabulary_size(source.folder))
    device = choose_device(recipe.training.device)
    wanted = recipe.training.dtype
    if earlier:
        wanted = earlier.machine["dtype"] if wanted == "auto" else wanted
        torch.set_num_threads(earlier.machine["threads"])
    dtype = choose_dtype(wanted, device)
    refuse_without_memory(source.folder, recipe, bytes_per_weight=dtype.itemsize)
    trained, validated = units(training), units(validation)
    probes = [probe.without_label() for probe in probe_examples(training.examples, training.lengths)]
    model = open_for_training(
        source,
        recipe.adapter,
        device,
        dtype,
        seed=recipe.training.seed,
        probes=probes,
        classes=classes,
        sets=label_sets,
        waiting=waiting,
    )
    room = context_length(source.folder) - SAMPLE_TOKENS
    fitting = np.flatnonzero(validation.prompt_tokens <= room)[: recipe.training.sample_prompts]
    sampled = [validation[index] for index in fitting.tolist()]
    watched = [row for row in sampled if not row.example.predicts_label]  # whose answer is no text
    return OpenedRun(model, trained, validated, watched)


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


def probe_examples(examples: Sequence[Example], tokens: np.ndarray) -> list[Example]:
    """Return two examples of middle length, on which the model proves itself; `tokens` are the lengths of all."""
    begin = (len(tokens) - 1) // 2
    lengths = np.sort(tokens)[begin : begin + 2]
    # Of equal length the ids decide, so that rows in another order make no other probes.
    candidates = [examples[index] for index in np.flatnonzero(np.isin(tokens, lengths)).tolist()]
    candidates.sort(key=lambda example: (len(example.ids), example.ids))
    shorter = int((tokens < lengths[0]).sum())
    probes = candidates[begin - shorter : begin - shorter + 2]
    # Where they part is in, whatever comes before: on their own branches they prove themselves.
    shared = common_prefix_length(probes[0].ids, probes[-1].ids) if len(probes) > 1 else 0
    return [_beginning(probe, max(PROBE_TOKENS, shared + PROBE_TOKENS // 2)) for probe in probes]


def _beginning(example: Example, tokens: int) -> Example:
    """Return an example of at most so many tokens; the last of one that is cut are supervised.

    The check runs it several times, in float32 and under transformers' own attention, which holds all its scores.
    """
    if len(example.ids) <= tokens:
        return example
    supervised = PROBE_TOKENS // 4
    return Example(
        example.row, example.ids[:tokens], prompt_tokens=tokens - supervised, supervised=supervised
    )


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
