"""What a training has ahead of it: the steps that are left, validations, sample answers and checkpoints."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tutelage.config.recipe import Recipe, TrainingSettings
from tutelage.model.forward import CausalModel
from tutelage.training.load import SAMPLE_TOKENS, OpenedRun
from tutelage.training.loop import TrainState, intervals, plan_steps
from tutelage.training.optimizer import trainable_parameters
from tutelage.training.preflight import CHECKPOINT_BYTES
from tutelage.training.step import cut_step
from tutelage.training.work import (
    Work,
    count_computed,
    paths_of,
    reading_work,
    untuned_lengths,
)
from tutelage.tree.batches import BatchPlan, examples_within
from tutelage.tree.examples import Unit, examples_of

STEPS_LOOKED_AT = 128
# Written, hashed and synced; and what one takes however small it is.
CHECKPOINT_BYTES_PER_SECOND, CHECKPOINT_SECONDS = 2.5e8, 0.1
MODEL_FOLDER_SECONDS = 0.6


@dataclass(frozen=True)
class StepsAhead:
    """How many steps are left, and the micro-batches of some of them, evenly spread."""

    count: int
    micro_batches: Sequence[Sequence[Sequence[Unit]]]  # of each step that was looked at
    is_padded: bool

    def work(self) -> Work:
        """Return the work of all steps that are left."""
        nodes = sum(self._computed(batch) for step in self.micro_batches for batch in step)
        return Work(trained_nodes=nodes * self.count / max(1, len(self.micro_batches)), updates=self.count)

    def typical_micro_batch(self, *, most_nodes: int) -> Sequence[Unit]:
        """Return the micro-batch whose computed tokens are nearest to the mean of all, or as much of it as may be."""
        batches = [batch for step in self.micro_batches for batch in step]
        computed = [self._computed(batch) for batch in batches]
        mean = sum(computed) / len(computed)
        typical = min(zip(batches, computed, strict=True), key=lambda one: abs(one[1] - mean))[0]
        return next(examples_within(typical, distinct_tokens=most_nodes, padded=self.is_padded))

    def units_to_read(self, *, most_nodes: int) -> Sequence[Unit]:
        """Return as many of the first units, whichever steps they are of, as one tree of so many nodes holds."""
        units = [unit for step in self.micro_batches for batch in step for unit in batch]
        return next(examples_within(units, distinct_tokens=most_nodes, padded=self.is_padded))

    def _computed(self, batch: Sequence[Unit]) -> int:
        return count_computed(paths_of(examples_of(batch)), is_padded=self.is_padded)


def look_ahead(
    model: CausalModel, units: Sequence[Unit], settings: TrainingSettings, begin: TrainState
) -> StepsAhead:
    """Cut the steps that are left as the training will, or of many STEPS_LOOKED_AT."""
    plan = plan_steps(len(units), settings)
    left = max(0, plan.steps - begin.step)
    looked_at = np.linspace(begin.step, plan.steps - 1, min(left, STEPS_LOOKED_AT)).round().astype(int)
    micro_batches = [
        cut_step(
            model,
            [units[index] for index in plan.examples_of_step(step)],
            micro_batch_size=settings.per_device_train_batch_size,
            max_nodes=min(begin.max_nodes, model.most_nodes),
        )
        for step in looked_at.tolist()
    ]
    return StepsAhead(left, micro_batches, model.is_padded)


def training_work(
    steps: StepsAhead, opened: OpenedRun, recipe: Recipe, begin: TrainState, *, reads_before: bool = False
) -> Work:
    """Return all that is ahead of a training, with the reference where all rows are read before the first step."""
    settings = recipe.training
    plan = plan_steps(len(opened.training), settings)
    eval_steps, save_steps = intervals(plan, settings)
    validations = times_due(plan, eval_steps, done=begin.step)
    checkpoints = times_due(plan, min(eval_steps, save_steps), done=begin.step)
    is_padded = opened.model.is_padded
    validation = reading_work(opened.validation, is_padded=is_padded)
    trained = sum(parameter.numel() for parameter in trainable_parameters(opened.model.module))
    saving = Work(seconds=CHECKPOINT_SECONDS + trained * CHECKPOINT_BYTES / CHECKPOINT_BYTES_PER_SECOND)
    work = steps.work() + Work(seconds=MODEL_FOLDER_SECONDS)
    work += (validation + _sample_answers(opened, is_tuned=True)).times(validations)
    work += saving.times(checkpoints)
    if begin.step % eval_steps == 0 and begin.step not in begin.losses:
        work += validation + _sample_answers(opened, is_tuned=begin.step > 0)
    if begin.step == 0 and reads_before:
        work += reading_work(opened.training, is_padded=is_padded) + validation
    return work


def times_due(plan: BatchPlan, interval: int, *, done: int) -> int:
    """Return how often something is due that is due at each multiple of a number of steps, and after the last one."""
    if done >= plan.steps:
        return 0
    return plan.steps // interval - done // interval + (plan.steps % interval > 0)


def _sample_answers(opened: OpenedRun, *, is_tuned: bool) -> Work:
    """Return the work of answering the watched rows: as long as their references, once the model is tuned."""
    examples = [row.example for row in opened.watched]
    if not examples:
        return Work()
    lengths = [min(len(example.response_ids), SAMPLE_TOKENS) for example in examples]
    if not is_tuned:
        lengths = untuned_lengths(len(examples), longest=SAMPLE_TOKENS)
    prompts = [example.prompt_ids for example in examples]
    reading = Work(nodes=count_computed(prompts, is_padded=opened.model.is_padded))
    # Side by side, or on padded rows one after the other.
    return reading + Work(sample_steps=sum(lengths) if opened.model.is_padded else max(lengths))
