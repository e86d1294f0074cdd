"""Places what is drawn by hand in the page: an interval against no change, and how rows are shared out."""

from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.evaluation.metrics.metric import Metric
from tutelage.evaluation.paired.verdict import Verdict, format_change
from tutelage.evaluation.stats.statistics import PairedDifference

WIDTH = 640.0
# As with the charts, a second drawing is for telephones, on which the first would have letters too small to read.
WIDTHS = {"wide": WIDTH, "narrow": 340.0}
CHARACTER = 9.0  # of a label, at most
GAP = 8.0
# Labels of ends nearer than this to each other would run into one.
LABEL_WIDTH = 84.0


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
    """An interval on an axis whose middle is no change and whose right is better.

    `unseen` is the band of changes that the test would miss more often than one time in five.
    """

    width: float
    left: float
    right: float
    point: float
    kind: str
    unseen: Band | None
    labels: list[Label]
    description: str

    @property
    def middle(self) -> float:
        return self.width / 2


@dataclass(frozen=True)
class DrawnPart:
    """A stretch of a bar that stands for so many rows."""

    kind: str
    label: str
    rows: int
    left: float
    width: float


def draw_intervals(one: PairedDifference, metric: Metric, verdict: Verdict) -> dict[str, IntervalDrawing]:
    """Place the interval of the metric that decides on an axis of each width; nothing where there is none."""
    if one.low is None:
        return {}
    return {name: draw_interval(one, metric, verdict, width=width) for name, width in WIDTHS.items()}


def draw_interval(
    one: PairedDifference, metric: Metric, verdict: Verdict, *, width: float
) -> IntervalDrawing:
    """Place the interval of a metric, which has one."""
    assert one.low is not None
    assert one.high is not None
    assert one.difference is not None
    middle = width / 2
    smallest = one.minimum_detectable_effect or 0.0
    reach = 1.08 * max(abs(one.low), abs(one.high), smallest)

    def place(value: float) -> float:
        return round(middle + metric.gain(value) / reach * middle, 1)

    left, right = sorted((place(one.low), place(one.high)))
    ends = sorted(
        (place(end), format_change(end, metric).replace("-", "\u2212")) for end in (one.low, one.high)
    )
    return IntervalDrawing(
        width=width,
        left=left,
        right=right,
        point=place(one.difference),
        kind=verdict.word.replace(" ", "-"),
        unseen=Band(round(middle - smallest / reach * middle, 1), round(2 * smallest / reach * middle, 1)),
        labels=_labels(ends, width),
        description=f"The 95 % interval of the change, {' to '.join(text for _, text in ends)}.",
    )


def _labels(ends: Sequence[tuple[float, str]], width: float) -> list[Label]:
    (left, low), (right, high) = ends
    if right - left < LABEL_WIDTH:
        ends_as_one = _centred((left + right) / 2, f"{low} to {high}", width)
        return [ends_as_one] if ends_as_one else _outside(ends, width)
    return [_centred(x, text, width) or _outside(ends, width)[index] for index, (x, text) in enumerate(ends)]


def _centred(x: float, text: str, width: float) -> Label | None:
    """Place a label under a point, within the drawing; None where it would run into the 0."""
    half = CHARACTER * len(text) / 2
    x = min(max(x, half), width - half)
    return Label(round(x, 1), text, "middle") if abs(x - width / 2) > half + GAP else None


def _outside(ends: Sequence[tuple[float, str]], width: float) -> list[Label]:
    """Place the labels on both sides of the 0."""
    (left, low), (right, high) = ends
    room = 2 * GAP + 3
    leftmost, rightmost = CHARACTER * len(low), width - CHARACTER * len(high)
    return [
        Label(max(min(left, width / 2 - room), leftmost), low, "end"),
        Label(min(max(right, width / 2 + room), rightmost), high, "start"),
    ]


def split_rows(one: PairedDifference, metric: Metric) -> list[DrawnPart]:
    """Share out a bar of 640 among the rows that got better, stayed the same and got worse."""
    won, lost = (one.higher, one.lower) if metric.higher_is_better else (one.lower, one.higher)
    parts: list[DrawnPart] = []
    left = 0.0
    for kind, label, rows in [
        ("better", "better", won),
        ("same", "the same", one.equal),
        ("worse", "worse", lost),
    ]:
        width = round(WIDTH * rows / one.n, 1) if one.n else 0.0
        parts.append(DrawnPart(kind, label, rows, round(left, 1), width))
        left += width
    return parts
