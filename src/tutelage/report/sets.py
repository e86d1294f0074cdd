"""The named test sets of an evaluation as lines of a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.evaluation.metrics import Metric
from tutelage.evaluation.set_metrics import SET_METRICS
from tutelage.report.scores import Bar, change_text, interval_text, p_text, value_text


@dataclass(frozen=True)
class SetRow:
    """One set, its numbers as text."""

    name: str
    source: str
    metric: Metric
    rows: int
    base: str
    tuned: str
    difference: str
    interval: str
    p: str
    word: str
    bar: Bar | None


def set_rows(summary: Mapping[str, Any]) -> list[SetRow]:
    """Return a line for each set in the summary of a run."""
    sets = summary.get("evaluation", {}).get("sets", {})
    return [_row(name, figures) for name, figures in sets.items()]


def _row(name: str, figures: Mapping[str, Any]) -> SetRow:
    metric = SET_METRICS[figures["metric"]]
    return SetRow(
        name=name,
        source=figures["source"],
        metric=metric,
        rows=figures["rows"],
        base=value_text(figures["base"], metric),
        tuned=value_text(figures["tuned"], metric),
        difference=change_text(figures["difference"], metric),
        interval=interval_text(figures["low"], figures["high"], metric),
        p=p_text(figures["p_holm"]),
        word=figures["verdict"],
        bar=bar_of_its_own(figures, metric),
    )


def bar_of_its_own(figures: Mapping[str, Any], metric: Metric) -> Bar | None:
    """Place the interval on an axis of its own, for sets have metrics of many units."""
    if figures["low"] is None:
        return None
    ends = metric.gain(figures["low"]), metric.gain(figures["high"])
    reach = max(abs(end) for end in ends) or 1.0
    left, right, point = (
        round(100 + 92 * gain / reach, 1) for gain in (*sorted(ends), metric.gain(figures["difference"]))
    )
    return Bar(left, right, point)
