"""The named test sets of an evaluation as lines of a table."""

from collections.abc import Mapping
from typing import Any

from tutelage.evaluation.set_metrics import SET_METRICS
from tutelage.report.paired_rows import PairedRow, paired_row


def set_rows(summary: Mapping[str, Any]) -> list[PairedRow]:
    """Return a line for each set in the summary of a run."""
    sets = summary.get("evaluation", {}).get("sets", {})
    return [
        paired_row(
            name,
            SET_METRICS[figures["metric"]],
            figures,
            rows=figures["rows"],
            p=figures["p_holm"],
            word=figures["verdict"],
            about=figures["source"],
        )
        for name, figures in sets.items()
    ]
