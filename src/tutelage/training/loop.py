"""The training loop: steps, validation, samples and checkpoints, in one sitting."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch

from tutelage.data.batches import BatchPlan
from tutelage.data.examples import Example
from tutelage.errors import NonFiniteError
from tutelage.model.forward import CausalModel
from tutelage.recipe import MOST_STEPS, TrainingSettings
from tutelage.runtime import way_to_finite_numbers
from tutelage.training.events import Emit
from tutelage.training.optimizer import make_optimizer
from tutelage.training.schedule import learning_rate_at
from tutelage.training.step import StepResult, optimizer_step
from tutelage.training.validation import validation_loss

VALIDATIONS_PER_EPOCH = 4


@dataclass(frozen=True)
class TrainingResult:
    """Losses are mean nats per supervised token, None where there are no validation rows."""

    steps: int
    best_step: int
    loss_before: float | None
    loss_after: float | None
    loss_best: float | None
    step_seconds: float
    examples: int
    computed_tokens: int
    distinct_tokens: int
    supervised_tokens: int


def train(
    model: CausalModel,
    examples: Sequence[Example],
    validation: Sequence[Example],
    settings: TrainingSettings,
    *,
    emit: Emit,
    save: Callable[[int, int | None], None],
    show_samples: Callable[[int], None],
) -> TrainingResult:
    """Train for the whole plan; `save(step, best)` is called at every best step so far, each save_steps and the end."""
    plan = plan_steps(len(examples), settings)
    warmup_steps = round(settings.warmup_ratio * plan.steps)
    eval_steps = settings.eval_steps or max(1, plan.steps_per_epoch // VALIDATIONS_PER_EPOCH)
    save_steps = settings.save_steps or eval_steps
    optimizer = make_optimizer(model.module, settings)
    losses: dict[int, float] = {}  # validation loss by finished steps
    results: list[StepResult] = []

    def validate(step: int) -> None:
        show_samples(step)
        if validation:
            losses[step] = validation_loss(model, validation)
            _refuse_non_finite(losses[step], step, model.compute_dtype)
            emit("validation", step=step, loss=losses[step])

    validate(0)
    for step in range(1, plan.steps + 1):
        rate = learning_rate_at(
            step - 1,
            steps=plan.steps,
            warmup_steps=warmup_steps,
            peak=settings.learning_rate,
            kind=settings.lr_scheduler_type,
        )
        torch.manual_seed(settings.seed * MOST_STEPS + step)  # dropout depends on the seed and the step alone
        result = optimizer_step(
            model,
            [examples[index] for index in plan.examples_of_step(step - 1)],
            optimizer,
            learning_rate=rate,
            micro_batch_size=settings.per_device_train_batch_size,
            max_grad_norm=settings.max_grad_norm,
        )
        results.append(result)
        emit("step", step=step, epoch=step / plan.steps_per_epoch, learning_rate=rate, **asdict(result))
        is_last = step == plan.steps
        if is_last or step % eval_steps == 0:
            validate(step)
        if is_last or step % save_steps == 0 or step == best_step(losses):
            save(step, best_step(losses))
    return _sum_up(results, losses)


def _refuse_non_finite(loss: float, step: int, dtype: torch.dtype) -> None:
    if not math.isfinite(loss):
        raise NonFiniteError(
            f"The validation loss is {loss} after step {step}. {way_to_finite_numbers(dtype)}"
        )


def best_step(losses: dict[int, float]) -> int | None:
    """Return the step after which the validation loss was lowest; the untuned model (step 0) does not count."""
    tuned = [step for step in losses if step > 0]
    return min(tuned, key=lambda step: losses[step], default=None)


def _sum_up(results: Sequence[StepResult], losses: dict[int, float]) -> TrainingResult:
    best = best_step(losses) or len(results)
    return TrainingResult(
        steps=len(results),
        best_step=best,
        loss_before=losses.get(0),
        loss_after=losses.get(len(results)),
        loss_best=losses.get(best),
        step_seconds=sum(result.seconds for result in results),
        examples=sum(result.examples for result in results),
        computed_tokens=sum(result.computed_tokens for result in results),
        distinct_tokens=sum(result.distinct_tokens for result in results),
        supervised_tokens=sum(result.supervised_tokens for result in results),
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
