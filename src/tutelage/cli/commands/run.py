"""`tutelage run`: run all stages, from data to report."""

from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.judge_options import JudgeOptions
from tutelage.cli.options import AllowChanges, FailIfWorse, NewRunOptions
from tutelage.cli.sessions import new_session
from tutelage.cli.views.answers import show_answers
from tutelage.cli.views.dry_run import show_dry_run
from tutelage.cli.views.next_steps import show_next_steps
from tutelage.errors import EXIT_UNTRUSTWORTHY, EXIT_WORSE
from tutelage.stages.resume import is_finished
from tutelage.stages.run import check_run, run_all
from tutelage.stages.session import Session

QUICK = {"training.max_steps": 40, "evaluation.limit": 32}

Quick = Annotated[
    bool,
    Parameter(
        help="Make a small run of a few minutes: 40 optimizer steps, 32 test rows. A setting that you give wins.",
        negative="",
        show_default=False,
    ),
]
New = Annotated[
    bool,
    Parameter(
        help="Keep an earlier run as it is, and start a new one in a folder next to it.",
        negative="",
        show_default=False,
    ),
]


def run(
    options: NewRunOptions = NewRunOptions(),  # noqa: B008 - frozen
    judge_options: JudgeOptions = JudgeOptions(),  # noqa: B008 - frozen
    *,
    quick: Quick = False,
    fail_if_worse: FailIfWorse = False,
    new: New = False,
    allow_changes: AllowChanges = False,
) -> int:
    """Fine-tune, evaluate and report in one command.

    An unfinished run resumes where it stopped.
    """
    with new_session(
        options,
        {**judge_options.overrides(), **(_quick_settings(options) if quick else {})},
        is_new=new,
        before={"report": show_answers},
    ) as session:
        if options.dry_run:
            _show_dry_run(session)
            return 0
        found = run_all(session, overwrite=options.overwrite, allow_changes=allow_changes)
        show_next_steps(session, begins_anew=True)
    if fail_if_worse and found.is_worse:
        return EXIT_WORSE
    return 0 if found.is_trusted else EXIT_UNTRUSTWORTHY


def _quick_settings(options: NewRunOptions) -> dict[str, int]:
    """Return the settings of `--quick`, except those that another option gives."""
    given = {name.split()[-1] for name in options.overrides()}
    given |= {assignment.partition("=")[0].strip() for assignment in options.set}
    if "training.num_train_epochs" in given:
        given.add("training.max_steps")
    return {f"--quick {name}": value for name, value in QUICK.items() if name not in given}


def _show_dry_run(session: Session) -> None:
    training, run = check_run(session), session.run
    writes = [run.recipe, run.data, run.events, run.environment, run.checkpoints, run.model]
    show_dry_run(
        session,
        writes=[*writes, run.evaluation, run.summary, run.report],
        guarded=[run.data] if run.preparation.exists() and is_finished(run) else [],
        training=training,
    )
