"""Draws how loss and token accuracy change during a training, step by step and in the validations."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import altair

from tutelage.report.charts import INK, TUNED, Chart, chart_of, draw
from tutelage.report.numbers import percent, significant
from tutelage.run.events import MEAN_TOKEN_ACCURACY

RAW = "var(--raw)"

Events = Sequence[Mapping[str, Any]]


def loss_chart(events: Events, axis: str = "loss, nats per token", *, best_step: int | None) -> Chart | None:
    """Draw training loss by step, raw and smoothed, and the validation losses with that of the best step marked.

    `axis` says what the losses are and what they are measured in. `best_step` is None before a checkpoint is saved.
    """
    steps, validations = _with_field(events, "loss")
    if not steps and not validations:
        return None
    best = _event_of(validations, best_step)
    label = f"best {significant(best['loss'])}" if best else ""
    layers = _layers(steps, validations, best, value=lambda event: event["loss"], axis=axis, label=label)
    return draw(layers, _describe_losses(steps, validations, best))


def accuracy_chart(events: Events, *, best_step: int | None) -> Chart | None:
    """Draw the mean token accuracy (per cent) in the same way; None if the objective has none."""
    steps, validations = _with_field(events, MEAN_TOKEN_ACCURACY)
    if not steps and not validations:
        return None
    best = _event_of(validations, best_step)
    layers = _layers(
        steps,
        validations,
        best,
        value=lambda event: 100 * event[MEAN_TOKEN_ACCURACY],
        axis="token accuracy, %",
        label=percent(best[MEAN_TOKEN_ACCURACY]) if best else "",
    )
    return draw(layers, _describe_accuracies(steps, validations, best), height=170)


def smooth(values: Sequence[float]) -> list[float]:
    """Average each value with those before it, weights falling by half every 1/40 of the run."""
    half_life = max(1.0, len(values) / 40)
    keep = 0.5 ** (1 / half_life)
    smoothed, total, weight = [], 0.0, 0.0
    for value in values:
        total, weight = keep * total + value, keep * weight + 1
        smoothed.append(total / weight)
    return smoothed


def _with_field(events: Events, field: str) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Return the steps and the validations that have a field; those of earlier versions may lack it."""
    steps, validations = (
        [event for event in events if event["event"] == kind and field in event]
        for kind in ("step", "validation")
    )
    return steps, validations


def _event_of(validations: Events, step: int | None) -> Mapping[str, Any] | None:
    return next((event for event in validations if event["step"] == step), None)


def _layers(
    steps: Events,
    validations: Events,
    best: Mapping[str, Any] | None,
    *,
    value: Callable[[Mapping[str, Any]], float],
    axis: str,
    label: str,
) -> list[altair.Chart]:
    x = altair.X("step:Q", title="optimiser step", axis=altair.Axis(grid=False, tickCount=6))
    y = altair.Y("value:Q", title=axis, scale=altair.Scale(zero=False))

    def points(some: Events) -> list[dict[str, Any]]:
        return [{"step": event["step"], "value": value(event)} for event in some]

    layers = []
    if steps:
        raw = points(steps)
        means = smooth([point["value"] for point in raw])
        smoothed = [{**point, "value": mean} for point, mean in zip(raw, means, strict=True)]
        layers.append(chart_of(raw).mark_line(color=RAW, strokeWidth=1).encode(x, y))
        layers.append(chart_of(smoothed).mark_line(color=INK, strokeWidth=2).encode(x, y))
    if validations:
        layers.append(
            chart_of(points(validations))
            .mark_line(color=TUNED, strokeWidth=1.5, strokeDash=[4, 3], point={"color": TUNED, "size": 42})
            .encode(x, y)
        )
    if best:
        marked = [{**points([best])[0], "label": label}]
        layers.append(
            chart_of(marked).mark_point(color=TUNED, size=190, strokeWidth=2, shape="circle").encode(x, y)
        )
        # The label stands within the chart, and on a rim of paper, for the lines run behind it.
        is_early = best["step"] < 0.5 * max(event["step"] for event in (*steps, *validations))
        for rim in (5, 0):
            layers.append(
                chart_of(marked)
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


def _describe_losses(steps: Events, validations: Events, best: Mapping[str, Any] | None) -> str:
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


def _describe_best(validations: Events, best: Mapping[str, Any] | None) -> str:
    if best is None:
        return "no checkpoint of these steps has been saved yet"
    is_lowest = best["loss"] <= min(event["loss"] for event in validations if event["step"] > 0)
    which = "the best" if is_lowest else "the best with a saved checkpoint"
    return f"{which} is {significant(best['loss'])} at step {best['step']:,}"


def _describe_accuracies(steps: Events, validations: Events, best: Mapping[str, Any] | None) -> str:
    said = []
    if steps:
        means = smooth([event[MEAN_TOKEN_ACCURACY] for event in steps])
        said.append(
            f"Smoothed token accuracy in training goes from {percent(means[0])} to {percent(means[-1])}."
        )
    if validations:
        first, last = (percent(validations[place][MEAN_TOKEN_ACCURACY]) for place in (0, -1))
        change = f"goes from {first} to {last}" if len(validations) > 1 else f"is {first}"
        at_best = (
            f", and is {percent(best[MEAN_TOKEN_ACCURACY])} at the best step, {best['step']:,}"
            if best
            else ""
        )
        said.append(f"On the validation rows it {change}{at_best}.")
    return " ".join(said)
