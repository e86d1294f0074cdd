"""Says in words whether the tuned model is better, worse, or not distinguishable from the base model."""

from dataclasses import dataclass
from typing import Literal

from tutelage.evaluation.metrics.metric import Metric
from tutelage.evaluation.stats.intervals import intervals_disagree
from tutelage.evaluation.stats.statistics import BootstrapResult, PairedDifference

# With fewer rows an interval leans on assumptions that so few rows cannot check.
FEWEST_ROWS = 10
# With more scores missing, what is not there could be what decides.
MOST_MISSING = 0.05

Word = Literal["better", "worse", "no difference detectable", "no verdict"]
NO_DIFFERENCE: Word = "no difference detectable"
NO_VERDICT: Word = "no verdict"  # The rows are too few, or too many of their scores are missing.


@dataclass(frozen=True)
class Verdict:
    """The answer as one word for machines, and what it rests on for people."""

    word: Word
    reason: str

    @property
    def sentence(self) -> str:
        return f"{self.word.capitalize()}: {self.reason}"


def verdict(
    primary: PairedDifference,
    metric: Metric,
    bootstrap: BootstrapResult | None = None,
    *,
    counted: str = "test row",
) -> Verdict:
    """Judge by the 95 % interval of the primary metric: only one that leaves out 0 makes a difference.

    Where the bootstrap's interval is another by a tenth of the width, that is told too; `counted` names what is paired.
    """
    word = _word(primary, metric)
    reason = (
        f"{_change(primary, metric, counted)}."
        if word in ("better", "worse")
        else _why_not(primary, metric, counted)
    )
    return Verdict(word, reason + _second_interval(primary, metric, bootstrap) + _missing(primary, metric))


def detectable_sentence(smallest: float | None, metric: Metric) -> str:
    """Say what the test could have shown, whatever it did show; nothing where that is unknown."""
    if smallest is None:
        return ""
    return (
        f"The smallest change of {metric.label} that these rows could be expected to show is"
        f" {format_value(smallest, metric)}."
    )


def _word(primary: PairedDifference, metric: Metric) -> Word:
    if primary.clusters < FEWEST_ROWS or _lacks_too_many(primary):
        return NO_VERDICT
    if primary.low is None or primary.high is None or primary.low <= 0 <= primary.high:
        return NO_DIFFERENCE
    return "better" if metric.gain(primary.low) > 0 else "worse"


def _why_not(primary: PairedDifference, metric: Metric, counted: str) -> str:
    if primary.n == 0:
        return f"there is no {counted}."
    change = _change(primary, metric, counted)
    if primary.clusters < FEWEST_ROWS:
        return f"{change}. {_too_few(primary, counted)}"
    if primary.equal == primary.n:
        return f"both models have the same {metric.label} on every one of {primary.n} {counted}s."
    if primary.minimum_detectable_effect is None:
        return f"{change}, alike on each, so that chance cannot be told from change."
    if _lacks_too_many(primary):
        return f"{change}. Too many scores are missing for a verdict."
    smallest = format_value(primary.minimum_detectable_effect, metric)
    return f"{change}. This test could only have shown a change of {smallest} or more."


def _too_few(primary: PairedDifference, counted: str) -> str:
    if primary.n < FEWEST_ROWS:
        return f"That is too few for a verdict; it takes {FEWEST_ROWS} {counted}s."
    return f"Only {primary.clusters} of them are unlike each other, too few for a verdict; it takes {FEWEST_ROWS}."


def _change(primary: PairedDifference, metric: Metric, counted: str) -> str:
    assert primary.base is not None and primary.tuned is not None and primary.difference is not None
    rows = f"{primary.n} {counted}{'s' if primary.n > 1 else ''}"
    return (
        f"{metric.label} {_movement(primary.base, primary.tuned, metric)} "
        f"({format_change(primary.difference, metric)}{_interval(primary, metric)}) on {rows}"
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


def _second_interval(primary: PairedDifference, metric: Metric, bootstrap: BootstrapResult | None) -> str:
    if bootstrap is None or bootstrap.bca_low is None or bootstrap.bca_high is None:
        return ""
    if primary.low is None or primary.high is None:
        return ""
    if primary.base_low is not None:
        return ""  # Newcombe's interval of shares needs no second one
    second = bootstrap.bca_low, bootstrap.bca_high
    if not intervals_disagree((primary.low, primary.high), second):
        return ""
    ends = " to ".join(format_change(end, metric) for end in second)
    return f" The bootstrap's interval is another, {ends}: the rows are few or their differences lopsided."


def _missing(primary: PairedDifference, metric: Metric) -> str:
    if primary.if_against is None or primary.if_for is None:
        return ""
    return (
        f" {primary.missing} of {primary.n + primary.missing} pairs lack a score; the difference would be"
        f" {format_change(primary.if_against, metric)} with all of them against the tuned model and"
        f" {format_change(primary.if_for, metric)} with all for it."
    )


def _lacks_too_many(primary: PairedDifference) -> bool:
    return primary.missing > MOST_MISSING * (primary.n + primary.missing)


def format_p(p: float | None) -> str:
    """Write a p value as far as its digits mean something."""
    return "unknown" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def format_value(value: float, metric: Metric) -> str:
    """Write a value of the metric with its decimals, and with % where that is its unit."""
    return f"{value:.{metric.decimals}f}" + (" %" if metric.unit == "%" else "")


def format_change(value: float, metric: Metric) -> str:
    """Write a difference with its sign; differences of shares are percent points and carry no % sign."""
    return f"{value:+z.{metric.decimals}f}"
