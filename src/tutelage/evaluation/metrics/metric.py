"""What the file of a metric holds: a record of how its values are read, and of how it scores."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Answer = Mapping[str, Any]  # a line of base.jsonl


@dataclass(frozen=True)
class Metric:
    """What people need to know to read a metric; values are in `unit`."""

    name: str
    label: str
    unit: str
    higher_is_better: bool
    decimals: int
    meaning: str

    def gain(self, difference: float) -> float:
        """Turn tuned minus base into a number that is positive where the tuned model is better."""
        return difference if self.higher_is_better else -difference


@dataclass(frozen=True)
class AnswerMetric(Metric):
    """A metric of the test rows; `score` gives the value of one answer, in `unit`."""

    score: Callable[[Answer], float]
