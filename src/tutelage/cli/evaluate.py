"""`tutelage evaluate`: stage 3."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tutelage.cli import console
from tutelage.cli.data.files import ABOUT_TRAINING
from tutelage.cli.dry_run import show_dry_run
from tutelage.cli.judging import (
    Judging,
    has_worse_set,
    judge_stage,
    judges_only,
    refuse_judges,
    refuse_other_answers,
)
from tutelage.cli.next_steps import show_next_steps
from tutelage.cli.opening import has_model, locate, warn_of_emulated_bfloat16
from tutelage.cli.options import (
    FailIfWorse,
    Options,
    open_earlier_run,
    record_recipe,
    refuse_overwriting,
    refuse_untrained_settings,
)
from tutelage.cli.report import report_stage
from tutelage.cli.results import show_classes, show_forgetting, show_preference, show_scores, show_sets
from tutelage.config.recipe_file import LoadedRecipe
from tutelage.errors import EXIT_WORSE, RunFolderError, StorageError
from tutelage.run.evaluation import AnswerEvaluation, ClassEvaluation, Evaluation, read_evaluation
from tutelage.run.folder import RunFolder, read_json
from tutelage.run.history import record_stage
from tutelage.run.lock import locked
from tutelage.system.storage import what_is_damaged


def evaluate(
    options: Options = Options(),  # noqa: B008 - frozen
    judging: Judging = Judging(),  # noqa: B008 - frozen
    *,
    checkpoint: Annotated[
        int | None,
        Parameter(
            help="Evaluate the weights after this step of the training, beside the run's own evaluation.",
            show_default=False,
        ),
    ] = None,
    fail_if_worse: FailIfWorse = False,
) -> int:
    """Collect the answers of base and tuned model on the test rows, compare and score them.

    Where the answers are there already and a judge is named, the judge alone is asked.
    """
    run, loaded = open_earlier_run(options, judging.overrides(), step=checkpoint)
    refuse_untrained_settings(run, loaded)
    refuse_lost_checkpoint(run)
    refuse_judges(loaded)
    if not options.overwrite and (judges_only(run, loaded) or _lacks_report(run)):
        code = judge_answers(run, loaded, options)
        has_worsened = is_worse(read_evaluation(run.metrics)) or has_worse_set(run)
        return EXIT_WORSE if fail_if_worse and has_worsened else code
    if options.dry_run:
        if has_model(loaded):
            from tutelage.evaluation.evaluate import open_rows

            open_rows(run, loaded.recipe, locate(loaded))  # refuses what the real one would
            open_named_sets(loaded, lambda: read_training(run))
        show_dry_run(
            run,
            loaded,
            writes=[run.evaluated_recipe, run.evaluation, *results_of(run)],
            guarded=[run.evaluation],
        )
        return 0
    refuse_overwriting(run.evaluation, options, what="an evaluation")
    with locked(run):
        has_worsened = evaluate_stage(run, loaded, open_named_sets(loaded, lambda: read_training(run)))
        code = judge_stage(run, loaded)
        has_worsened |= has_worse_set(run)
        tell_results(run, loaded)
    return EXIT_WORSE if fail_if_worse and has_worsened else code


def refuse_lost_checkpoint(run: RunFolder) -> None:
    """Stop where the step of a run has no checkpoint, or one that is not as it was written."""
    if run.step is None:
        return
    steps = run.saved_steps()
    if run.step not in steps:
        kept = f"Those of the steps {', '.join(map(str, steps))} are" if steps else "None is"
        raise RunFolderError(
            "run.no_such_checkpoint",
            f"{run.checkpoints} holds no checkpoint of step {run.step}. {kept} there; training.save_total_limit"
            " decides how many are kept.",
        )
    damage = what_is_damaged(run.weights)
    if damage:
        raise StorageError(
            "run.checkpoint_damaged",
            f"{run.weights} is damaged ({damage}). Put it back as it was, or name another step.",
        )


def results_of(run: RunFolder) -> list[Path]:
    """Return what is written of an evaluation beside itself; summary and report are about the run's own alone."""
    return [run.summary, run.report] if run.step is None else []


def tell_results(run: RunFolder, loaded: LoadedRecipe) -> None:
    """Write summary and report, or say where the evaluation of a checkpoint is and how it is held against the run's."""
    if run.step is None:
        report_stage(run, loaded)
        show_next_steps(run, loaded)
        return
    console.say(
        f"Evaluation of the checkpoint of step {run.step}: {run.evaluation}\n"
        f"Beside the run's own: tutelage compare {run.root} {run.name}"
    )


