"""The page of a run folder, however the folder came to be."""

from pathlib import Path
from typing import Any

from tutelage.report.page import render_report
from tutelage.run.folder import RunFolder, write_text
from tutelage.stages.report import read_results


def write_report(run: RunFolder, *given: Any, **parts: Any) -> Path:
    """Write the page that is rendered of a run and what else is given."""
    write_text(run.report, render_report(read_results(run), *given, **parts))
    return run.report
