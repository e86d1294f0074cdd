"""`tutelage evaluate`: stage 3."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from tutelage.cli import console
from tutelage.cli.dry_run import show_dry_run
from tutelage.cli.opening import has_model, locate
from tutelage.cli.options import (
    Options,
    open_earlier_run,
    record_recipe,
    refuse_overwriting,
    refuse_untrained_settings,
)
from tutelage.cli.report import report_stage
from tutelage.recipe_file import LoadedRecipe
from tutelage.run_folder import RunFolder
from tutelage.run_lock import locked


def evaluate(options: Options = Options()) -> None:  # noqa: B008 - frozen
    """Collect the answers of base and tuned model on the test rows, compare and score them."""
    run, loaded = open_earlier_run(options)
    refuse_untrained_settings(run, loaded)
    if options.dry_run:
        if has_model(loaded.recipe):
            from tutelage.evaluation.evaluate import open_rows

            open_rows(run, loaded.recipe, locate(loaded.recipe))  # refuses what the real one would
        show_dry_run(
            run,
            loaded,
            writes=[run.recipe, run.evaluation, run.summary, run.report],
            guarded=[run.evaluation],
        )
        return
    refuse_overwriting(run.evaluation, options, what="an evaluation")
    with locked(run):
        evaluate_stage(run, loaded)
        report_stage(run, loaded)


def evaluate_stage(run: RunFolder, loaded: LoadedRecipe) -> None:
    """Evaluate with a bar for each model, and print the verdict and the scores."""
    console.heading("3 Evaluate")
    source = locate(loaded.recipe)
    with console.waiting("Loading the model"):
        from tutelage.evaluation.evaluate import evaluate as evaluate_run
    with ExitStack() as stack:

        def progress(label: str, total: int) -> Callable[[int], None]:
            stack.close()  # one bar at a time
            advance = stack.enter_context(console.progress(label, total))
            return lambda answered: advance(answered, "")

        result = evaluate_run(run, loaded.recipe, source, progress=progress)
    record_recipe(run, loaded)
    show_scores(result)


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
