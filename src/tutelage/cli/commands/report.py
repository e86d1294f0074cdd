"""`tutelage report`: the page and the summary of what a run has so far."""

from tutelage.cli.options import DryRunOptions
from tutelage.cli.sessions import earlier_session
from tutelage.cli.views.dry_run import show_dry_run
from tutelage.cli.views.next_steps import show_next_steps
from tutelage.stages.report import check_report
from tutelage.stages.report import report as report_run


def report(options: DryRunOptions = DryRunOptions()) -> None:  # noqa: B008 - frozen
    """Write report.html and summary.json from a run's results."""
    with earlier_session(options) as session:
        run = session.run
        if options.dry_run:
            check_report(session)
            show_dry_run(session, writes=[run.summary, run.report])
            return
        report_run(session)
        show_next_steps(session)
