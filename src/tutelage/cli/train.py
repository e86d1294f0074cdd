"""`tutelage train`: stage 2."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cache, partial
from typing import Any

from tutelage.cli import console
from tutelage.cli.dry_run import name_units, show_dry_run
from tutelage.cli.estimate import Ahead, show_estimate
from tutelage.cli.going_on import (
    AcceptChanges,
    Earlier,
    begins_with_changes,
    earlier_training,
    tell_other_machine,
)
from tutelage.cli.next_steps import show_next_steps
from tutelage.cli.opening import (
    FOR_TRAINING,
    check_targets,
    check_targets_of_what_is_here,
    import_quickly,
    locate,
)
from tutelage.cli.options import Options, open_earlier_run, record_recipe, refuse_overwriting
from tutelage.codes import Message
from tutelage.config.recipe_file import LoadedRecipe
from tutelage.run.artifacts import Preparation, TrainingResult, read_artifact
from tutelage.run.folder import RunFolder
from tutelage.run.history import record_stage
from tutelage.run.lock import locked
from tutelage.system.interruption import INTERRUPTION
from tutelage.system.machine import has_bfloat16_products
from tutelage.system.runtime import name_dtype
from tutelage.system.streams import losing_lines


def train(
    options: Options = Options(),  # noqa: B008 - frozen
    *,
    accept_changes: AcceptChanges = False,
) -> None:
    """Tune the model on the prepared rows of a run, and keep the best weights; an unfinished training goes on."""
    from tutelage.data.dataset.preparation import read_prepared, refuse_other_settings

    run, loaded = open_earlier_run(options)
    refuse_other_settings(run, loaded.recipe)
    if options.dry_run:
        check_targets_of_what_is_here(loaded)
        show_dry_run(
            run,
            loaded,
            writes=[run.recipe, run.events, run.environment, run.checkpoints, run.model],
            guarded=[run.model],
            removes=run.results_of_other_weights() if options.overwrite or run.model.exists() else (),
            training=read_prepared(run, "train"),
        )
        return
    refuse_overwriting(run.model, options, what="a tuned model")
    check_targets_of_what_is_here(loaded, beside=FOR_TRAINING)
    console.heading("2 Tune")
    with locked(run):
        train_prepared(run, loaded, begin_anew=options.overwrite, is_accepted=accept_changes)
    show_next_steps(run, loaded)


def train_prepared(
    run: RunFolder,
    loaded: LoadedRecipe,
    *,
    begin_anew: bool,
    is_accepted: bool,
    ahead: Ahead | None = None,
) -> None:
    """Train on the rows in the folder, from the beginning or from the last checkpoint; `ahead` is what comes after."""
    from tutelage.data.dataset.model_files import changed_beside_weights, refuse_other_model
    from tutelage.data.dataset.preparation import read_prepared

    source = locate(loaded, beside=FOR_TRAINING)
    changed = changed_beside_weights(run, source.files, since_prepare=True)
    # What else changed of the model is refused by the checkpoint, or accepted.
    refuse_other_model(run, source.identity, {} if is_accepted else source.files)
    check_targets(loaded)
    earlier = Earlier() if begin_anew else earlier_training(run, loaded, is_accepted=is_accepted)
    if earlier.checkpoint is None:
        earlier = begins_with_changes(changed)
    splits = {split: read_prepared(run, split) for split in ("train", "validation")}
    opened = open_model(loaded, splits, read_artifact(Preparation, run.preparation), earlier)
    train_stage(run, loaded, opened, earlier, ahead=ahead)


def open_model(
    loaded: LoadedRecipe,
    splits: Mapping[str, Any],
    preparation: Preparation,
    earlier: Earlier = Earlier(),  # noqa: B008 - frozen
) -> Any:
    """Return the OpenedRun of a recipe on its prepared rows, or stop where the two do not go together."""
    source = locate(loaded)
    with console.in_turn() as show:

        def waiting(label: str) -> None:
            show(console.waiting(label))

        waiting("Loading the model")
        import_quickly(FOR_TRAINING)
        from tutelage.training.tuning import open_run

        return open_run(
            loaded.recipe,
            source,
            training=splits["train"],
            validation=splits["validation"],
            label_sets=preparation.label_sets,
            earlier=earlier.checkpoint,
            waiting=waiting,
        )


def train_stage(
    run: RunFolder,
    loaded: LoadedRecipe,
    opened: Any,
    earlier: Earlier = Earlier(),  # noqa: B008 - frozen
    *,
    ahead: Ahead | None = None,
) -> None:
    """Say how long it takes with what is `ahead`, and tune an OpenedRun with a bar that shows the losses."""
    from tutelage.generation.generate import answer_texts
    from tutelage.model.end_tokens import end_tokens
    from tutelage.model.loading import load_tokenizer
    from tutelage.training.loop import Progress, plan_steps
    from tutelage.training.reference import needs_reference, with_reference
    from tutelage.training.tuning import SAMPLE_TOKENS, tune

    recipe = loaded.recipe
    source = locate(loaded)
    tokenizer = load_tokenizer(source.folder)
    answer = partial(
        answer_texts,
        tokenizer=tokenizer,
        end_tokens=end_tokens(
            source.folder, tokenizer, read_artifact(Preparation, run.preparation).end_of_turn_id
        ),
        max_new_tokens=SAMPLE_TOKENS,
        batch_size=recipe.evaluation.batch_size,
    )
    steps = plan_steps(len(opened.training), recipe.training).steps
    if opened.model.padded_because is not None:
        code = opened.model.padded_code or "model.padded_rows"
        console.note(
            code,
            f"{opened.model.padded_because.removesuffix(' Choose another model.')}"
            " So it runs on ordinary padded rows, which is as exact and slower.",
        )
    dtype = name_dtype(opened.model.compute_dtype)
    console.say(f"{steps:,} steps in {dtype} on {opened.model.device.type}.")
    if dtype == "bfloat16" and opened.model.device.type == "cpu" and not has_bfloat16_products():
        told = (
            "this processor only emulates bfloat16: a step takes many times as long as in float32. Use float32 for a"
            " new run: --set training.dtype=float32."
        )
        console.warn_aside(Message("device.bfloat16_emulated", told))
    tell_other_machine(earlier, opened.model)
    record_recipe(run, loaded)  # before the first step, so that the folder alone says how to go on
    begin = earlier.checkpoint.progress if earlier.checkpoint else Progress()
    estimate = show_estimate(run, loaded, opened, begin, tokenizer=tokenizer, ahead=ahead)
    if needs_reference(recipe):
        answers = 2 * (len(opened.training) + len(opened.validation))
        with console.progress("Reading both answers of each pair", answers) as advance:
            opened = with_reference(run, source, opened, progress=lambda count: advance(count, ""))
    with losing_lines(), ExitStack() as shown:

        @cache
        def bar() -> console.Advance:
            shown.close()
            advance = shown.enter_context(console.progress("Training", steps))
            advance(min(begin.step, steps), "")
            return advance

        if opened.validation and begin.step == 0 and not begin.losses:
            shown.enter_context(console.waiting("Validating before the first step"))
        else:
            bar()
        watcher = _Watcher(bar)
        result = tune(
            run,
            recipe,
            source,
            opened,
            answer=answer,
            listener=watcher,
            interruption=INTERRUPTION,
            earlier=earlier.checkpoint,
            accepted=earlier.accepted,
            estimate=estimate,
        )
    record_stage(run, "train", seconds=read_artifact(TrainingResult, run.training).seconds)
    rate, unit = result.examples / result.step_seconds, name_units(recipe)
    console.say(f"{result.step:,} steps over {result.examples:,} {unit}, {rate:.1f} {unit} a second.")
    if result.step < steps:
        patience = recipe.training.early_stopping_patience
        console.say(
            f"Stopped early, after {result.step:,} of {steps:,} steps: the validation loss stopped improving"
            f" (training.early_stopping_patience={patience})."
        )
    if result.loss_before is not None and result.loss_best is not None:
        console.say(
            f"Validation loss {result.loss_before:.3f} before, {result.loss_after:.3f} after, best"
            f" {result.loss_best:.3f} at step {result.kept_step}, which is what {run.model} holds."
        )
    watcher.show_preference(result.kept_step)


class _Watcher:
    """Moves the bar on each step and shows the latest losses; it begins with the first of either."""

    def __init__(self, bar: Callable[[], console.Advance]) -> None:
        self._bar = bar
        self._validation = ""
        self._preferences: dict[int, dict[str, Any]] = {}  # of the validation pairs, by steps

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] == "validation":
            self._bar()
            self._validation = f"  validation {event['loss']:.3f}{_told_accuracy(event)}"
            if "margin" in event:
                self._preferences[event["step"]] = event
        elif event["event"] == "step":
            self._bar()(1, f"loss {event['loss']:.3f}{_told_accuracy(event)}{self._validation}")
        elif event["event"] == "unsaved":
            told = f"no checkpoint of step {event['step']}: {event['reason']} The training goes on."
            console.warn(Message("run.checkpoint_not_saved", told))
        elif event["event"] == "memory":
            console.note(
                "train.smaller_trees",
                f"step {event['step']} did not fit into memory; from here on examples are computed in trees of"
                f" at most {event['max_nodes']:,} tokens. The batch stays the same.",
            )

    def show_preference(self, step: int) -> None:
        """Say what a preference tuning has come to on the validation pairs, if this is one."""
        if step not in self._preferences:
            return
        event = self._preferences[step]
        ties = f" and {event['ties']:.0%} are ties, within rounding" if event["ties"] else ""
        console.say(
            f"Of the validation pairs {event['accuracy']:.0%} are the right way round then{ties}, by a margin of"
            f" {event['margin']:+.2f} on average (rewards {event['chosen_reward']:+.2f} for chosen and"
            f" {event['rejected_reward']:+.2f} for rejected answers)."
        )


def _told_accuracy(event: dict[str, Any]) -> str:
    return f", {event['accuracy']:.0%} right" if "accuracy" in event else ""
