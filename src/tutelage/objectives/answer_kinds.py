"""Two kinds of answers, one to become more probable and one less, as the page and the terminal show them."""

from collections.abc import Iterable
from dataclasses import dataclass

from tutelage.evaluation.metrics.bits_per_byte import METRIC as BITS
from tutelage.evaluation.paired.verdict import format_change, format_value
from tutelage.objectives.results import Table
from tutelage.report.scores import change_text, interval_text, value_text
from tutelage.run.evaluation import AnswerBits

COLUMNS = ["", "reward", "bits per byte, base", "tuned", "difference"]


@dataclass(frozen=True)
class KindRow:
    """One kind of answers in the page, its numbers as text."""

    label: str
    meaning: str
    reward: str
    base: str
    tuned: str
    difference: str
    interval: str


def kind_row(kind: str, meaning: str, reward: float, bits: AnswerBits) -> KindRow:
    """Return what the page shows of a kind of answers: its mean reward, and how surprised both models are."""
    return KindRow(
        label=f"{kind} answers",
        meaning=meaning,
        reward=signed_text(reward),
        base=value_text(bits.base, BITS),
        tuned=value_text(bits.tuned, BITS),
        difference=change_text(bits.difference, BITS),
        interval=interval_text(bits.low, bits.high, BITS),
    )


def kinds_table(kinds: Iterable[tuple[str, float, AnswerBits]]) -> Table:
    """Return the same of each kind for the terminal: its name, its mean reward and its bits per byte."""
    return Table(
        COLUMNS,
        [
            [
                f"{kind} answers",
                f"{reward:+.2f}",
                format_value(bits.base, BITS),
                format_value(bits.tuned, BITS),
                format_change(bits.difference, BITS),
            ]
            for kind, reward, bits in kinds
        ],
    )


def signed_text(number: float) -> str:
    """Return a reward with its sign, a minus as wide as a plus."""
    return f"{number:+.2f}".replace("-", "\u2212")
