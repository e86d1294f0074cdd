"""Stage 2: the model is tuned on the prepared rows, and the best weights are kept."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tutelage.config.recipe import TrainingSettings
from tutelage.run.artifacts import Environment, Preparation, TrainingResult, read_artifact, write_artifact
from tutelage.run.event_log import bytes_before_training
from tutelage.run.events import ChecksumsSkipped, Event, TrainingPlanned, Waiting
from tutelage.run.history import record_stage
from tutelage.run.lines import read_json_lines
from tutelage.stages.base_model import changed_beside_weights, check_base_model
from tutelage.stages.estimate import Ahead, estimate_stages
from tutelage.stages.inputs import FOR_TRAINING
from tutelage.stages.prepared import check_prepared_settings
from tutelage.stages.reporter import Finish
from tutelage.stages.resume import (
    BEGINNING,
    Earlier,
    begins_with_changes,
    earlier_training,
    note_other_machine,
)
from tutelage.stages.session import Session
from tutelage.stages.settings import require_overwrite
from tutelage.system.autotune import has_bfloat16_products
from tutelage.system.runtime import describe_environment, name_dtype
from tutelage.system.storage import remove

if TYPE_CHECKING:
    from tutelage.data.dataset.prepared_rows import PreparedRows
    from tutelage.training.load import OpenedRun
    from tutelage.training.loop import TrainState


@dataclass(frozen=True)
class Trained:
    """How far a training came, of how many planned steps and under which settings; `unit` is what it counts."""

    progress: "TrainState"
    planned_steps: int
    settings: TrainingSettings
    result: TrainingResult
    unit: str
    objective: str


class TrainingEvents:
    """Takes the events of a training: behind those of the stages before it, and of the checkpoint it goes on from."""

    def __init__(self, session: Session, earlier: Earlier) -> None:
        assert session.reporter.log is not None, "only a run that is locked is trained"
        self._reporter, self._log = session.reporter, session.reporter.log
        self._path = session.run.events
        checkpoint = earlier.checkpoint
        self._kept = checkpoint.events_bytes if checkpoint else bytes_before_training(self._path)

    def begin(self) -> None:
        self._log.begin(self._kept)

    def emit(self, event: Event) -> None:
        self._reporter.emit(event)

    def sync(self) -> int:
        return self._log.sync()

    def holds(self, event: type[Event]) -> bool:
        return any(record["event"] == event.event for record in read_json_lines(self._path))


def train(session: Session, *, overwrite: bool = False, allow_changes: bool = False) -> Trained:
    """Tune the model on the prepared rows of a run, and keep the best weights; an unfinished training goes on."""
    check_prepared_settings(session.run, session.recipe)
    require_overwrite(session.run.model, overwrite=overwrite, what="a tuned model")
    session.inputs.check_local_targets(beside=FOR_TRAINING)
    with session.writing():
        return train_prepared(session, begin_anew=overwrite, is_allowed=allow_changes)


def check_training(session: Session) -> "PreparedRows":
    """Stop where a training would; return the rows that would be trained on."""
    check_prepared_settings(session.run, session.recipe)
    session.inputs.check_local_targets()
    return session.rows("train")


def train_prepared(
    session: Session, *, begin_anew: bool, is_allowed: bool, ahead: Ahead | None = None
) -> Trained:
    """Train on the rows in the folder, from the beginning or from the last checkpoint; `ahead` is what comes after."""
    run = session.run
    with training_stage(session) as finish:
        source = session.inputs.locate(beside=FOR_TRAINING)
        changed = changed_beside_weights(run, source.files, since_prepare=True)
        # What else changed of the model is refused by the checkpoint, or allowed.
        files = {} if is_allowed else source.files
        check_base_model(run, source.fingerprint, files, adapter=source.adapter_sha256)
        session.inputs.check_targets()
        earlier = BEGINNING if begin_anew else earlier_training(session, is_allowed=is_allowed)
        if earlier.checkpoint is None:
            earlier = begins_with_changes(session, changed)
        splits = {split: session.rows(split) for split in ("train", "validation")}
        opened = load_for_run(session, splits, read_artifact(Preparation, run.preparation), earlier)
        trained = tune_opened(session, opened, earlier, ahead=ahead)
        finish(trained)
        return trained


def training_stage(session: Session) -> AbstractContextManager[Finish]:
    """Return a context that reports a training; what the log says of an earlier one stays until the first step."""
    return session.replacing_stage("train", is_live=False)


def load_for_run(
    session: Session,
    splits: Mapping[str, Any],
    preparation: Preparation,
    earlier: Earlier = BEGINNING,
) -> "OpenedRun":
    """Load the model for a training on prepared rows, or stop where the two do not go together."""
    source = session.source
    with session.reporter.one_at_a_time() as waiting:
        waiting("Loading the model")
        session.inputs.preload(FOR_TRAINING)
        from tutelage.training.load import load_run

        part, sets = session.objective.training, preparation.label_sets
        return load_run(
            session.recipe,
            source,
            training=splits["train"],
            validation=splits["validation"],
            units=part.units,
            classes=part.count_classes(splits["train"], sets) if part.count_classes else None,
            label_sets=sets,
            earlier=earlier.checkpoint,
            waiting=waiting,
        )


def tune_opened(
    session: Session, opened: "OpenedRun", earlier: Earlier = BEGINNING, *, ahead: Ahead | None = None
) -> Trained:
    """Estimate how long it takes with what is `ahead`, and tune a model that is open."""
    from tutelage.training.loop import TrainState, plan_steps
    from tutelage.training.preflight import require_disk_space
    from tutelage.training.saving import fill_model_folder

    run, recipe, reporter, source = session.run, session.recipe, session.reporter, session.source
    steps = plan_steps(len(opened.training), recipe.training).steps
    begin = earlier.checkpoint.progress if earlier.checkpoint else TrainState()
    answer_samples = _sampler(session, opened)
    _report_plan(session, opened, steps, begin.step)
    note_other_machine(session, earlier, opened.model)
    session.record_recipe()  # before the first step, so that the folder alone says how to go on
    estimate_stages(session, opened, begin, ahead=ahead)
    if reference := session.objective.training.reference_of(recipe):
        units = len(opened.training) + len(opened.validation)
        advance = reporter.progress(reference.label, reference.examples_per_unit * units)
        opened = reference.read(run.reference, source, opened, progress=advance)
    if opened.validation and begin.step == 0 and not begin.losses:
        reporter.emit(Waiting(label="Validating before the first step"))  # which the first event of it ends
    saved = len(run.saved_steps())
    require_disk_space(run.root, opened.model, saved=saved, keep=recipe.training.save_total_limit)
    if earlier.checkpoint is None:
        # What an earlier training left, and what its model answered, says nothing about this one.
        for path in run.results_of_other_weights():
            remove(path)
    progress, result = _run_loop(session, opened, earlier, begin, answer_samples, steps=steps)
    environment = describe_environment(opened.model.device, opened.model.compute_dtype)
    write_artifact(run.environment, Environment.model_validate(environment))
    best = run.checkpoint(progress.kept_step)
    fill_model_folder(run.model, best, recipe, source, progress=progress, result=result)
    record_stage(run, "train", seconds=result.seconds)
    return Trained(progress, steps, recipe.training, result, recipe.objective.unit, recipe.objective.name)


def _run_loop(
    session: Session,
    opened: "OpenedRun",
    earlier: Earlier,
    begin: "TrainState",
    answer_samples: Callable[[], list[dict[str, Any]]],
    *,
    steps: int,
) -> tuple["TrainState", TrainingResult]:
    """Train from `begin` to the end of the planned steps, with a checkpoint at every good place."""
    from tutelage.training.checkpoint import fingerprint_of, restore
    from tutelage.training.loop import TrainCallbacks
    from tutelage.training.loop import train as train_steps
    from tutelage.training.optimizer import make_optimizer
    from tutelage.training.saving import Saver

    run, recipe, source, model = session.run, session.recipe, session.source, opened.model
    objective = session.objective.training.objective(recipe, opened.training)
    fingerprint = fingerprint_of(run.data, recipe, source)
    optimizer = make_optimizer(model.module, recipe.training)
    events = TrainingEvents(session, earlier)
    saver = Saver(
        model,
        optimizer,
        recipe,
        source,
        checkpoints=run.checkpoints,
        fingerprint=fingerprint,
        events=events,
        earlier=earlier.checkpoint,
        allowed=earlier.allowed,
    )
    if earlier.checkpoint:
        restore(earlier.checkpoint, model, optimizer, recipe)
    events.begin()
    if not source.is_checked:
        events.emit(ChecksumsSkipped(step=begin.step))
    progress = train_steps(
        model,
        optimizer,
        opened.training,
        opened.validation,
        recipe.training,
        objective=objective,
        watch=TrainCallbacks(events.emit, saver.save, answer_samples),
        begin=begin,
        interruption=session.interruption,
    )
    return progress, saver.result(progress, planned_steps=steps)


def _sampler(session: Session, opened: "OpenedRun") -> Callable[[], list[dict[str, Any]]]:
    """Return a function that answers the prompts that are watched, as the fields of their events."""
    from tutelage.generation.generate import answer_texts
    from tutelage.model.end_tokens import end_tokens
    from tutelage.training.load import SAMPLE_TOKENS

    tokenizer, watched = session.inputs.tokenizer, opened.watched
    end_of_turn = read_artifact(Preparation, session.run.preparation).end_of_turn_id
    ends = end_tokens(session.source.folder, tokenizer, end_of_turn)

    def answer_samples() -> list[dict[str, Any]]:
        prompts = [row.example.prompt_ids for row in watched]
        responses = answer_texts(
            opened.model,
            prompts,
            tokenizer=tokenizer,
            end_tokens=ends,
            max_new_tokens=SAMPLE_TOKENS,
            batch_size=session.recipe.evaluation.batch_size,
        )
        return [
            {"row": row.example.row, "prompt": row.prompt, "reference": row.response, "response": response}
            for row, response in zip(watched, responses, strict=True)
        ]

    return answer_samples if watched else list


def _report_plan(session: Session, opened: "OpenedRun", steps: int, step: int) -> None:
    model, reporter = opened.model, session.reporter
    if model.fallback_reason is not None:
        reporter.note(
            model.fallback_code or "model.padded_rows",
            f"{model.fallback_reason.removesuffix(' Choose another model.')} So it runs on ordinary padded"
            " rows, which gives the same results more slowly.",
        )
    dtype = name_dtype(model.compute_dtype)
    reporter.emit(
        TrainingPlanned(
            steps=steps,
            step=step,
            dtype=dtype,
            device=model.device.type,
            objective=session.recipe.objective.name,
        )
    )
    if dtype == "bfloat16" and model.device.type == "cpu" and not has_bfloat16_products():
        reporter.warn(
            "device.bfloat16_emulated",
            "this processor only emulates bfloat16, so a step takes many times as long as in float32. For a"
            " new run, use --set training.dtype=float32.",
        )
