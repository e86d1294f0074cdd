"""Opens a training: rows and model in memory, tried against each other, before the first step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tutelage.config.recipe import Recipe
from tutelage.data.dataset.preparation import check_token_ids
from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.model.assembly import Waiting, load_for_training
from tutelage.model.forward import CausalModel
from tutelage.model.loading import context_length, vocabulary_size
from tutelage.model.sources import ModelSource
from tutelage.system.runtime import choose_device, choose_dtype
from tutelage.training.checkpoint import Checkpoint
from tutelage.training.preflight import require_memory
from tutelage.tree.examples import Example, PreparedRow, Unit
from tutelage.tree.prefix_tree import common_prefix_length

PROBE_TOKENS = (
    512  # of an example on which the model proves itself, where it does not share more with the other
)
SAMPLE_TOKENS = 64  # the longest answer that is shown while the model learns


def as_examples(rows: PreparedRows) -> Sequence[Example]:
    """Return the examples of prepared rows, each read when it is asked for."""
    return rows.examples


@dataclass(frozen=True)
class OpenedRun:
    """A run whose model and rows are in memory, ready for the first step."""

    model: CausalModel
    training: Sequence[Unit]
    validation: Sequence[Unit]
    watched: list[PreparedRow]  # the first validation rows whose prompt leaves room for a sample answer


def load_run(
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
        check_token_ids(rows, vocabulary=vocabulary_size(source.folder))
    device = choose_device(recipe.training.device)
    wanted = recipe.training.dtype
    if earlier:
        wanted = earlier.machine["dtype"] if wanted == "auto" else wanted
        torch.set_num_threads(earlier.machine["threads"])
    dtype = choose_dtype(wanted, device)
    require_memory(source.folder, recipe, bytes_per_weight=dtype.itemsize)
    trained, validated = units(training), units(validation)
    probes = [probe.without_label() for probe in probe_examples(training.examples, training.lengths)]
    model = load_for_training(
        source,
        recipe.tuning,
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
