"""Measures both models' answers for the page: the verdict, the table of metrics and the rows to read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.evaluation.comparison import compare_scores
from tutelage.evaluation.metrics import METRICS, Metric, score_rows
from tutelage.evaluation.statistics import PairedDifference
from tutelage.evaluation.verdict import Verdict, detectable_sentence, format_change, format_value, verdict
from tutelage.report.answers import Selection, select
from tutelage.run_folder import RunFolder, read_json_lines


@dataclass(frozen=True)
class Bar:
    """A drawn interval on an axis from 0 to 200 whose middle is no change and whose right is better."""

    left: float
    right: float
    point: float


@dataclass(frozen=True)
class MetricRow:
    """One line of the metric table, its numbers as text."""

    metric: Metric
    base: str
    tuned: str
    difference: str
    interval: str
    word: str
    bar: Bar | None


@dataclass(frozen=True)
class Evaluation:
    """What the answers of both models show."""

    primary: Metric
    verdict: Verdict
    detectable: str
    measured: Mapping[str, PairedDifference]
    table: list[MetricRow]
    selection: Selection


def evaluate_answers(run: RunFolder, summary: Mapping[str, Any]) -> Evaluation | None:
    """Measure the answers in the folder by the primary metric that the evaluation was made with."""
    if "evaluation" not in summary:
        return None
    primary = METRICS[summary["evaluation"]["primary_metric"]]
    base, tuned = read_json_lines(run.responses("base")), read_json_lines(run.responses("tuned"))
    scores = score_rows(base, tuned)
    compared = compare_scores(scores, primary)
    measured = compared.measured
    return Evaluation(
        primary=primary,
        verdict=compared.verdict,
        detectable=detectable_sentence(measured[primary.name].smallest_detectable, primary),
        measured=measured,
        table=[_metric_row(METRICS[name], measured) for name in METRICS],
        selection=select(base, tuned, scores, primary),
    )


def _metric_row(metric: Metric, measured: Mapping[str, PairedDifference]) -> MetricRow:
    one = measured[metric.name]
    interval = (
        f"{_change(one.low, metric)} to {_change(one.high, metric)}" if one.low is not None else "unknown"
    )
    return MetricRow(
        metric=metric,
        base=value_text(one.base, metric),
        tuned=value_text(one.tuned, metric),
        difference=_change(one.difference, metric),
        interval=interval,
        word=verdict(one, metric).word,
        bar=_bar(one, metric, _widest(measured, metric.unit)),
    )


def _widest(measured: Mapping[str, PairedDifference], unit: str) -> float:
    """Return the largest reach of all intervals in one scale; % and points are both out of 100."""
    of_hundred = ("%", "points")
    units = of_hundred if unit in of_hundred else (unit,)
    alike = [measured[name] for name, metric in METRICS.items() if metric.unit in units]
    return max((abs(end) for one in alike for end in (one.low, one.high) if end is not None), default=0.0)


def _bar(one: PairedDifference, metric: Metric, widest: float) -> Bar | None:
    if one.low is None or one.high is None or one.difference is None or widest == 0:
        return None
    left, right = sorted((metric.gain(one.low), metric.gain(one.high)))
    place = [round(100 + 92 * gain / widest, 1) for gain in (left, right, metric.gain(one.difference))]
    return Bar(*place)


def value_text(value: float | None, metric: Metric) -> str:
    """Write a value with its unit, or say that it is unknown."""
    return "unknown" if value is None else format_value(value, metric)


def _change(value: float | None, metric: Metric) -> str:
    return "unknown" if value is None else format_change(value, metric).replace("-", "\u2212")
