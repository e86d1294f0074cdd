"""All stages, from rows to a report; what an earlier call left unfinished goes on."""

from typing import TYPE_CHECKING

from tutelage.run.events import StageSkipped
from tutelage.run.folder import SPLITS
from tutelage.stages.evaluate import Outcome, evaluate_or_read, evaluation_ahead, own_metrics
from tutelage.stages.judge import check_judges
from tutelage.stages.prepare import prepare_local, preparing
from tutelage.stages.resume import changes_of_preparation, check_preparation_unchanged, is_finished
from tutelage.stages.session import Session
from tutelage.stages.settings import check_trained_settings, require_no_run
from tutelage.stages.train import load_for_run, train_prepared, training_stage, tune_opened

if TYPE_CHECKING:
    from tutelage.data.dataset.prepared_rows import PreparedRows


def run_all(session: Session, *, overwrite: bool = False, allow_changes: bool = False) -> Outcome:
    """Prepare, tune, evaluate and report; an unfinished run goes on, and a finished one is refused."""
    folder = session.run
    check_judges(session.loaded)
    goes_on = folder.preparation.exists() and not overwrite
    with session.writing():  # which clears up what a crash left, be it the last thing that a finished run did
        if goes_on and is_finished(folder):
            require_no_run(folder)
        if not (goes_on and folder.metrics.exists()):
            own_metrics(session)  # after an hour of training it would be too late to find one missing
        if goes_on:
            _finish(session, is_allowed=allow_changes)
        else:
            _begin(session)
        return evaluate_or_read(session)


def check_run(session: Session) -> "PreparedRows | None":
    """Do what can be done without writing or fetching; return the rows that would be trained on, None if unknown."""
    check_judges(session.loaded)
    own_metrics(session)
    prepared = prepare_local(session.inputs, session.reporter)
    if prepared is None:
        return None
    evaluation_ahead(session, prepared.splits)
    return prepared.splits["train"]


def _begin(session: Session) -> None:
    """Prepare and tune.

    An earlier run is not touched before the new one is known to begin: rows, settings and model are tried first.
    """
    with preparing(session) as prepared:
        ahead = evaluation_ahead(session, prepared.splits)
        opened = load_for_run(session, prepared.splits, prepared.preparation)
    with training_stage(session) as finish:
        finish(tune_opened(session, opened, ahead=ahead))


def _finish(session: Session, *, is_allowed: bool) -> None:
    """Prepare and tune what an earlier call did not finish, from where it stood."""
    run, reporter = session.run, session.reporter
    changed = changes_of_preparation(session)
    check_preparation_unchanged(run, changed, is_allowed=is_allowed)
    if changed:
        with preparing(session, keeps_results=True):
            pass
    else:
        reporter.emit(StageSkipped(stage="prepare", path=run.data))
    if run.training.exists():
        check_trained_settings(session)
        reporter.emit(StageSkipped(stage="train", path=run.model))
        return
    ahead = evaluation_ahead(session, {split: session.rows(split) for split in SPLITS})
    train_prepared(session, begin_anew=False, is_allowed=is_allowed, ahead=ahead)
