"""Draws the charts of the report as SVG; they hold numbers and our own words, never text of the data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair
import numpy as np
from markupsafe import Markup

from tutelage.evaluation.metrics.metric import Metric
from tutelage.report.svg import draw_svg
from tutelage.run.evaluation import Calibration

# Drawn twice, because one drawing squeezed onto a telephone has letters too small to read.
WIDTHS = {"wide": 760, "narrow": 300}

# Colours are the page's own CSS variables, so that the charts follow its light and its dark dress.
INK, FAINT, TUNED = "var(--ink-soft)", "var(--rule)", "var(--tuned)"
BINS = 10


@dataclass(frozen=True)
class Chart:
    """One drawing in two widths, and the words that stand for it where it cannot be seen."""

    wide: Markup
    narrow: Markup
    description: str


def length_chart(
    lengths: Sequence[int], *, axis: str = "tokens per example", counted: str = "examples"
) -> Chart | None:
    """Draw how many training examples, or whatever is counted, have how many tokens."""
    if not lengths:
        return None
    # Whole tokens a bar: otherwise bars that happen to span one number more stand out for nothing.
    width = 1 + (max(lengths) - min(lengths)) // 30
    counts, edges = np.histogram(lengths, bins=np.arange(min(lengths), max(lengths) + width + 1, width))
    bars = [
        {"from": float(low), "to": float(high), "examples": int(count)}
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    drawings = {
        name: _svg([_length_bars(bars, axis, counted)], width, height=180) for name, width in WIDTHS.items()
    }
    return Chart(**drawings, description=describe_lengths(lengths, counted))


def describe_lengths(lengths: Sequence[int], counted: str = "examples") -> str:
    """Say in words how long the examples are, or whatever is counted, in tokens."""
    half, most = np.percentile(lengths, [50, 95], method="higher")
    return (
        f"The {len(lengths):,} training {counted} have a median length of {half:,} tokens, a 95th percentile"
        f" of {most:,} and a maximum of {max(lengths):,}."
    )


def _length_bars(bars: list[dict[str, Any]], axis: str, counted: str) -> altair.Chart:
    return (
        chart_of(bars)
        .mark_rect(color=TUNED, stroke="var(--paper)", strokeWidth=1)
        .encode(
            altair.X(
                "from:Q",
                title=axis,
                scale=altair.Scale(zero=False),
                axis=altair.Axis(grid=False, tickCount=6),
            ),
            altair.X2("to:Q"),
            altair.Y("examples:Q", title=counted, axis=altair.Axis(tickCount=4)),
            altair.Y2(datum=0),
        )
    )


def calibration_chart(points: Sequence[tuple[float, float]]) -> Chart:
    """Draw a judge's scores over the labels of the same answers, both from 0 to 100, and the line where they agree."""
    layers = [_agreement_line(), _labelled_answers(points)]
    drawings = {name: _svg(layers, width) for name, width in WIDTHS.items()}
    higher = sum(score > label for label, score in points)
    return Chart(
        **drawings,
        description=f"The judge scores {higher:,} of {len(points):,} labelled answers higher than their label.",
    )


def _agreement_line() -> altair.Chart:
    ends = [{"label": 0.0, "score": 0.0}, {"label": 100.0, "score": 100.0}]
    return (
        chart_of(ends)
        .mark_line(color=INK, strokeWidth=1, strokeDash=[4, 3])
        .encode(_label_axis(), _score_axis())
    )


def _labelled_answers(points: Sequence[tuple[float, float]]) -> altair.Chart:
    dots = [{"label": float(label), "score": float(score)} for label, score in points]
    marks = chart_of(dots).mark_circle(color=TUNED, size=42, opacity=0.5)
    return marks.encode(_label_axis(), _score_axis())


def _label_axis() -> altair.X:
    return altair.X(
        "label:Q",
        title="label",
        scale=altair.Scale(domain=[0, 100]),
        axis=altair.Axis(grid=False, tickCount=6),
    )


def _score_axis() -> altair.Y:
    return altair.Y("score:Q", title="judge's score", scale=altair.Scale(domain=[0, 100]))


