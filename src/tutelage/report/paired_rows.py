"""A set of rows with a metric of its own as one line of a table, whatever the two sides of it are."""

from dataclasses import dataclass

from tutelage.evaluation.metrics.metric import Metric
from tutelage.evaluation.paired.verdict import format_p
from tutelage.evaluation.stats.statistics import PairedDifference
from tutelage.report.scores import Bar, change_text, interval_text, value_text
from tutelage.run.figures import PairedFigures


@dataclass(frozen=True)
class PairedRow:
    """One line, its numbers as text; `base` and `tuned` are the two sides, and `note` is said below the table."""

    title: str
    about: str
    metric: Metric
    rows: int
    base: str
    tuned: str
    difference: str
    interval: str
    p: str
    word: str
    bar: Bar | None
    note: str


def paired_row(
    title: str,
    metric: Metric,
    figures: PairedDifference | PairedFigures,
    *,
    rows: int,
    p: float | None,
    word: str,
    about: str = "",
    note: str = "",
) -> PairedRow:
    """Write figures as metrics.json has them as a line; `about` says where the rows are from."""
    return PairedRow(
        title=title,
        about=about,
        metric=metric,
        rows=rows,
        base=value_text(figures.base, metric),
        tuned=value_text(figures.tuned, metric),
        difference=change_text(figures.difference, metric),
        interval=interval_text(figures.low, figures.high, metric),
        p=format_p(p),
        word=word,
        bar=_bar_of_its_own(figures, metric),
        note=note,
    )


def _bar_of_its_own(figures: PairedDifference | PairedFigures, metric: Metric) -> Bar | None:
    """Place the interval on an axis of its own, for sets have metrics of many units."""
    if figures.low is None or figures.high is None or figures.difference is None:
        return None
    ends = metric.gain(figures.low), metric.gain(figures.high)
    reach = max(abs(end) for end in ends) or 1.0
    left, right, point = (
        round(100 + 92 * gain / reach, 1) for gain in (*sorted(ends), metric.gain(figures.difference))
    )
    return Bar(left, right, point)
