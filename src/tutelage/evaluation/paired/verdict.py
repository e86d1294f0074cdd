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
# Where fewer answers of both models equal their reference, their number says little about answers in one's own words.
FEWEST_RIGHT = 0.05

Word = Literal["better", "worse", "no difference detectable", "no verdict"]
NO_DIFFERENCE: Word = "no difference detectable"
NO_VERDICT: Word = "no verdict"  # The rows are too few, or too many of their scores are missing.


@dataclass(frozen=True)
class Verdict:
    """The answer as one word for machines, and what it rests on for people; `against` names what it compares with."""

    word: Word
    reason: str
    against: str = ""

    @property
    def sentence(self) -> str:
        is_named = bool(self.against) and self.word in _PREPOSITIONS
        named = f" {_PREPOSITIONS[self.word]} {self.against}" if is_named else ""
        return f"{self.word.capitalize()}{named}: {self.reason}"


_PREPOSITIONS: dict[Word, str] = {"better": "than", "worse": "than", NO_DIFFERENCE: "from"}


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


def verdict_on_answers(
    primary: PairedDifference,
    metric: Metric,
    exact: PairedDifference | None,
    bootstrap: BootstrapResult | None = None,
    *,
    against: str = "",
) -> Verdict:
    """Judge as `verdict` does, and say it in rows: how many answers are right, or score higher, than before.

    `exact` is the exact match of the same rows. The count stands before the interval, and behind a reason to claim
    nothing. `against` names the baseline that the base scores are of, if it is not the model before fine-tuning.
    """
    judged = verdict(primary, metric, bootstrap)
    before = "with that baseline" if against else "before"
    counted = _rows_right(exact, before) or _rows_moved(primary, metric, before)
    sentences = (judged.reason, counted) if judged.word == NO_VERDICT else (counted, judged.reason)
    return Verdict(judged.word, " ".join(filter(None, sentences)), against)


def _rows_right(exact: PairedDifference | None, before_words: str) -> str:
    """Say how many answers equal their reference; nothing where hardly any do."""
    if exact is None or exact.base is None or exact.tuned is None:
        return ""
    before, after = (round(value * exact.n / 100) for value in (exact.base, exact.tuned))
    if max(before, after) < FEWEST_RIGHT * exact.n:
        return ""
    lost = exact.lower
    kept = (
        f"{lost} that {_was(lost)} right {_is(lost)} now wrong"
        if lost
        else "none that was right is now wrong"
    )
    return (
        f"{after} of {exact.n} answers {_is(after)} exactly right; {before_words}, {before} {_was(before)}, and"
        f" {kept}."
    )


def _rows_moved(primary: PairedDifference, metric: Metric, before_words: str) -> str:
    """Say how many answers moved either way by the primary metric."""
    if not primary.higher + primary.lower:
        return ""
    up, down = (primary.higher, primary.lower) if metric.higher_is_better else (primary.lower, primary.higher)
    return (
        f"{up} of {primary.n} answers {_is(up)} better than {before_words} by {metric.label}, {down} worse."
    )


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def detectable_sentence(smallest: float | None, metric: Metric) -> str:
    """Say what the test could have shown, whatever it did show; nothing where that is unknown."""
    if smallest is None:
        return ""
    return (
        f"The smallest change in {metric.label} that these rows can be expected to detect is"
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
        return f"no {counted}s, {FEWEST_ROWS} needed."
    change = _change(primary, metric, counted)
    if primary.clusters < FEWEST_ROWS:
        return f"{_too_few(primary, counted)}. {change}."
    if primary.equal == primary.n:
        return f"both models have the same {metric.label} on all {primary.n} {counted}s."
    if primary.minimum_detectable_effect is None:
        return f"{change}, the same on each, so chance cannot be separated from a real change."
    if _lacks_too_many(primary):
        return f"{change}. Too many scores are missing for a verdict."
    smallest = format_value(primary.minimum_detectable_effect, metric)
    return f"{change}. This test can only detect a change of {smallest} or more."


def _too_few(primary: PairedDifference, counted: str) -> str:
    if primary.n < FEWEST_ROWS:
        return f"{_rows(primary.n, counted)}, {FEWEST_ROWS} needed"
    return f"{primary.clusters} distinct {counted}s (of {primary.n}), {FEWEST_ROWS} needed"


def _rows(count: int, counted: str) -> str:
    return f"{count} {counted}{'' if count == 1 else 's'}"


def _change(primary: PairedDifference, metric: Metric, counted: str) -> str:
    assert primary.base is not None and primary.tuned is not None and primary.difference is not None
    return (
        f"{metric.label} {_movement(primary.base, primary.tuned, metric)} "
        f"({format_change(primary.difference, metric)}{_interval(primary, metric)}) on {_rows(primary.n, counted)}"
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
    return f" The bootstrap interval differs ({ends}): there are few rows, or their differences are skewed."


def _missing(primary: PairedDifference, metric: Metric) -> str:
    if primary.if_against is None or primary.if_for is None:
        return ""
    return (
        f" {primary.missing} of {primary.n + primary.missing} pairs lack a score; the difference would be"
        f" {format_change(primary.if_against, metric)} if all of them counted against the fine-tuned model"
        f" and {format_change(primary.if_for, metric)} if all counted for it."
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
