"""The baselines and the fine-tuned model on one axis, for the page."""

from dataclasses import dataclass, replace

from tutelage.evaluation.metrics.metric import Metric
from tutelage.evaluation.paired.verdict import format_value
from tutelage.run.baselines import BaselineFigures, BaselinesFound

AXIS = (8.0, 192.0)  # of a drawing from 0 to 200


@dataclass(frozen=True)
class DrawnMean:
    """A mean with its interval, placed on the axis; ends are None where there is no interval."""

    point: float
    left: float | None
    right: float | None


@dataclass(frozen=True)
class BaselineRow:
    """One line of the table, its numbers as text."""

    title: str
    rows: int
    validation: str
    value: str
    interval: str
    drawn: DrawnMean
    is_strongest: bool = False
    is_tuned: bool = False


@dataclass(frozen=True)
class BaselineTable:
    """What the page shows of the baselines."""

    rows: list[BaselineRow]
    metric: str
    chosen_on: int
    notes: list[str]


def baseline_table(found: BaselinesFound | None, metric: Metric) -> BaselineTable | None:
    """Return the lines of the table, the fine-tuned model last; None where there are no baselines."""
    if found is None or found.tuned is None:
        return None
    shown = [*found.figures.values(), found.tuned]
    ends = [end for one in shown for end in (one.low, one.high, one.value) if end is not None]
    lowest, highest = min(0.0, *ends), max(ends)
    rows = [
        _row(one, metric, lowest, highest, is_strongest=name == found.strongest)
        for name, one in found.figures.items()
    ]
    tuned = replace(_row(found.tuned, metric, lowest, highest, is_strongest=False), is_tuned=True)
    return BaselineTable([*rows, tuned], metric.label, found.validation_rows, found.notes)


def _row(
    one: BaselineFigures, metric: Metric, lowest: float, highest: float, *, is_strongest: bool
) -> BaselineRow:
    return BaselineRow(
        one.title,
        one.rows,
        "" if one.validation is None else format_value(one.validation, metric),
        format_value(one.value, metric),
        _interval(one.low, one.high, metric),
        DrawnMean(
            _place(one.value, lowest, highest),
            *(None if end is None else _place(end, lowest, highest) for end in (one.low, one.high)),
        ),
        is_strongest=is_strongest,
    )


def _interval(low: float | None, high: float | None, metric: Metric) -> str:
    return (
        "" if low is None or high is None else f"{format_value(low, metric)} to {format_value(high, metric)}"
    )


def _place(value: float, lowest: float, highest: float) -> float:
    left, right = AXIS
    return round(left + (value - lowest) / ((highest - lowest) or 1.0) * (right - left), 1)
