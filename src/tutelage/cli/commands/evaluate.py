"""`tutelage evaluate`: stage 3."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.judge_options import JudgeOptions
from tutelage.cli.options import FailIfWorse, StageOptions
from tutelage.cli.sessions import earlier_session
from tutelage.cli.views import console
from tutelage.cli.views.dry_run import show_dry_run
from tutelage.cli.views.next_steps import show_next_steps
from tutelage.errors import EXIT_UNTRUSTWORTHY, EXIT_WORSE
from tutelage.stages.evaluate import check_evaluation, check_rows_to_evaluate, keeps_answers
from tutelage.stages.evaluate import evaluate as evaluate_run
from tutelage.stages.judge import check_answer_settings, judges_only
from tutelage.stages.session import Session


def evaluate(
    options: StageOptions = StageOptions(),  # noqa: B008 - frozen
    judge_options: JudgeOptions = JudgeOptions(),  # noqa: B008 - frozen
    *,
    checkpoint: Annotated[
        int | None,
        Parameter(
            help="Evaluate the checkpoint of this step instead of the final weights; the run's own evaluation is kept.",
            show_default=False,
        ),
    ] = None,
    fail_if_worse: FailIfWorse = False,
) -> int:
    """Compare base and fine-tuned model on the test rows.

    If the answers already exist and a judge is given, only the judge runs.
    """
    with earlier_session(options, judge_options.overrides(), step=checkpoint) as session:
        if options.dry_run:
            _show_dry_run(session, options)
            return 0
        if not options.overwrite and keeps_answers(session) and not judges_only(session):
            console.heading("3 Evaluate: the answers exist, writing only the report")
        found = evaluate_run(session, overwrite=options.overwrite)
        _show_results(session)
    if fail_if_worse and found.is_worse:
        return EXIT_WORSE
    return 0 if found.is_trusted else EXIT_UNTRUSTWORTHY


def _show_results(session: Session) -> None:
    """Print the next steps, or for a checkpoint where its evaluation is and how to compare it with the run's."""
    run = session.run
    if run.step is None:
        show_next_steps(session)
        return
    console.print_message(
        f"Evaluation of the checkpoint of step {run.step}: {run.evaluation}\nCompare it with the run's final"
        f" weights: tutelage compare {run.root} {run.name}"
    )


def _show_dry_run(session: Session, options: StageOptions) -> None:
    run = session.run
    check_evaluation(session)
    if not options.overwrite and keeps_answers(session):
        check_answer_settings(session)
        judged = [run.judgements, run.judges] if judges_only(session) else []
        show_dry_run(session, writes=[run.evaluated_recipe, *judged, *_reports(session)])
        return
    check_rows_to_evaluate(session)  # rejects what the real command would
    writes = [run.evaluated_recipe, run.evaluation, *_reports(session)]
    show_dry_run(session, writes=writes, guarded=[run.evaluation])


def _reports(session: Session) -> list[Path]:
    """Return the reports to write; summary and report only exist for the run itself, not for checkpoints."""
    run = session.run
    return [run.summary, run.report] if run.step is None else []
