"""The page and the summary of what a run has so far."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutelage.errors import RunFolderError, TutelageError
from tutelage.objectives import load_objective
from tutelage.run.artifacts import Environment, Preparation, TrainingResult, read_artifact
from tutelage.run.evaluation import read_evaluation
from tutelage.run.folder import WRITTEN_BY, RunFolder, steps_in, write_json, write_text
from tutelage.run.history import read_history
from tutelage.run.judges import Judges
from tutelage.run.lines import read_json_lines
from tutelage.stages.base_model import check_base_model
from tutelage.stages.next_steps import steps_of
from tutelage.stages.prepared import check_prepared_settings, read_prepared
from tutelage.stages.session import Session
from tutelage.stages.settings import check_trained_settings, check_unused_settings
from tutelage.system.storage import find_damage

if TYPE_CHECKING:
    from tutelage.report.results import RunResults
    from tutelage.report.summary import Summary


@dataclass(frozen=True)
class Reported:
    """Where the page is, and what the summary says."""

    page: Path
    summary: "Summary"


def check_report(session: Session) -> None:
    """Stop where a report could not honour a setting, or speak of rows that are others now."""
    run = session.run
    run.require(run.preparation, stage="prepare")
    check_unused_settings(session, command="report")
    check_prepared_settings(run, session.recipe)
    if run.training.exists():
        check_trained_settings(session)


def report(session: Session) -> Reported:
    """Write report.html and summary.json from what the stages left in the run folder."""
    check_report(session)
    with session.writing():
        return make_report(session)


def make_report(session: Session) -> Reported:
    """Do what `report` does in a run folder that is locked already."""
    run, reporter = session.run, session.reporter
    with session.stage("report") as finish:
        from tutelage.report.page import render_report

        source = session.source
        with reporter.waiting("Writing the report"), _naming_changed_files(run):
            warnings = _changes_since_written(run)
            check_base_model(run, source.fingerprint, source.files, adapter=source.adapter_sha256)
            results = read_results(run)
            summary = results.summary
            tokenizer, part = session.inputs.tokenizer, session.objective
            found, words = summary.evaluation, part.report.words
            section = None
            if found is not None:
                section = load_objective(found.objective).report.section(found, partial(_read_lines, run))
            page = render_report(
                results,
                lambda ids: str(tokenizer.decode(ids)),
                session.recipe,
                warnings,
                steps_of(session) if summary.training is not None else (),
                words=words(results.preparation, session.recipe),
                section=section,
                units=part.training.units,
            )
            write_text(run.report, page)
            # Last, so that it never tells of what no report could be made of.
            write_json(run.summary, summary.to_record())
        for warning in warnings:
            reporter.warn("run.file_changed", warning)
        reported = Reported(run.report, summary)
        finish(reported)
    return reported


def read_results(run: RunFolder) -> "RunResults":
    """Read what the stages of a run left so far, for the page."""
    from tutelage.evaluation.judge.results import read_test_row_judgements
    from tutelage.report.page import read_events
    from tutelage.report.results import RunResults

    preparation = read_artifact(Preparation, run.require(run.preparation, stage="prepare"))
    summary = summarise(run)
    judges = summary.judges or _read_judges(run)
    has_answers = summary.evaluation is not None and summary.evaluation.compared_answers is not None
    return RunResults(
        root=run.root,
        recipe=run.recipe.read_text(encoding="utf-8") if run.recipe.exists() else "",
        history=read_history(run),
        preparation=preparation,
        ledger=read_json_lines(run.ledger) if run.ledger.exists() else [],
        train=read_prepared(run, "train", load_objective(preparation.objective).rows.answers),
        environment=read_artifact(Environment, run.environment) if run.environment.exists() else None,
        events=read_events(run.events),
        checkpoints=steps_in(run.checkpoints),
        summary=summary,
        base=read_json_lines(run.responses("base")) if has_answers else [],
        tuned=read_json_lines(run.responses("tuned")) if has_answers else [],
        scores=read_json_lines(run.scores) if has_answers else [],
        judges=judges,
        judgements=read_test_row_judgements(run.judgements) if judges else [],
    )


def summarise(run: RunFolder) -> "Summary":
    """Read what the stages of a run found so far."""
    from tutelage.report.summary import Summary

    is_evaluated = run.metrics.exists()
    return Summary(
        rows=read_artifact(Preparation, run.preparation).rows if run.preparation.exists() else None,
        training=read_artifact(TrainingResult, run.training) if run.training.exists() else None,
        evaluation=read_evaluation(run.metrics) if is_evaluated else None,
        judges=_read_judges(run) if is_evaluated else None,
    )


def _read_judges(run: RunFolder) -> Judges | None:
    return read_artifact(Judges, run.judges) if run.judges.exists() else None


def _read_lines(run: RunFolder, name: str) -> list[dict[str, Any]]:
    """Return the lines of a file of the evaluation, none where it is gone, of which the warnings tell."""
    path = run.evaluation / name
    return read_json_lines(path) if path.exists() else []


def _changes_since_written(run: RunFolder) -> list[str]:
    """Say which folders of a run are not as their stages wrote them: what is reported of them is of other files."""
    return [
        f"{folder} has changed since it was written: {damage}. The report may not show what was measured."
        f" Run `{_written_by(run, folder)}` to write it again."
        for folder, damage in _changed_folders(run)
    ]


def _changed_folders(run: RunFolder) -> Iterator[tuple[Path, str]]:
    for folder in (run.data, run.model, run.evaluation):
        damage = find_damage(folder) if folder.is_dir() else None
        if damage is not None:
            yield folder, damage


def _written_by(run: RunFolder, folder: Path) -> str:
    return f"tutelage {WRITTEN_BY[folder.name]} {run.root} --overwrite"


@contextmanager
def _naming_changed_files(run: RunFolder) -> Iterator[None]:
    """Where something unexpected happens and a file is not as its stage wrote it, name that file."""
    try:
        yield
    except TutelageError:
        raise
    except Exception as fault:
        for folder, damage in _changed_folders(run):
            raise RunFolderError(
                "run.file_changed",
                f"{folder} has changed since it was written: {damage}. Run `{_written_by(run, folder)}` to"
                " write it again.",
            ) from fault
        raise
