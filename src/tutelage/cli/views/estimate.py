"""Print the time estimate of a run before its first step, and a command for a shorter trial."""

from tutelage.cli.views import console
from tutelage.run.events import Estimated


def show_estimate(found: Estimated) -> None:
    """Print the estimate for the rest of the run, and for a long run a command for a trial."""
    console.print_message(describe_estimate(found))
    if found.trial is not None:
        console.print_message(f"A trial of {describe_time(found.trial.seconds)}:")
        console.verbatim(f"  {found.trial.command}")


def describe_estimate(found: Estimated) -> str:
    """Return a line with the estimated time in total and per stage."""
    at_most = "at most " if found.may_stop_early else ""
    training = f"training {at_most}{_clock(found.training_seconds)} ({found.steps:,} steps)"
    after = found.evaluation_seconds + found.report_seconds
    evaluation = f", evaluation and report {_clock(after)}" if found.report_seconds else ""
    judges = "" if found.judges_counted else ", judges not counted"
    told = describe_time(found.seconds)
    return f"{told[0].upper()}{told[1:]} from here: {training}{evaluation}{judges}."


def describe_time(seconds: float) -> str:
    """Format an estimated time with suitable precision."""
    if seconds < 90:
        return f"about {max(5, 5 * round(seconds / 5))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"about {minutes} min"
    return f"about {round(seconds / 3600, 1):g} h"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
