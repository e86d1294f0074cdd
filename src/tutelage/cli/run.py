"""`tutelage run`: all stages, from a file to a report."""

from collections.abc import Mapping, Sequence
from typing import Any

from tutelage.cli import console
from tutelage.cli.dry_run import show_dry_run
from tutelage.cli.estimate import Ahead
from tutelage.cli.evaluate import (
    evaluate_stage,
    is_worse,
    open_named_sets,
    read_training,
    refuse_answers_without_room,
)
from tutelage.cli.going_on import (
    AcceptChanges,
    Fresh,
    changes_of_preparation,
    is_finished,
    refuse_changes_of_preparation,
)
from tutelage.cli.judging import Judging, has_worse_set, judge_stage, refuse_judges
from tutelage.cli.next_steps import show_next_steps
from tutelage.cli.opening import prepare_what_is_here
from tutelage.cli.options import (
    FailIfWorse,
    Options,
    open_new_run,
    refuse_existing,
    refuse_untrained_settings,
)
from tutelage.cli.prepare import preparing
from tutelage.cli.report import report_stage
from tutelage.cli.train import open_model, train_prepared, train_stage
from tutelage.config.recipe_file import LoadedRecipe
from tutelage.errors import EXIT_WORSE, DataError
from tutelage.run.artifacts import Preparation, read_artifact
from tutelage.run.evaluation import read_evaluation
from tutelage.run.folder import RunFolder
from tutelage.run.lines import read_json_lines
from tutelage.run.lock import locked
from tutelage.system.storage import remove

ANSWERS_SHOWN = 3
LONGEST_SHOWN = 300


def run(
    options: Options = Options(),  # noqa: B008 - frozen
    judging: Judging = Judging(),  # noqa: B008 - frozen
    *,
    fail_if_worse: FailIfWorse = False,
    fresh: Fresh = False,
    accept_changes: AcceptChanges = False,
) -> int:
    """Prepare, tune, evaluate and report in one go; an unfinished run goes on."""
    folder, loaded = open_new_run(options, judging.overrides(), is_fresh=fresh)
    refuse_judges(loaded)
    goes_on = folder.preparation.exists() and not options.overwrite
    if options.dry_run:
        _show_dry_run(folder, loaded)
        return 0
    with locked(folder):  # which clears up what a crash left, be it the last thing that a finished run did
        if goes_on and is_finished(folder):
            refuse_existing(folder)
        if goes_on:
            has_worsened, code = finish_run(folder, loaded, is_accepted=accept_changes)
        else:
            has_worsened, code = begin_run(folder, loaded)
    show_next_steps(folder, loaded, begins_anew=True)
    return EXIT_WORSE if fail_if_worse and has_worsened else code


def _show_dry_run(run: RunFolder, loaded: LoadedRecipe) -> None:
    prepared = prepare_what_is_here(loaded)
    if prepared and has_test_rows(prepared.splits, loaded):
        refuse_answers_without_room(prepared.splits["test"], loaded)
        open_named_sets(loaded, lambda: prepared.splits["train"])
    writes = [run.recipe, run.data, run.events, run.environment, run.checkpoints, run.model]
    show_dry_run(
        run,
        loaded,
        writes=[*writes, run.evaluation, run.summary, run.report],
        guarded=[run.data] if run.preparation.exists() and is_finished(run) else [],
        training=prepared and prepared.splits["train"],
    )


def begin_run(run: RunFolder, loaded: LoadedRecipe) -> tuple[bool, int]:
    """Run all stages; tell whether the verdict is worse, and the exit code that judges ask for.

    An earlier run is not touched before the new one is known to begin: rows, settings and model are tried first.
    """
    console.heading("1 Prepare")
    with preparing(run, loaded) as prepared:
        test_rows = prepared.splits["test"]
        ahead = None
        if has_test_rows(prepared.splits, loaded):
            # Refuses what could not be asked later.
            sets = open_named_sets(loaded, lambda: prepared.splits["train"])
            refuse_answers_without_room(test_rows, loaded)
            ahead = Ahead(test_rows, prepared.splits["validation"], sets)
        opened = open_model(loaded, prepared.splits, prepared.preparation)
    console.say()
    console.heading("2 Tune")
    train_stage(run, loaded, opened, ahead=ahead)
    return _evaluate_and_report(run, loaded)


