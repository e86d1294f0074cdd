"""Stage 2 as a whole: open the model, train it, keep the best and the last, and fill the model folder."""

import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tutelage.data.examples import Example, PreparedRow
from tutelage.data.preparation import refuse_unknown_ids
from tutelage.data.prepared_rows import PreparedRows
from tutelage.model.assembly import open_for_training, save_tuned
from tutelage.model.forward import CausalModel
from tutelage.model.loading import context_length, load_tokenizer, vocabulary_size
from tutelage.model.sources import ModelSource
from tutelage.recipe import Recipe
from tutelage.recipe_file import to_toml
from tutelage.run_folder import RunFolder, write_json, write_text
from tutelage.runtime import choose_device, choose_dtype, describe_environment, name_dtype, peak_memory_bytes
from tutelage.storage import remove, staged_folder, storage_faults
from tutelage.training.events import event_log
from tutelage.training.loop import TrainingResult, train
from tutelage.training.model_card import model_card
from tutelage.training.optimizer import trainable_parameters

SAMPLE_TOKENS = 64  # the longest answer that is shown while the model learns

# Answers prompts given as ids with texts; the stage above brings it, for training knows nothing of generation.
Answer = Callable[[CausalModel, Sequence[Sequence[int]]], list[str]]


@dataclass(frozen=True)
class OpenedRun:
    """A run whose model and rows are in memory, ready for the first step."""

    model: CausalModel
    training: Sequence[Example]
    validation: PreparedRows
    watched: list[PreparedRow]  # the first validation rows whose prompt leaves room for a sample answer


def open_run(
    recipe: Recipe, source: ModelSource, *, training: PreparedRows, validation: PreparedRows
) -> OpenedRun:
    """Load the model as it is trained, and hold the recipe and the rows against it; nothing is written."""
    for rows in (training, validation):
        refuse_unknown_ids(rows, vocabulary=vocabulary_size(source.folder))
    device = choose_device(recipe.training.device)
    dtype = choose_dtype(recipe.training.dtype, device)
    probes = probe_examples(training.examples, training.tokens)
    model = open_for_training(source, recipe.adapter, device, dtype, seed=recipe.training.seed, probes=probes)
    room = context_length(source.folder) - SAMPLE_TOKENS
    fitting = np.flatnonzero(validation.prompt_tokens <= room)[: recipe.training.sample_prompts]
    watched = [validation[index] for index in fitting.tolist()]
    return OpenedRun(model, training.examples, validation, watched)


def tune(
    run: RunFolder,
    recipe: Recipe,
    source: ModelSource,
    opened: OpenedRun,
    *,
    answer: Answer,
    listener: Callable[[dict[str, Any]], None],
) -> TrainingResult:
    """Train, keep the best and the latest checkpoints, and fill the model folder of the run.

    Every event goes to events.jsonl and to the listener.
    """
    begin = time.perf_counter()
    model = opened.model
    watched = opened.watched
    # What an earlier training left, and what its model answered, says nothing about this one.
    for path in run.results_of_other_weights():
        remove(path)

    def save(step: int, best: int | None) -> None:
        with staged_folder(run.checkpoint(step)) as staged, storage_faults(run.checkpoint(step)):
            save_tuned(model, staged, recipe.adapter, base=source.name)
        prune_checkpoints(run, best=best, keep=recipe.training.save_total_limit)

    with event_log(run.events, listener) as emit:

        def show_samples(step: int) -> None:
            responses = answer(model, [row.example.prompt_ids for row in watched]) if watched else []
            for row, response in zip(watched, responses, strict=True):
                emit("sample", step=step, **_sample(row), response=response)

        result = train(
            model,
            opened.training,
            opened.validation.examples,
            recipe.training,
            emit=emit,
            save=save,
            show_samples=show_samples,
        )
    write_json(run.environment, describe_environment(model.device, model.compute_dtype))
    seconds = time.perf_counter() - begin
    facts = _facts(result, model, seconds=seconds, dtype=name_dtype(model.compute_dtype))
    fill_model_folder(run, recipe, source, result, facts)
    return result


def probe_examples(examples: Sequence[Example], tokens: np.ndarray) -> list[Example]:
    """Return two examples of middle length, on which the model proves itself; `tokens` are the lengths of all."""
    begin = (len(tokens) - 1) // 2
    lengths = np.sort(tokens)[begin : begin + 2]
    # Of equal length the ids decide, so that rows in another order make no other probes.
    candidates = [examples[index] for index in np.flatnonzero(np.isin(tokens, lengths)).tolist()]
    candidates.sort(key=lambda example: (len(example.ids), example.ids))
    shorter = int((tokens < lengths[0]).sum())
    return candidates[begin - shorter : begin - shorter + 2]


def prune_checkpoints(run: RunFolder, *, best: int | None, keep: int) -> None:
    """Remove all checkpoints but the latest `keep` and the best."""
    steps = sorted(
        int(entry.name.removeprefix("step-"))
        for entry in run.checkpoints.iterdir()
        if re.fullmatch(r"step-\d+", entry.name)
    )
    for step in steps[:-keep]:
        if step != best:
            remove(run.checkpoint(step))


def fill_model_folder(
    run: RunFolder, recipe: Recipe, source: ModelSource, result: TrainingResult, facts: dict[str, Any]
) -> None:
    """Put the best weights, the tokenizer and the model card where the other stages look for them."""
    with staged_folder(run.model) as staged, storage_faults(run.model):
        shutil.copytree(run.checkpoint(result.best_step), staged, dirs_exist_ok=True)
        load_tokenizer(source.folder).save_pretrained(staged)
        write_text(staged / "README.md", model_card(recipe, source, result))
        write_json(staged / run.training.name, facts)
        write_text(staged / run.trained_recipe.name, to_toml(recipe))


def _sample(row: PreparedRow) -> dict[str, Any]:
    return {"row": row.example.row, "prompt": row.prompt, "reference": row.response}


def _facts(result: TrainingResult, model: CausalModel, *, seconds: float, dtype: str) -> dict[str, Any]:
    """Return what summary.json says of training; examples_per_second counts the steps alone, seconds all of it."""
    return {
        "steps": result.steps,
        "best_step": result.best_step,
        "examples_per_second": result.examples / result.step_seconds,
        "computed_tokens": result.computed_tokens,
        "distinct_tokens": result.distinct_tokens,
        "supervised_tokens": result.supervised_tokens,
        "seconds": seconds,
        "peak_memory_bytes": peak_memory_bytes(),
        "dtype": dtype,
        "padded_because": model.padded_because,
        "trainable_parameters": sum(parameter.numel() for parameter in trainable_parameters(model.module)),
        "loss": {"before": result.loss_before, "after": result.loss_after, "best": result.loss_best},
    }