def _lacks_report(run: RunFolder) -> bool:
    """Tell whether a command that answered was ended before it wrote what came of it, as where the disk is full."""
    if run.step is not None or not run.metrics.exists():
        return False
    return not run.summary.exists() or "evaluation" not in read_json(run.summary)


def judge_answers(run: RunFolder, loaded: LoadedRecipe, options: Options) -> int:
    """Have the answers that are there judged and reported; neither model is asked again."""
    refuse_other_answers(run, loaded)
    asks_judges = judges_only(run, loaded)
    if options.dry_run:
        judged = [run.judgements, run.judges] if asks_judges else []
        show_dry_run(run, loaded, writes=[run.evaluated_recipe, *judged, *results_of(run)])
        return 0
    rest = "only judges are asked" if asks_judges else "only their report is written"
    console.heading(f"3 Evaluate: the answers are there, {rest}")
    with locked(run):
        code = judge_stage(run, loaded)
        record_recipe(run, loaded)
        tell_results(run, loaded)
    return code


def read_training(run: RunFolder) -> Sequence[Any]:
    """Return the prepared rows that the run's model is trained on."""
    from tutelage.data.dataset.preparation import read_prepared

    return read_prepared(run, "train")


def open_named_sets(loaded: LoadedRecipe, training: Callable[[], Sequence[Any]]) -> Sequence[Any]:
    """Return the NamedSets of a recipe, or stop where one holds what is trained on or cannot be scored.

    `training` gives the prepared rows that are trained on; without a set they are not asked for.
    """
    if not loaded.recipe.evaluation.sets:
        return []
    from tutelage.evaluation.eval_sets.named_sets import open_sets
    from tutelage.evaluation.evaluate import refuse_without_room
    from tutelage.system.fetching import user_cache

    source = locate(loaded)
    sets = open_sets(loaded.recipe, source.folder, training=training(), cache=user_cache())
    for one in sets:
        longest = max(one.rows, key=lambda row: row.example.prompt_tokens)
        refuse_without_room(longest.example, loaded.recipe.evaluation, source)
    return sets


def evaluate_stage(run: RunFolder, loaded: LoadedRecipe, sets: Sequence[Any]) -> bool:
    """Evaluate with a bar for each model, and print the verdict and the scores; tell whether any of it is worse."""
    console.heading("3 Evaluate")
    begin = time.monotonic()
    for one in sets:
        for note in one.notes:
            if note.code not in ABOUT_TRAINING:
                console.note(note.code, f"The test set {one.name}: {note.text}")
    source = locate(loaded)
    is_classification = loaded.recipe.training.objective == "classification"
    with console.in_turn() as show:

        def progress(label: str, total: int) -> Callable[[int], None]:
            advance = show(console.progress(label, total))
            return lambda answered: advance(answered, "")

        def waiting(label: str) -> None:
            show(console.waiting(label))

        waiting("Loading the model")
        from tutelage.evaluation.classification import evaluate_classification
        from tutelage.evaluation.evaluate import evaluate as evaluate_run

        warn_of_emulated_bfloat16(run, loaded)
        if is_classification:
            found = evaluate_classification(run, loaded.recipe, source, progress=progress, waiting=waiting)
        else:
            found = evaluate_run(run, loaded.recipe, source, sets=sets, progress=progress, waiting=waiting)
    record_recipe(run, loaded)
    record_stage(run, "evaluate", seconds=time.monotonic() - begin)
    if isinstance(found, ClassEvaluation):
        show_classes(found)
        return is_worse(found)
    show_scores(found)
    show_preference(found)
    show_sets(found.sets)
    show_forgetting(found.forgetting)
    return is_worse(found)


def is_worse(found: Evaluation) -> bool:
    """Tell whether an evaluation found the tuned model worse in anything that it judged."""
    verdicts = {found.verdict, *(one.verdict for one in found.sets.values())}
    if isinstance(found, AnswerEvaluation) and found.answers is not None:
        verdicts.add(found.answers.verdict)  # of a preference tuning there are two verdicts
    has_forgotten = found.forgetting is not None and found.forgetting.verdict == "lost"
    return "worse" in verdicts or has_forgotten


def refuse_answers_without_room(test_rows: Any, loaded: LoadedRecipe) -> None:
    """Find out before an hour of training that a test prompt leaves no room for its answer."""
    from tutelage.evaluation.evaluate import rows_to_evaluate

    rows_to_evaluate(test_rows, loaded.recipe, locate(loaded))
