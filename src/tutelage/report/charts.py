"""Draws the charts of the report as SVG; they hold numbers and our own words, never text of the data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair
import numpy as np
from markupsafe import Markup

from tutelage.evaluation.metrics.metric import Metric
from tutelage.report.numbers import significant
from tutelage.report.svg import draw_svg
from tutelage.run.evaluation import Calibration

# Drawn twice, because one drawing squeezed onto a telephone has letters too small to read.
WIDTHS = {"wide": 760, "narrow": 300}

# Colours are the page's own CSS variables, so that the charts follow its light and its dark dress.
INK, FAINT, TUNED = "var(--ink-soft)", "var(--rule)", "var(--tuned)"
RAW = "var(--raw)"
BINS = 10


@dataclass(frozen=True)
class Chart:
    """One drawing in two widths, and the words that stand for it where it cannot be seen."""

    wide: Markup
    narrow: Markup
    description: str


def loss_chart(
    events: Sequence[Mapping[str, Any]],
    axis: str = "loss, nats per token",
    *,
    best_step: int | None,
) -> Chart | None:
    """Draw training loss by step, raw and smoothed, and the validation losses with that of the best step marked.

    `axis` says what the losses are and what they are measured in. `best_step` is None before a
    checkpoint is saved.
    """
    steps = [event for event in events if event["event"] == "step"]
    validations = [event for event in events if event["event"] == "validation"]
    if not steps and not validations:
        return None
    best = next((event for event in validations if event["step"] == best_step), None)
    layers = _loss_layers(steps, validations, axis, best)
    drawings = {name: _svg(layers, width) for name, width in WIDTHS.items()}
    return Chart(**drawings, description=_describe_losses(steps, validations, best))


def smooth(losses: Sequence[float]) -> list[float]:
    """Average each loss with those before it, weights falling by half every 1/40 of the run."""
    half_life = max(1.0, len(losses) / 40)
    keep = 0.5 ** (1 / half_life)
    smoothed, total, weight = [], 0.0, 0.0
    for loss in losses:
        total, weight = keep * total + loss, keep * weight + 1
        smoothed.append(total / weight)
    return smoothed


def _loss_layers(
    steps: Sequence[Mapping[str, Any]],
    validations: Sequence[Mapping[str, Any]],
    axis: str,
    best: Mapping[str, Any] | None,
) -> list[altair.Chart]:
    x = altair.X("step:Q", title="optimiser step", axis=altair.Axis(grid=False, tickCount=6))
    y = altair.Y("loss:Q", title=axis, scale=altair.Scale(zero=False))
    layers = []
    if steps:
        raw = [{"step": event["step"], "loss": event["loss"]} for event in steps]
        means = smooth([event["loss"] for event in steps])
        smoothed = [{"step": event["step"], "loss": mean} for event, mean in zip(steps, means, strict=True)]
        layers.append(_chart(raw).mark_line(color=RAW, strokeWidth=1).encode(x, y))
        layers.append(_chart(smoothed).mark_line(color=INK, strokeWidth=2).encode(x, y))
    if validations:
        points = [{"step": event["step"], "loss": event["loss"]} for event in validations]
        layers.append(
            _chart(points)
            .mark_line(color=TUNED, strokeWidth=1.5, strokeDash=[4, 3], point={"color": TUNED, "size": 42})
            .encode(x, y)
        )
    if best:
        marked = [{"step": best["step"], "loss": best["loss"], "label": f"best {significant(best['loss'])}"}]
        layers.append(
            _chart(marked).mark_point(color=TUNED, size=190, strokeWidth=2, shape="circle").encode(x, y)
        )
        # The label stands within the chart, and on a rim of paper, for the lines run behind it.
        is_early = best["step"] < 0.5 * max(event["step"] for event in (*steps, *validations))
        for rim in (5, 0):
            layers.append(
                _chart(marked)
                .mark_text(
                    color=TUNED,
                    stroke="var(--paper)",
                    strokeWidth=rim,
                    dy=-18,
                    dx=-4 if is_early else 4,
                    fontSize=13,
                    fontWeight=600,
                    align="left" if is_early else "right",
                )
                .encode(x, y, text="label:N")
            )
    return layers


def _describe_losses(
    steps: Sequence[Mapping[str, Any]],
    validations: Sequence[Mapping[str, Any]],
    best: Mapping[str, Any] | None,
) -> str:
    said = []
    if steps:
        means = smooth([event["loss"] for event in steps])
        first, last = significant(means[0]), significant(means[-1])
        said.append(f"Smoothed training loss goes from {first} to {last} in {len(steps):,} steps.")
    if len(validations) == 1:
        only = validations[0]
        said.append(
            f"Validation loss before the first step is {significant(only['loss'])}; there is no later value yet."
        )
    elif validations:
        first, last = (significant(validations[place]["loss"]) for place in (0, -1))
        said.append(f"Validation loss goes from {first} to {last}; {_describe_best(validations, best)}.")
    return " ".join(said)


def _describe_best(validations: Sequence[Mapping[str, Any]], best: Mapping[str, Any] | None) -> str:
    if best is None:
        return "no checkpoint of these steps has been saved yet"
    is_lowest = best["loss"] <= min(event["loss"] for event in validations if event["step"] > 0)
    which = "the best" if is_lowest else "the best with a saved checkpoint"
    return f"{which} is {significant(best['loss'])} at step {best['step']:,}"


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
        _chart(bars)
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
        _chart(ends)
        .mark_line(color=INK, strokeWidth=1, strokeDash=[4, 3])
        .encode(_label_axis(), _score_axis())
    )


def _labelled_answers(points: Sequence[tuple[float, float]]) -> altair.Chart:
    dots = [{"label": float(label), "score": float(score)} for label, score in points]
    marks = _chart(dots).mark_circle(color=TUNED, size=42, opacity=0.5)
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
        _chart(ends).mark_line(color=INK, strokeWidth=1, strokeDash=[4, 3]).encode(x, y),
        _chart(bins)
        .mark_rule(color=TUNED, strokeWidth=1.5)
        .encode(x, altair.Y("low:Q", title="accuracy"), altair.Y2("high:Q")),
        _chart(bins).mark_circle(color=TUNED, size=60).encode(x, y),
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
        _chart(bars)
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


def _chart(values: list[dict[str, Any]]) -> altair.Chart:
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
