"""The test rows that are near-duplicates of training rows, for the page: the primary metric with and without them."""

from dataclasses import dataclass

from tutelage.evaluation.metrics import load_metric
from tutelage.evaluation.paired.training_overlap import overlap_sentence
from tutelage.report.scores import change_text, interval_text, value_text
from tutelage.run.evaluation import AnswerEvaluation


@dataclass(frozen=True)
class OverlapRow:
    """One line of the table, its figures as text."""

    label: str
    rows: int
    base: str
    tuned: str
    difference: str
    interval: str
    verdict: str


@dataclass(frozen=True)
class Overlap:
    """A sentence, and the table where there is something to compare."""

    sentence: str
    metric: str
    compared: str
    table: list[OverlapRow]


def overlap_of(evaluation: AnswerEvaluation | None) -> Overlap | None:
    """Return what the page says; None of an evaluation that did not look for near-duplicates."""
    if evaluation is None or (found := evaluation.training_overlap) is None:
        return None
    metric = load_metric(evaluation.primary_metric)
    groups = [("all test rows", found.all), ("without near-duplicates", found.without)]
    table = [
        OverlapRow(
            label,
            one.rows,
            value_text(one.base, metric),
            value_text(one.tuned, metric),
            change_text(one.difference, metric),
            interval_text(one.low, one.high, metric),
            one.verdict,
        )
        for label, one in groups
        if one is not None
    ]
    compared = "Baseline" if evaluation.baselines else "Base"
    return Overlap(overlap_sentence(found, metric), metric.label, compared, table)
