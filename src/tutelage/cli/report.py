"""`tutelage report`: the page and the summary of what a run has so far."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tutelage.cli import console
from tutelage.cli.dry_run import show_dry_run
from tutelage.cli.next_steps import show_next_steps, steps_of
from tutelage.cli.opening import locate
from tutelage.cli.options import (
    Options,
    open_earlier_run,
    refuse_idle_settings,
    refuse_untrained_settings,
)
from tutelage.codes import Message
from tutelage.config.recipe_file import LoadedRecipe
from tutelage.errors import RunFolderError, TutelageError
from tutelage.run.folder import WRITTEN_BY, RunFolder
from tutelage.run.lock import locked
from tutelage.system.storage import what_is_damaged


def report(options: Options = Options()) -> None:  # noqa: B008 - frozen
    """Write report.html and summary.json from what the stages left in the run folder."""
    from tutelage.data.dataset.preparation import refuse_other_settings

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
        show_next_steps(run, loaded)


def report_stage(run: RunFolder, loaded: LoadedRecipe) -> None:
    """Write both and say where they are."""
    from tutelage.data.dataset.model_files import refuse_other_model
    from tutelage.model.loading import load_tokenizer
    from tutelage.report.page import write_report
    from tutelage.report.summary import summarise
    from tutelage.run.folder import write_json

    source = locate(loaded)
    with console.waiting("Writing the report"), _changed_files_told(run):
        warnings = changes_since_written(run)
        refuse_other_model(run, source.identity, source.files)
        summary = summarise(run)
        tokenizer = load_tokenizer(source.folder)
        write_report(
            run,
            lambda ids: str(tokenizer.decode(ids)),
            loaded.recipe,
            [one.text for one in warnings],
            steps_of(run, loaded) if summary.training is not None else (),
        )
        write_json(
            run.summary, summary.to_record()
        )  # last, so that it never tells of what no report could be made of
    for warning in warnings:
        console.warn(warning)
    console.say(f"Report: {run.report}")


def changes_since_written(run: RunFolder) -> list[Message]:
    """Say which folders of a run are not as their stages wrote them: what is reported of them is of other files."""
    return [
        Message(
            "run.file_changed",
            f"{folder} has changed since it was written: {damage}. What is said of it below may not be what was"
            f" measured. Write it anew with `{_written_by(run, folder)}`.",
        )
        for folder, damage in _changed_folders(run)
    ]


def _changed_folders(run: RunFolder) -> Iterator[tuple[Path, str]]:
    for folder in (run.data, run.model, run.evaluation):
        damage = what_is_damaged(folder) if folder.is_dir() else None
        if damage is not None:
            yield folder, damage


def _written_by(run: RunFolder, folder: Path) -> str:
    return f"tutelage {WRITTEN_BY[folder.name]} {run.root} --overwrite"


@contextmanager
def _changed_files_told(run: RunFolder) -> Iterator[None]:
    """Where something unexpected happens and a file is not as its stage wrote it, tell of that file."""
    try:
        yield
    except TutelageError:
        raise
    except Exception as fault:
        for folder, damage in _changed_folders(run):
            raise RunFolderError(
                "run.file_changed",
                f"{folder} has changed since it was written: {damage}. Write it anew with"
                f" `{_written_by(run, folder)}`.",
            ) from fault
        raise
