"""What an evaluation found of both models' answers, for the page: verdict, table of metrics and rows to read."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from tutelage.evaluation.metrics import load_metric
from tutelage.evaluation.metrics.metric import Metric
from tutelage.evaluation.metrics.metrics import read_scores
from tutelage.evaluation.paired.comparison import Comparison, comparison_of, deciding_difference
from tutelage.evaluation.paired.verdict import (
    Verdict,
    detectable_sentence,
    format_change,
    format_p,
    format_value,
)
from tutelage.evaluation.stats.length_effect import LengthEffect
from tutelage.evaluation.stats.statistics import PairedDifference
from tutelage.report.answers import Selection, select
from tutelage.report.charts import Chart, distribution_chart
from tutelage.report.drawings import DrawnPart, IntervalDrawing, draw_intervals, split_rows
from tutelage.run.evaluation import AnswerEvaluation


@dataclass(frozen=True)
class Bar:
    """A drawn interval on an axis from 0 to 200 whose middle is no change and whose right is better."""

    left: float
    right: float
    point: float


@dataclass(frozen=True)
class MetricRow:
    """One line of the metric table, its numbers as text; `p` says by its name how it was raised."""

    metric: Metric
    base: str
    tuned: str
    difference: str
    interval: str
    p: str
    word: str
    bar: Bar | None


@dataclass(frozen=True)
class MeasuredAnswers:
    """What the answers of both models show."""

    primary: Metric
    verdict: Verdict
    detectable: str
    measured: Mapping[str, PairedDifference]
    table: list[MetricRow]
    selection: Selection
    drawings: Mapping[str, IntervalDrawing]
    tally: list[DrawnPart]
    won: str
    distribution: Chart | None
    length: LengthEffect | None
    as_measured: str
    at_equal_length: str


def evaluate_answers(
    evaluation: AnswerEvaluation | None,
    base: Sequence[Mapping[str, Any]],
    tuned: Sequence[Mapping[str, Any]],
    scored: Sequence[Mapping[str, Any]],
    *,
    unscored: Set[int] = frozenset(),
) -> MeasuredAnswers | None:
    """Gather what the evaluation found of the lines of both models' answers and their scores, and choose rows to read.

    `unscored` are the rows to which a judge gave no readable score.
    """
    if evaluation is None:
        return None
    primary = load_metric(evaluation.primary_metric)
    scores = read_scores(scored, base, tuned)
    compared = comparison_of(evaluation)
    same_prompt, deciding = compared.measured[primary.name], deciding_difference(evaluation)
    return MeasuredAnswers(
        primary=primary,
        verdict=compared.verdict,
        detectable=detectable_sentence(deciding.minimum_detectable_effect, primary),
        measured=compared.measured,
        table=metric_rows(compared),
        selection=select(base, tuned, scores, primary, unscored=unscored),
        drawings=draw_intervals(deciding, primary, compared.verdict),
        tally=split_rows(same_prompt, primary),
        won=_won(same_prompt, primary),
        distribution=distribution_chart(scores.base[primary.name], scores.tuned[primary.name], primary),
        length=compared.length,
        as_measured=change_text(same_prompt.difference, primary),
        at_equal_length=_at_equal_length(compared.length, primary),
    )


def metric_rows(compared: Comparison) -> list[MetricRow]:
    """Return the lines of the table of all metrics."""
    return [_metric_row(metric, compared) for metric in compared.metrics.values()]


def _metric_row(metric: Metric, compared: Comparison) -> MetricRow:
    one = compared.measured[metric.name]
    return MetricRow(
        metric=metric,
        base=value_text(one.base, metric),
        tuned=value_text(one.tuned, metric),
        difference=change_text(one.difference, metric),
        interval=interval_text(one.low, one.high, metric),
        p=format_p(compared.p(metric.name)),
        word=compared.word(metric.name),
        bar=_bar(one, metric, _widest(compared, metric.unit)),
    )


def _widest(compared: Comparison, unit: str) -> float:
    """Return the largest reach of all intervals in one scale; % and points are both out of 100."""
    of_hundred = ("%", "points")
    units = of_hundred if unit in of_hundred else (unit,)
    alike = [compared.measured[name] for name, metric in compared.metrics.items() if metric.unit in units]
    return max((abs(end) for one in alike for end in (one.low, one.high) if end is not None), default=0.0)


def _bar(one: PairedDifference, metric: Metric, widest: float) -> Bar | None:
    if one.low is None or one.high is None or one.difference is None or widest == 0:
        return None
    left, right = sorted((metric.gain(one.low), metric.gain(one.high)))
    place = [round(100 + 92 * gain / widest, 1) for gain in (left, right, metric.gain(one.difference))]
    return Bar(*place)


def _won(one: PairedDifference, metric: Metric) -> str:
    """Say on which share of the rows that differ the tuned model is better, with its interval."""
    if one.higher_low is None or one.higher_high is None:
        return ""
    share, low, high = 100 * one.higher / (one.higher + one.lower), one.higher_low, one.higher_high
    if not metric.higher_is_better:
        share, low, high = 100 - share, 100 - high, 100 - low
    return f"{share:.0f} % (95 % interval {low:.0f} to {high:.0f} %)"


def _at_equal_length(length: LengthEffect | None, metric: Metric) -> str:
    if length is None or length.adjusted is None:
        return ""
    return f"{change_text(length.adjusted, metric)} ({interval_text(length.low, length.high, metric)})"


def value_text(value: float | None, metric: Metric) -> str:
    """Write a value with its unit, or say that it is unknown."""
    return "unknown" if value is None else format_value(value, metric)


def change_text(value: float | None, metric: Metric) -> str:
    """Write a difference with its sign, or say that it is unknown."""
    return "unknown" if value is None else format_change(value, metric).replace("-", "\u2212")


def interval_text(low: float | None, high: float | None, metric: Metric) -> str:
    """Write an interval of differences, or say that it is unknown."""
    return "unknown" if low is None else f"{change_text(low, metric)} to {change_text(high, metric)}"