def reliability_chart(calibration: Calibration) -> Chart:
    """Draw the share of right rows over the probability of the given label, bin by bin, and the line of equality."""
    bins = [one.to_record() for one in calibration.bins]
    x = altair.X(
        "probability:Q",
        title="probability of the predicted label",
        scale=altair.Scale(domain=[0, 1]),
        axis=altair.Axis(grid=False, tickCount=6),
    )
    y = altair.Y("right:Q", title="accuracy", scale=altair.Scale(domain=[0, 1]))
    ends = [{"probability": 0.0, "right": 0.0}, {"probability": 1.0, "right": 1.0}]
    layers = [
        chart_of(ends).mark_line(color=INK, strokeWidth=1, strokeDash=[4, 3]).encode(x, y),
        chart_of(bins)
        .mark_rule(color=TUNED, strokeWidth=1.5)
        .encode(x, altair.Y("low:Q", title="accuracy"), altair.Y2("high:Q")),
        chart_of(bins).mark_circle(color=TUNED, size=60).encode(x, y),
    ]
    drawings = {name: _svg(layers, width) for name, width in WIDTHS.items()}
    return Chart(
        **drawings,
        description=f"The expected calibration error (ECE) is {calibration.ece:.3f}: the average gap between"
        " predicted probability and accuracy.",
    )


def distribution_chart(base: np.ndarray, tuned: np.ndarray, metric: Metric) -> Chart | None:
    """Draw how many rows have which value of a metric, (rows,) for each model; None where only two values occur."""
    both = np.concatenate([base, tuned])
    if len(np.unique(both)) < 3:
        return None
    low, high = (0.0, 100.0) if metric.unit == "points" else (float(both.min()), float(both.max()))
    edges = np.linspace(low, high, BINS + 1)
    bars = [
        {
            "from": edges[index] + shift * width,
            "to": edges[index] + (shift + 0.42) * width,
            "rows": int(rows),
            "colour": colour,
        }
        for values, shift, colour in ((base, 0.06, INK), (tuned, 0.52, TUNED))
        for width in [edges[1] - edges[0]]
        for index, rows in enumerate(np.histogram(values, bins=edges)[0])
    ]
    drawings = {
        name: _svg([_distribution_bars(bars, metric)], width, height=200) for name, width in WIDTHS.items()
    }
    return Chart(**drawings, description=_describe_distribution(base, tuned, metric))


def _distribution_bars(bars: list[dict[str, Any]], metric: Metric) -> altair.Chart:
    return (
        chart_of(bars)
        .mark_rect()
        .encode(
            altair.X("from:Q", title=f"{metric.label} per row", axis=altair.Axis(grid=False, tickCount=6)),
            altair.X2("to:Q"),
            altair.Y("rows:Q", title="rows", axis=altair.Axis(tickCount=4)),
            altair.Y2(datum=0),
            color=altair.Color("colour:N", scale=None),
        )
    )


def _describe_distribution(base: np.ndarray, tuned: np.ndarray, metric: Metric) -> str:
    def shown(values: np.ndarray) -> str:
        low, half, high = np.percentile(values, [25, 50, 75])
        return (
            f"{half:.{metric.decimals}f} (interquartile range {low:.{metric.decimals}f} to"
            f" {high:.{metric.decimals}f})"
        )

    return f"The median is {shown(base)} before and {shown(tuned)} after."


def draw(layers: list[altair.Chart], description: str, *, height: int = 260) -> Chart:
    """Draw layers in both widths."""
    drawings = {name: _svg(layers, width, height) for name, width in WIDTHS.items()}
    return Chart(**drawings, description=description)


def chart_of(values: list[dict[str, Any]]) -> altair.Chart:
    """Return a chart of some values, without a mark."""
    return altair.Chart(altair.Data(values=values))  # pyright: ignore[reportArgumentType]


def _svg(layers: list[altair.Chart], width: int, height: int = 260) -> Markup:
    # Marks are not clipped: clip paths get ids that count up through the process, so a page with two charts
    # could refer to the wrong one, and the same run would not give the same bytes twice.
    chart = (
        altair.layer(*layers)
        .properties(width=width - 60, height=height, background="transparent")
        .configure(aria=False, font="system-ui, sans-serif")
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=INK,
            titleColor=INK,
            titleFontWeight="normal",
            labelFontSize=12,
            titleFontSize=12,
            titlePadding=8,
            gridColor=FAINT,
            domainColor=FAINT,
            tickColor=FAINT,
        )
    )
    return Markup(draw_svg(chart.to_dict()))
