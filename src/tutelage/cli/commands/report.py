"""`tutelage report`: write the report and summary of a run's existing results."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.options import Assignments, Debug, DryRun, RunOptions
from tutelage.cli.sessions import earlier_session
from tutelage.cli.views.dry_run import show_dry_run
from tutelage.cli.views.next_steps import show_next_steps
from tutelage.stages.report import check_report
from tutelage.stages.report import report as report_run


def report(
    run_folder: Annotated[Path | None, Parameter(help="Run folder, e.g. runs/quickstart.")] = None,
    *,
    set: Assignments = (),
    dry_run: DryRun = False,
    debug: Debug = False,
) -> None:
    """Write report.html and summary.json from a run's results."""
    with earlier_session(RunOptions(target=run_folder, set=set, debug=debug)) as session:
        run = session.run
        if dry_run:
            check_report(session)
            show_dry_run(session, writes=[run.summary, run.report])
            return
        report_run(session)
        show_next_steps(session)
