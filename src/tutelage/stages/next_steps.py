"""The commands that go on with a trained run, which ask a row of its own."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from tutelage.errors import RunFolderError
from tutelage.run.artifacts import Preparation, read_artifact
from tutelage.stages.session import Session

if TYPE_CHECKING:
    from tutelage.data.dataset.prepared_rows import PreparedRows
    from tutelage.data.dataset.sample_prompt import SamplePrompt
    from tutelage.evaluation.next_steps import NextStep


def steps_of(session: Session, *, exported: Collection[str] = ()) -> "list[NextStep]":
    """Return the commands; `exported` names what was just exported."""
    from tutelage.evaluation.next_steps import evaluate_step, path_argument

    run = session.run
    path = path_argument(run.root)
    is_evaluated = run.metrics.exists() or not read_artifact(Preparation, run.preparation).rows.test
    steps = session.objective.report.steps(path, own_question(session), is_exported=bool(exported))
    return steps if is_evaluated else [evaluate_step(path), *steps]


def own_question(session: Session) -> "SamplePrompt | None":
    """Return a question of the run's own rows, of the test rows where one of them can be asked."""
    choose = session.objective.report.question
    splits = _splits_that_are_there(session)
    return next(filter(None, (choose(rows, lambda: session.inputs.renderer) for rows in splits)), None)


def _splits_that_are_there(session: Session) -> "Iterator[PreparedRows]":
    for split in ("test", "validation", "train"):
        try:
            rows = session.rows(split)
        except RunFolderError:  # of rows that are gone the stages and the report speak
            continue
        yield rows
