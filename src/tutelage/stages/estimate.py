"""How long a run takes from its first step on, said before that step, and how to try it in less time."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import setting_text
from tutelage.run.events import Estimated, Trial
from tutelage.run.folder import RunFolder
from tutelage.stages.session import Session

if TYPE_CHECKING:
    from tutelage.objectives.spec import ObjectiveSpec
    from tutelage.training.estimate import Estimate as RoughEstimate
    from tutelage.training.load import OpenedRun
    from tutelage.training.loop import TrainState
    from tutelage.training.work import Pace

# A run that takes longer is offered a trial, each of whose stages takes about as long as the second number.
LONG_SECONDS, TRIAL_SECONDS = 12 * 60, 120
FEWEST_STEPS, FEWEST_ROWS = 4, 8  # of a trial
# With fewer steps one more would be felt; with more it makes the kernels of its shapes before one is timed.
STEPS_TO_WARM_UP = 10
# Of a micro-batch so many nodes are timed, of what is read forward alone so many, and of a prompt so many tokens.
NODES_TIMED, NODES_READ, LONGEST_PROMPT = 384, 1024, 128


@dataclass(frozen=True)
class Ahead:
    """What `tutelage run` evaluates once the model is trained: PreparedRows to test and to validate, and NamedSets."""

    rows: Any
    validation: Any
    sets: Sequence[Any] = ()


@dataclass(frozen=True)
class Estimate:
    """The seconds of each stage that is ahead, and of the training its steps and whether it may end before the last."""

    training: float
    evaluation: float
    report: float
    steps: int
    may_stop_early: bool

    @property
    def seconds(self) -> float:
        return self.training + self.evaluation + self.report


def estimate_stages(
    session: Session, opened: "OpenedRun", begin: "TrainState", *, ahead: Ahead | None
) -> None:
    """Time a little of the work, and report how long all that is ahead takes.

    Nothing is reported where no step is left, or where the memory does not hold what is timed: the training makes it
    smaller.
    """
    from tutelage.training.loop import TrainState
    from tutelage.training.work_ahead import look_ahead

    recipe, tokenizer = session.recipe, session.inputs.tokenizer
    steps = look_ahead(opened.model, opened.training, recipe.training, begin)
    if not steps.count:
        return
    with session.reporter.waiting("Timing a step"):
        pace = _measure(session, opened, steps, answers=bool(opened.watched) or ahead is not None)
    if pace is None:
        return
    estimate_of = partial(
        estimate_run, objective=session.objective, pace=pace, tokenizer=tokenizer, ahead=ahead
    )
    found = estimate_of(recipe, opened, begin)
    trial = None
    if found.seconds > LONG_SECONDS:
        settings = trial_settings(recipe, found, rows=len(ahead.rows) if ahead else 0)
        shorter = estimate_of(with_settings(recipe, settings), opened, TrainState())
        command = trial_command(session.run, recipe, settings)
        trial = Trial(seconds=shorter.seconds, settings=settings, command=command)
    session.reporter.emit(
        Estimated(
            step=begin.step,
            seconds=found.seconds,
            training_seconds=found.training,
            evaluation_seconds=found.evaluation,
            report_seconds=found.report,
            pace=asdict(pace),
            steps=found.steps,
            may_stop_early=found.may_stop_early,
            judges_counted=ahead is None or not recipe.evaluation.judges,
            trial=trial,
        )
    )


def _measure(session: Session, opened: "OpenedRun", steps: Any, *, answers: bool) -> "Pace | None":
    """Return the pace of this run on this machine; None where the memory does not hold what is timed."""
    from tutelage.generation.pace import seconds_of_a_step
    from tutelage.model.short_memory import release_memory
    from tutelage.system.runtime import is_out_of_memory
    from tutelage.training.pace import measure_pace
    from tutelage.training.work import FEW_ANSWERS

    recipe = session.recipe
    room = min(LONGEST_PROMPT, session.inputs.context_length // 2)
    asked = [unit.examples[0] for unit in opened.training[:FEW_ANSWERS]]
    prompts = [one.prompt_ids[:room] for one in asked if not one.predicts_label]
    try:
        pace = measure_pace(
            opened.model,
            steps.typical_micro_batch(most_nodes=NODES_TIMED),
            recipe.training,
            objective=session.objective.training.objective(recipe, opened.training),
            read=steps.units_to_read(most_nodes=NODES_READ),
            warms_up=steps.count >= STEPS_TO_WARM_UP,
        )
        if answers and prompts:
            step = seconds_of_a_step(opened.model, prompts)
            pace = replace(pace, decoding_steps=step.untrained, sample_steps=step.as_it_is)
        return pace
    except (MemoryError, RuntimeError) as fault:
        if not is_out_of_memory(fault):
            raise
    opened.model.module.zero_grad(set_to_none=True)
    release_memory()  # outside the handler, where the fault no longer holds what was allocated
    return None


def estimate_run(
    recipe: Recipe,
    opened: "OpenedRun",
    begin: "TrainState",
    *,
    objective: "ObjectiveSpec",
    pace: "Pace",
    tokenizer: Any,
    ahead: Ahead | None,
) -> Estimate:
    """Return how long a run of a recipe takes at a pace, from where its training begins."""
    from tutelage.evaluation.work_ahead import REPORT_SECONDS, EvaluationAhead, opening_work
    from tutelage.training.loop import may_stop_early, plan_steps
    from tutelage.training.work_ahead import look_ahead, training_work

    steps = look_ahead(opened.model, opened.training, recipe.training, begin)
    training = training_work(
        steps,
        opened,
        recipe,
        begin,
        reads_before=objective.training.reference_of(recipe) is not None,
    )
    evaluation = 0.0
    if ahead is not None:
        work = opening_work(sum(weight.numel() for weight in opened.model.module.parameters()))
        work += objective.evaluation.work(
            EvaluationAhead(
                recipe,
                ahead.rows,
                ahead.sets,
                validation=ahead.validation,
                tokenizer=tokenizer,
                is_padded=opened.model.is_padded,
            )
        )
        evaluation = work.seconds_at(pace)
    plan = plan_steps(len(opened.training), recipe.training)
    return Estimate(
        training.seconds_at(pace),
        evaluation,
        REPORT_SECONDS if ahead is not None else 0.0,
        steps.count,
        may_stop_early(plan, recipe.training, len(opened.validation)),
    )


def trial_settings(recipe: Recipe, found: Estimate, *, rows: int) -> dict[str, Any]:
    """Return the settings that cut each long stage to about TRIAL_SECONDS, as far as cutting steps and rows can."""
    settings: dict[str, Any] = {}
    if found.training > TRIAL_SECONDS:
        steps = int(found.steps * TRIAL_SECONDS / found.training)
        settings["training.max_steps"] = min(found.steps, max(FEWEST_STEPS, steps))
    if found.evaluation > TRIAL_SECONDS:
        asked = min(rows, recipe.evaluation.limit or rows)
        limit = int(asked * TRIAL_SECONDS / found.evaluation)
        settings["evaluation.limit"] = min(asked, max(FEWEST_ROWS, limit))
    return settings


def with_settings(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """Return a recipe with some settings changed, each named `section.name`."""
    for name, value in settings.items():
        section, key = name.split(".")
        changed = getattr(recipe, section).model_copy(update={key: value})
        recipe = recipe.model_copy(update={section: changed})
    return recipe


def trial_command(run: RunFolder, recipe: Recipe, settings: Mapping[str, Any]) -> str:
    """Return the command that runs the same recipe, with some settings changed, in a folder beside this one."""
    from tutelage.evaluation.next_steps import path_argument

    judges = "".join(f" --judge {shlex.quote(judge)}" for judge in recipe.evaluation.judges)
    given = "".join(f" --set {name}={setting_text(value)}" for name, value in settings.items())
    return f"tutelage run {path_argument(run.root)} --new{judges}{given}"


def estimate_training(session: Session, training: Any) -> "RoughEstimate | None":
    """Return about how long a training on these rows takes and how much memory, of which nothing is loaded.

    None where the model or the rows have to be fetched first.
    """
    from tutelage.system.runtime import choose_device, choose_dtype, flops_per_second
    from tutelage.training.estimate import estimate
    from tutelage.training.loop import plan_steps

    recipe, inputs = session.recipe, session.inputs
    choose_device(recipe.training.device)  # refuses what the training would
    if training is None or not inputs.has_model():
        return None
    part = session.objective.training
    units, source = part.units(training), inputs.source
    with session.reporter.waiting("Measuring this machine"):
        dtype = choose_dtype(recipe.training.dtype, choose_device("cpu"))
        return estimate(
            source.folder,
            recipe.tuning,
            plan_steps(len(units), recipe.training),
            units,
            flops_per_second=flops_per_second(dtype),
            dtype=dtype,
            micro_batch_size=recipe.training.per_device_train_batch_size,
            longest=int(training.tokens.argmax()),
            reads_before=part.reference_of(recipe) is not None,
        )
