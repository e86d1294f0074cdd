"""What the file of a metric holds: a record of how its values are read, and of how it scores."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.config.recipe_evaluation import EvalSetSettings

Answer = Mapping[str, Any]  # a line of base.jsonl
References = Iterable[tuple[int, str]]  # the row and the text of each


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


def nothing(settings: EvalSetSettings, references: References, name: str) -> None:
    """Prepare nothing: an answer is scored by itself."""


@dataclass(frozen=True)
class SetMetric(Metric):
    """A metric of named test sets; `score` is None where judges score, once both models have answered.

    `prepare(settings, references, name)` reads what the scores of a whole set rest on, before anything is asked;
    `score(answer, settings, prepared)` gives the value of one answer, in `unit`, and `described(prepared)` what
    metrics.json says of it. A metric that `weighs_choices` has no answers written: the likeliest of a row's choices is
    its answer.
    """

    score: Callable[[Answer, EvalSetSettings, Any], float] | None
    prepare: Callable[[EvalSetSettings, References, str], Any] = nothing
    described: Callable[[Any], dict[str, Any]] = lambda prepared: {}
    weighs_choices: bool = False

    @property
    def is_judged(self) -> bool:
        """Whether judges score the answers."""
        return self.score is None


def for_sets(metric: AnswerMetric) -> SetMetric:
    """Return a metric of the test rows as one of named sets."""
    return SetMetric(
        metric.name,
        metric.label,
        metric.unit,
        metric.higher_is_better,
        metric.decimals,
        metric.meaning,
        score=lambda answer, settings, prepared: metric.score(answer),
    )


def right_or_wrong(
    name: str,
    label: str,
    meaning: str,
    is_right: Callable[[Answer, EvalSetSettings, Any], bool],
    **more: Any,
) -> SetMetric:
    """Return a metric of named sets by which an answer is right, 100 %, or wrong; `more` are other fields."""
    return SetMetric(
        name,
        label,
        unit="%",
        higher_is_better=True,
        decimals=1,
        meaning=meaning,
        score=lambda answer, settings, prepared: 100 * float(is_right(answer, settings, prepared)),
        **more,
    )
