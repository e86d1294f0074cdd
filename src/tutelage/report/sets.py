"""The named test sets of an evaluation as lines of a table."""

from collections.abc import Mapping
from typing import Any

from tutelage.evaluation.judging.results import judged_metric
from tutelage.evaluation.set_metrics import SET_METRICS
from tutelage.report.paired_rows import PairedRow, paired_row


def set_rows(summary: Mapping[str, Any]) -> list[PairedRow]:
    """Return a line for each set in the summary of a run; of one that judges score, a line for each judge."""
    evaluation = summary.get("evaluation", {})
    sets = evaluation.get("sets", {})
    return [*_scored(sets), *_judged(sets, evaluation.get("judges", {}))]


def _scored(sets: Mapping[str, Any]) -> list[PairedRow]:
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
        if figures["metric"] != "judge"
    ]


def _judged(sets: Mapping[str, Any], judges: Mapping[str, Any]) -> list[PairedRow]:
    return [
        paired_row(
            name,
            judged_metric(judge),
            figures,
            rows=figures["rows"],
            p=figures["p_holm"],
            word=figures["verdict"],
            about=sets[name]["source"],
            note="" if figures["trusted"] else figures["sentence"],
        )
        for judge, result in judges.items()
        for name, figures in result.get("sets", {}).items()
    ]
