"""`tutelage report`: the page and the summary of what a run has so far."""

from tutelage.cli import console
from tutelage.cli.dry_run import show_dry_run
from tutelage.cli.opening import locate
from tutelage.cli.options import (
    Options,
    open_earlier_run,
    refuse_idle_settings,
    refuse_untrained_settings,
)
from tutelage.recipe_file import LoadedRecipe
from tutelage.run_folder import RunFolder
from tutelage.run_lock import locked


def report(options: Options = Options()) -> None:  # noqa: B008 - frozen
    """Write report.html and summary.json from what the stages left in the run folder."""
    from tutelage.data.preparation import refuse_other_settings

    run, loaded = open_earlier_run(options)
    run.require(run.preparation, stage="prepare")
    refuse_idle_settings(run, loaded, verb="report")
    refuse_other_settings(run, loaded.recipe)
    if run.training.exists():
        refuse_untrained_settings(run, loaded)
    if options.dry_run:
        show_dry_run(run, loaded, writes=[run.summary, run.report])
        return
    with locked(run):
        report_stage(run, loaded)


def report_stage(run: RunFolder, loaded: LoadedRecipe) -> None:
    """Write both and say where they are."""
    from tutelage.model.loading import load_tokenizer
    from tutelage.report.page import write_report
    from tutelage.report.summary import summarise
    from tutelage.run_folder import write_json

    with console.waiting("Writing the report"):
        write_json(run.summary, summarise(run))
        tokenizer = load_tokenizer(locate(loaded.recipe).folder)
        write_report(run, lambda ids: str(tokenizer.decode(ids)), loaded.recipe.training)
    console.say(f"Report: {run.report}")
