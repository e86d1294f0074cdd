"""`tutelage evaluate`: stage 3."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from tutelage.cli import console
from tutelage.cli.dry_run import show_dry_run
from tutelage.cli.judging import Judging, judge_stage, judges_only, refuse_judges, refuse_other_answers
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


def evaluate(options: Options = Options(), judging: Judging = Judging()) -> int:  # noqa: B008 - frozen
    """Collect the answers of base and tuned model on the test rows, compare and score them.

    Where the answers are there already and a judge is named, the judge alone is asked.
    """
    run, loaded = open_earlier_run(options, judging.overrides())
    refuse_untrained_settings(run, loaded)
    refuse_judges(loaded)
    if judges_only(run, loaded) and not options.overwrite:
        return judge_answers(run, loaded, options)
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
        return 0
    refuse_overwriting(run.evaluation, options, what="an evaluation")
    evaluate_stage(run, loaded)
    code = judge_stage(run, loaded)
    report_stage(run, loaded)
    return code


def judge_answers(run: RunFolder, loaded: LoadedRecipe, options: Options) -> int:
    """Have the answers that are there judged; neither model is asked again."""
    refuse_other_answers(run, loaded)
    if options.dry_run:
        show_dry_run(run, loaded, writes=[run.recipe, run.judgements, run.judges, run.summary, run.report])
        return 0
    console.heading("3 Evaluate: the answers are there, only judges are asked")
    code = judge_stage(run, loaded)
    record_recipe(run, loaded)
    report_stage(run, loaded)
    return code


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


def refuse_answers_without_room(test_rows: Any, loaded: LoadedRecipe) -> None:
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
