"""`tutelage evaluate`: stage 3."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from tutelage.cli import console
from tutelage.cli.dry_run import show_dry_run
from tutelage.cli.opening import has_model, locate
from tutelage.cli.options import (
    FailIfWorse,
    Options,
    open_earlier_run,
    record_recipe,
    refuse_overwriting,
    refuse_untrained_settings,
)
from tutelage.cli.report import report_stage
from tutelage.errors import EXIT_WORSE
from tutelage.recipe_file import LoadedRecipe
from tutelage.run_folder import RunFolder


def evaluate(
    options: Options = Options(),  # noqa: B008 - frozen
    *,
    fail_if_worse: FailIfWorse = False,
) -> int:
    """Collect the answers of base and tuned model on the test rows, compare and score them."""
    run, loaded = open_earlier_run(options)
    refuse_untrained_settings(run, loaded)
    if options.dry_run:
        if has_model(loaded.recipe):
            from tutelage.evaluation.evaluate import open_rows

            open_rows(run, loaded.recipe, locate(loaded.recipe))  # refuses what the real one would
            open_named_sets(loaded, lambda: read_training(run))
        show_dry_run(
            run,
            loaded,
            writes=[run.recipe, run.evaluation, run.summary, run.report],
            guarded=[run.evaluation],
        )
        return 0
    refuse_overwriting(run.evaluation, options, what="an evaluation")
    is_worse = evaluate_stage(run, loaded, open_named_sets(loaded, lambda: read_training(run)))
    report_stage(run, loaded)
    return EXIT_WORSE if fail_if_worse and is_worse else 0


def read_training(run: RunFolder) -> Sequence[Any]:
    """Return the prepared rows that the run's model is trained on."""
    from tutelage.data.preparation import read_prepared

    return read_prepared(run, "train")


def open_named_sets(loaded: LoadedRecipe, training: Callable[[], Sequence[Any]]) -> Sequence[Any]:
    """Return the NamedSets of a recipe, or stop where one holds what is trained on or cannot be scored.

    `training` gives the prepared rows that are trained on; without a set they are not asked for.
    """
    if not loaded.recipe.evaluation.sets:
        return []
    from tutelage.evaluation.evaluate import rows_to_evaluate
    from tutelage.evaluation.named_sets import open_sets
    from tutelage.fetching import user_cache

    source = locate(loaded.recipe)
    sets = open_sets(loaded.recipe, source.folder, training=training(), cache=user_cache())
    for one in sets:
        rows_to_evaluate(one.rows, loaded.recipe.evaluation, source)
    return sets


def evaluate_stage(run: RunFolder, loaded: LoadedRecipe, sets: Sequence[Any]) -> bool:
    """Evaluate with a bar for each model, and print the verdict and the scores; tell whether any of it is worse."""
    console.heading("3 Evaluate")
    source = locate(loaded.recipe)
    with console.waiting("Loading the model"):
        from tutelage.evaluation.evaluate import evaluate as evaluate_run
    with ExitStack() as stack:

        def progress(label: str, total: int) -> Callable[[int], None]:
            stack.close()  # one bar at a time
            advance = stack.enter_context(console.progress(label, total))
            return lambda answered: advance(answered, "")

        result = evaluate_run(run, loaded.recipe, source, sets=sets, progress=progress)
    record_recipe(run, loaded)
    show_scores(result)
    show_sets(result["sets"])
    show_forgetting(result["forgetting"])
    verdicts = {result["verdict"], *(one["verdict"] for one in result["sets"].values())}
    has_forgotten = result["forgetting"] is not None and result["forgetting"]["verdict"] == "lost"
    return "worse" in verdicts or has_forgotten


def refuse_answers_without_room(test_rows: Sequence[Any], loaded: LoadedRecipe) -> None:
    """Find out before an hour of training that a test prompt leaves no room for its answer."""
    from tutelage.evaluation.evaluate import rows_to_evaluate

    rows_to_evaluate(test_rows, loaded.recipe.evaluation, locate(loaded.recipe))


def show_scores(result: dict[str, Any]) -> None:
    """Print the verdict and a table of all metrics."""
    from tutelage.evaluation.metrics import METRICS
    from tutelage.evaluation.verdict import detectable_sentence, format_change, format_value

    rows = []
    for name, scores in result["metrics"].items():
        metric = METRICS[name]
        interval = (
            f"{format_change(scores['low'], metric)} to {format_change(scores['high'], metric)}"
            if scores["low"] is not None
            else "unknown"
        )
        rows.append(
            [
                metric.label + (" (lower is better)" if not metric.higher_is_better else ""),
                format_value(scores["base"], metric),
                format_value(scores["tuned"], metric),
                format_change(scores["difference"], metric),
                interval,
            ]
        )
    console.table(["", "base", "tuned", "difference", "95 % interval"], rows, numeric={1, 2, 3, 4})
    console.say()
    console.heading(result["sentence"])
    console.say(detectable_sentence(result["smallest_detectable"], METRICS[result["primary_metric"]]))


def show_sets(sets: dict[str, Any]) -> None:
    """Print a verdict for each named set."""
    from tutelage.evaluation.set_metrics import SET_METRICS

    for name, one in sets.items():
        console.say()
        console.heading(f"Test set {name}, by {SET_METRICS[one['metric']].label}")
        console.say(one["sentence"])
        if one["dropped"]:
            console.say(f"{one['dropped']:,} of its rows were left out, as empty or repeated.")


def show_forgetting(forgetting: dict[str, Any] | None) -> None:
    """Print what became of the grasp of general text."""
    if forgetting is None:
        return
    console.say()
    console.say(forgetting["sentence"])
    console.say(
        f"KL from the base model {forgetting['kl']:.3f} nats for the next token of {forgetting['passages']} passages"
        f" of general text (95 % interval {forgetting['kl_low']:.3f} to {forgetting['kl_high']:.3f})."
    )