def has_test_rows(splits: Mapping[str, Sequence[Any]], loaded: LoadedRecipe) -> bool:
    """Tell whether there is something to evaluate; stop where there is not and the recipe asks for more than that."""
    asked = [name for name in ("sets", "judges") if getattr(loaded.recipe.evaluation, name)]
    if not splits["test"] and asked:
        named = " and ".join(f"evaluation.{name}" for name in asked)
        raise DataError(
            "evaluate.no_test_rows",
            f"{loaded.recipe.data.source} leaves no test rows, and {named} would be asked beside them: nothing would"
            f" come of it. Set data.test_share above 0, or leave {named} out.",
        )
    return bool(splits["test"])


def finish_run(run: RunFolder, loaded: LoadedRecipe, *, is_accepted: bool) -> tuple[bool, int]:
    """Run the stages that an earlier call did not finish, from where it stood; tell what `begin_run` does."""
    console.heading("1 Prepare")
    changed = changes_of_preparation(run, loaded)
    refuse_changes_of_preparation(run, changed, is_accepted=is_accepted)
    if changed:
        with preparing(run, loaded, keeps_results=True):
            pass
    else:
        console.say(f"The rows in {run.data} are prepared already.")
    console.say()
    console.heading("2 Tune")
    if run.training.exists():
        refuse_untrained_settings(run, loaded)
        console.say(f"The model in {run.model} is trained already.")
    else:
        train_prepared(
            run, loaded, begin_anew=False, is_accepted=is_accepted, ahead=_evaluation_ahead(run, loaded)
        )
    return _evaluate_and_report(run, loaded)


def _evaluation_ahead(run: RunFolder, loaded: LoadedRecipe) -> Ahead | None:
    """Return what is evaluated after the training of a run that goes on."""
    from tutelage.data.dataset.preparation import read_prepared

    if not read_artifact(Preparation, run.preparation).rows.test:
        return None
    splits = {split: read_prepared(run, split) for split in ("train", "test", "validation")}
    sets = open_named_sets(loaded, lambda: splits["train"])
    return Ahead(splits["test"], splits["validation"], sets)


def _evaluate_and_report(run: RunFolder, loaded: LoadedRecipe) -> tuple[bool, int]:
    """Evaluate where that is not done yet; without test rows there is nothing to evaluate, and it is said."""
    console.say()
    has_worsened, code = False, 0
    if not read_artifact(Preparation, run.preparation).rows.test:
        console.say("There are no test rows (data.test_share is 0), so nothing was evaluated.")
    else:
        if run.metrics.exists():
            has_worsened = is_worse(read_evaluation(run.metrics))
            if run.answers.exists():
                remove(run.answers)  # a crash came after the evaluation was whole and before this
        else:
            has_worsened = evaluate_stage(run, loaded, open_named_sets(loaded, lambda: read_training(run)))
        code = judge_stage(run, loaded)
        has_worsened |= has_worse_set(run)
        console.say()
        if loaded.recipe.training.objective != "classification":
            show_answers(run)
    report_stage(run, loaded)
    return has_worsened, code


def show_answers(run: RunFolder) -> None:
    """Print a few test prompts with the answers before and after, spread over the test set."""
    from tutelage.evaluation.stats.clusters import shared_frame

    base, tuned = (read_json_lines(run.responses(arm)) for arm in ("base", "tuned"))
    opening, ending = shared_frame([record["prompt"] for record in base])
    step = max(1, len(base) // ANSWERS_SHOWN)
    for index in range(0, len(base), step)[:ANSWERS_SHOWN]:
        console.heading(f"Test row {base[index]['row']}")
        console.say(_shortened(base[index]["prompt"].removeprefix(opening).removesuffix(ending)))
        console.table(
            [],
            [
                ["before", _shortened(base[index]["response"])],
                ["after", _shortened(tuned[index]["response"])],
                ["wanted", _shortened(base[index]["reference"])],
            ],
        )
        console.say()


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} …"
