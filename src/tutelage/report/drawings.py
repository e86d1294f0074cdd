"""Places what is drawn by hand in the page: an interval against no change, and how rows are shared out."""

from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.evaluation.metrics import Metric
from tutelage.evaluation.statistics import PairedDifference
from tutelage.evaluation.verdict import Verdict, format_change

WIDTH = 640.0
MIDDLE = WIDTH / 2
# Labels of the ends nearer than this to each other or to the 0 would run into one.
LABEL_WIDTH = 56.0


@dataclass(frozen=True)
class Band:
    """A stretch of the axis."""

    left: float
    width: float


@dataclass(frozen=True)
class Label:
    """A figure under the axis."""

    x: float
    text: str
    anchor: str


@dataclass(frozen=True)
class IntervalDrawing:
    """An interval on an axis of 640 whose middle is no change and whose right is better.

    `unseen` is the band of changes that the test would miss more often than one time in five.
    """

    left: float
    right: float
    point: float
    kind: str
    unseen: Band | None
    labels: list[Label]
    description: str


@dataclass(frozen=True)
class Part:
    """A stretch of a bar that stands for so many rows."""

    kind: str
    label: str
    rows: int
    left: float
    width: float


def draw_interval(one: PairedDifference, metric: Metric, verdict: Verdict) -> IntervalDrawing | None:
    """Place the interval of the metric that decides; None where there is none."""
    if one.low is None or one.high is None or one.difference is None:
        return None
    smallest = one.smallest_detectable or 0.0
    reach = 1.08 * max(abs(one.low), abs(one.high), smallest)

    def place(value: float) -> float:
        return round(MIDDLE + metric.gain(value) / reach * MIDDLE, 1)

    left, right = sorted((place(one.low), place(one.high)))
    ends = sorted(
        (place(end), format_change(end, metric).replace("-", "\u2212")) for end in (one.low, one.high)
    )
    return IntervalDrawing(
        left=left,
        right=right,
        point=place(one.difference),
        kind=verdict.word.replace(" ", "-"),
        unseen=Band(round(MIDDLE - smallest / reach * MIDDLE, 1), round(2 * smallest / reach * MIDDLE, 1)),
        labels=_labels(ends),
        description=f"The 95 % interval of the change, {' to '.join(text for _, text in ends)}.",
    )


def _labels(ends: Sequence[tuple[float, str]]) -> list[Label]:
    (left, low), (right, high) = ends
    if right - left < 1.5 * LABEL_WIDTH:
        ends_as_one = [Label(round((left + right) / 2, 1), f"{low} to {high}", "middle")]
        return ends_as_one if abs((left + right) / 2 - MIDDLE) > 1.5 * LABEL_WIDTH else _outside(ends)
    return [
        Label(x, text, "middle") if abs(x - MIDDLE) > LABEL_WIDTH / 1.5 else _outside(ends)[index]
        for index, (x, text) in enumerate(ends)
    ]


def _outside(ends: Sequence[tuple[float, str]]) -> list[Label]:
    (left, low), (right, high) = ends
    return [
        Label(min(left, MIDDLE - LABEL_WIDTH / 3), low, "end"),
        Label(max(right, MIDDLE + LABEL_WIDTH / 3), high, "start"),
    ]


def split_rows(one: PairedDifference, metric: Metric) -> list[Part]:
    """Share out a bar of 640 among the rows that got better, stayed the same and got worse."""
    won, lost = (one.higher, one.lower) if metric.higher_is_better else (one.lower, one.higher)
    parts: list[Part] = []
    left = 0.0
    for kind, label, rows in [
        ("better", "better", won),
        ("same", "the same", one.equal),
        ("worse", "worse", lost),
    ]:
        width = round(WIDTH * rows / one.n, 1) if one.n else 0.0
        parts.append(Part(kind, label, rows, round(left, 1), width))
        left += width
    return parts
