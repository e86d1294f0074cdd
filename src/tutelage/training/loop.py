"""The training loop: steps, validation, samples and checkpoints, in one sitting."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from tutelage.config.recipe import FEWEST_TO_STOP, MOST_STEPS, TrainingSettings
from tutelage.errors import Interrupted, MemoryExhaustedError, NonFiniteError
from tutelage.model.forward import MAX_NODES, CausalModel
from tutelage.run.events import Listener, SampleAnswered, StepTaken, StoppedEarly, TreesShrunk, Validated
from tutelage.system.interruption import Interruption
from tutelage.system.runtime import way_to_finite_numbers
from tutelage.training.cross_entropy import CROSS_ENTROPY
from tutelage.training.memory import step_within_memory
from tutelage.training.objective import Objective
from tutelage.training.schedule import set_learning_rate
from tutelage.training.step import StepResult, optimizer_step
from tutelage.training.validation import validate
from tutelage.tree.batches import BatchPlan
from tutelage.tree.examples import Unit

VALIDATIONS_PER_EPOCH = 4


@dataclass(frozen=True)
class TrainState:
    """What a training has behind it: all that its next step depends on, beside the weights and the optimiser.

    Order and dropout are functions of the seed and the step, so there is nothing of them to keep.
    """

    step: int = 0  # optimiser steps that are finished
    losses: Mapping[int, float] = field(default_factory=dict)  # of the validation, by finished steps
    unsaved: tuple[int, ...] = ()  # validated steps of which no checkpoint could be kept
    max_nodes: int = MAX_NODES  # of one tree; smaller where the memory did not hold one
    step_seconds: float = 0.0
    examples: int = 0
    computed_tokens: int = 0
    distinct_tokens: int = 0
    supervised_tokens: int = 0

    @property
    def best_step(self) -> int | None:
        """The saved step after which the validation loss was lowest; the untuned model (step 0) does not count."""
        tuned = [step for step in self.losses if step > 0 and step not in self.unsaved]
        return min(tuned, key=lambda step: self.losses[step], default=None)

    def has_stalled(self, patience: int) -> bool:
        """Tell whether the last `patience` validation losses of the tuned model are no lower than one before them."""
        tuned = [self.losses[step] for step in sorted(self.losses) if step > 0]
        return 0 < patience < len(tuned) and min(tuned[-patience:]) >= min(tuned[:-patience])

    @property
    def kept_step(self) -> int:
        """The step whose weights are the result: the best, or the last where nothing tells which is."""
        return self.best_step or self.step

    @property
    def loss_before(self) -> float | None:
        return self.losses.get(0)

    @property
    def loss_after(self) -> float | None:
        return self.losses.get(self.step)

    @property
    def loss_best(self) -> float | None:
        return self.losses.get(self.kept_step)

    def after(self, result: StepResult) -> "TrainState":
        """Return the progress after one step more."""
        return replace(
            self,
            step=self.step + 1,
            step_seconds=self.step_seconds + result.seconds,
            examples=self.examples + result.examples,
            computed_tokens=self.computed_tokens + result.computed_tokens,
            distinct_tokens=self.distinct_tokens + result.distinct_tokens,
            supervised_tokens=self.supervised_tokens + result.supervised_tokens,
        )


@dataclass(frozen=True)
class TrainCallbacks:
    """What the loop does beside training.

    `save(progress, is_needed)` keeps a checkpoint and tells whether it could; one that is needed raises instead.
    `answer_samples()` gives the fields of a few sample events.
    """

    emit: Listener
    save: Callable[[TrainState, bool], bool]
    answer_samples: Callable[[], Sequence[dict[str, Any]]]


def train(
    model: CausalModel,
    optimizer: torch.optim.Optimizer,
    examples: Sequence[Unit],
    validation: Sequence[Unit],
    settings: TrainingSettings,
    *,
    objective: Objective = CROSS_ENTROPY,
    watch: TrainCallbacks,
    begin: TrainState = TrainState(),
    interruption: Interruption,
) -> TrainState:
    """Train from `begin` to the end of the plan, or, after its first epoch, to a validation that finds a stalled loss.

    A checkpoint is kept at every best step so far, each save_steps and the end, and when the training is interrupted,
    which ends it with Interrupted.
    """
    plan = plan_steps(len(examples), settings)
    eval_steps, save_steps = intervals(plan, settings)

    def is_due(step: int, interval: int) -> bool:
        return step >= plan.steps or step % interval == 0

    def is_over(done: TrainState) -> bool:
        # Not before every example was seen once, and at a validation, so that the last weights have a loss.
        may_stop = len(validation) >= FEWEST_TO_STOP and plan.steps_per_epoch <= done.step in done.losses
        return done.step >= plan.steps or (may_stop and done.has_stalled(settings.early_stopping_patience))

    def validated(done: TrainState) -> TrainState:
        if not is_due(done.step, eval_steps) or done.step in done.losses:
            return done
        try:
            with interruption.at_once():
                samples = watch.answer_samples()
                found = validate(model, validation, objective) if validation else None
        except (Interrupted, MemoryExhaustedError):
            if done.step > begin.step:
                watch.save(done, True)
            raise
        for sample in samples:
            watch.emit(SampleAnswered(step=done.step, **sample))
        if found is None:
            return done
        _require_finite(found["loss"], done.step, model.compute_dtype)
        watch.emit(Validated(step=done.step, **found))
        return replace(done, losses={**done.losses, done.step: found["loss"]})

    def one_step(done: TrainState) -> TrainState:
        step = done.step + 1
        rate = set_learning_rate(optimizer, settings, done.step, steps=plan.steps)
        batch = [examples[index] for index in plan.examples_of_step(done.step)]

        def update(max_nodes: int) -> StepResult:
            torch.manual_seed(
                settings.seed * MOST_STEPS + step
            )  # dropout depends on the seed and the step alone
            return optimizer_step(
                model,
                batch,
                optimizer,
                micro_batch_size=settings.per_device_train_batch_size,
                max_grad_norm=settings.max_grad_norm,
                objective=objective,
                max_nodes=max_nodes,
            )

        tried = min(done.max_nodes, model.most_nodes)
        result, max_nodes = step_within_memory(update, optimizer, max_nodes=tried)
        if max_nodes < tried:
            watch.emit(TreesShrunk(step=step, max_nodes=max_nodes))
        epoch = step / plan.steps_per_epoch
        watch.emit(StepTaken(step=step, epoch=epoch, learning_rate=rate, **result.to_record()))
        return replace(done.after(result), max_nodes=max_nodes)

    with interruption.deferred():
        done = validated(begin)
        while not is_over(done):
            done = validated(one_step(done))
            is_needed = is_over(done) or interruption.requested
            is_due_or_best = is_due(done.step, save_steps) or done.step == done.best_step
            if (is_needed or is_due_or_best) and not watch.save(done, is_needed):
                done = replace(done, unsaved=(*done.unsaved, done.step))
            if interruption.requested and is_needed:
                raise Interrupted
        if done.step < plan.steps:
            watch.emit(StoppedEarly(step=done.step, planned_steps=plan.steps))
    return done


def _require_finite(loss: float, step: int, dtype: torch.dtype) -> None:
    if not math.isfinite(loss):
        raise NonFiniteError(
            "train.validation_loss_not_finite",
            f"The validation loss is {loss} after step {step}. {way_to_finite_numbers(dtype)}",
        )


def plan_steps(examples: int, settings: TrainingSettings) -> BatchPlan:
    """Return which examples make which step under these settings."""
    return BatchPlan(
        examples,
        settings.per_device_train_batch_size * settings.gradient_accumulation_steps,
        settings.num_train_epochs,
        settings.seed,
        settings.max_steps,
    )


def intervals(plan: BatchPlan, settings: TrainingSettings) -> tuple[int, int]:
    """Return how many steps lie between two validations, and between two checkpoints."""
    eval_steps = settings.eval_steps or max(1, plan.steps_per_epoch // VALIDATIONS_PER_EPOCH)
    return eval_steps, settings.save_steps or eval_steps


def may_stop_early(plan: BatchPlan, settings: TrainingSettings, validation_rows: int) -> bool:
    """Tell whether a validation loss may end this training before its last step."""
    has_rows = validation_rows >= FEWEST_TO_STOP
    return settings.early_stopping_patience > 0 and has_rows and plan.steps > plan.steps_per_epoch
