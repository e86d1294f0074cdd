"""Says in words whether the tuned model is better, worse, or not distinguishable from the base model."""

from dataclasses import dataclass
from typing import Literal

from tutelage.evaluation.metrics import Metric
from tutelage.evaluation.statistics import PairedDifference

# With fewer rows an interval leans on assumptions that so few rows cannot check.
FEWEST_ROWS = 10

Word = Literal["better", "worse", "no difference detectable"]


@dataclass(frozen=True)
class Verdict:
    """The answer as one word for machines, and what it rests on for people."""

    word: Word
    reason: str

    @property
    def sentence(self) -> str:
        return f"{self.word.capitalize()}: {self.reason}"


def verdict(primary: PairedDifference, metric: Metric) -> Verdict:
    """Judge by the 95 % interval of the primary metric: only one that leaves out 0 makes a difference."""
    word = _word(primary, metric)
    if word == "no difference detectable":
        return Verdict(word, _why_not(primary, metric))
    return Verdict(word, f"{_change(primary, metric)}.")


def detectable_sentence(smallest: float | None, metric: Metric) -> str:
    """Say what the test could have shown, whatever it did show; nothing where that is unknown."""
    if smallest is None:
        return ""
    return (
        f"The smallest change of {metric.label} that these rows could be expected to show is"
        f" {format_value(smallest, metric)}."
    )


def _word(primary: PairedDifference, metric: Metric) -> Word:
    if primary.n < FEWEST_ROWS or primary.low is None or primary.high is None:
        return "no difference detectable"
    if primary.low <= 0 <= primary.high:
        return "no difference detectable"
    return "better" if metric.gain(primary.low) > 0 else "worse"


def _why_not(primary: PairedDifference, metric: Metric) -> str:
    if primary.n == 0:
        return "there is no test row."
    if primary.n < FEWEST_ROWS:
        return f"{_change(primary, metric)}. That is too few for a verdict; it takes {FEWEST_ROWS} rows."
    if primary.equal == primary.n:
        return f"both models have the same {metric.label} on every one of {primary.n} test rows."
    if primary.smallest_detectable is None:
        return f"{_change(primary, metric)}, alike on each, so that chance cannot be told from change."
    smallest = format_value(primary.smallest_detectable, metric)
    return f"{_change(primary, metric)}. This test could only have shown a change of {smallest} or more."


def _change(primary: PairedDifference, metric: Metric) -> str:
    assert primary.base is not None and primary.tuned is not None and primary.difference is not None
    return (
        f"{metric.label} {_movement(primary.base, primary.tuned, metric)} "
        f"({format_change(primary.difference, metric)}{_interval(primary, metric)}) on {_rows(primary.n)}"
    )


def _movement(base: float, tuned: float, metric: Metric) -> str:
    if base == tuned:
        return f"stayed at {format_value(base, metric)}"
    moved = "rose" if tuned > base else "fell"
    return f"{moved} from {format_value(base, metric)} to {format_value(tuned, metric)}"


def _interval(primary: PairedDifference, metric: Metric) -> str:
    if primary.low is None or primary.high is None:
        return ""
    return f", 95 % interval {format_change(primary.low, metric)} to {format_change(primary.high, metric)}"


def _rows(n: int) -> str:
    return f"{n} test row" + ("s" if n > 1 else "")


def format_value(value: float, metric: Metric) -> str:
    """Write a value of the metric with its decimals, and with % where that is its unit."""
    return f"{value:.{metric.decimals}f}" + (" %" if metric.unit == "%" else "")


def format_change(value: float, metric: Metric) -> str:
    """Write a difference with its sign; differences of shares are percent points and carry no % sign."""
    return f"{value:+z.{metric.decimals}f}"
