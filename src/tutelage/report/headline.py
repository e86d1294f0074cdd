"""Says the outcome of a run in one word, one sentence and three figures, as far as its stages have come."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tutelage.evaluation.metrics import load_metric
from tutelage.evaluation.paired.comparison import RIGHT_OR_WRONG
from tutelage.report.numbers import significant
from tutelage.report.scores import MeasuredAnswers, value_text
from tutelage.run.artifacts import Losses, RowCounts, TrainingResult

SIGNS = {"better": "▲", "worse": "▼", "no difference detectable": "≈", "no verdict": "–", "open": "◔"}


@dataclass(frozen=True)
class Headline:
    """What the page says first; `kind` is the verdict, or "open" where there is none yet."""

    words: str
    sentence: str
    kind: Literal["better", "worse", "no difference detectable", "no verdict", "open"]

    @property
    def sign(self) -> str:
        return SIGNS[self.kind]


@dataclass(frozen=True)
class KeyFigure:
    """One number before and after tuning, as text."""

    label: str
    before: str
    after: str
    note: str


def headline(
    rows: RowCounts,
    training: TrainingResult | None,
    evaluation: MeasuredAnswers | None,
    *,
    step: int | None = None,
    is_exploratory: bool = False,
) -> Headline:
    """Say what the last stage that has run found out; `step` is how far an unfinished training came, if one began."""
    if evaluation:
        word, reason = evaluation.verdict.word, evaluation.verdict.reason
        words = f"{word.capitalize()}{' (exploratory)' if is_exploratory else ''}"
        if evaluation.verdict.against:
            reason = f"Compared with {evaluation.verdict.against}: {reason}"
        return Headline(words, re.sub(r"-(?=\d)", "\u2212", reason), word)
    if training is not None:
        loss = _loss_sentence(training.loss)
        if not rows.test:
            told = "There are no test rows, so whether the model improved is unknown."
            return Headline("Fine-tuned, no test rows", f"{loss} {told}", "open")
        told = "Run “tutelage evaluate” to see whether the model improved."
        return Headline("Fine-tuned, not yet evaluated", f"{loss} {told}", "open")
    if step is not None:
        told = (
            f"Training stopped at step {step:,} before it finished. “tutelage train” resumes from the last"
            " checkpoint."
        )
        return Headline("Training not finished", told, "open")
    sentence = f"{rows.train:,} rows are ready for training. Run “tutelage train” next."
    return Headline("Prepared, not yet trained", sentence, "open")


def _loss_sentence(loss: Losses) -> str:
    if loss.before is None or loss.best is None:
        return "There were no validation rows, so no validation loss was measured."
    return f"Validation loss went from {significant(loss.before)} to {significant(loss.best)}."


def key_figures(
    training: TrainingResult | None, evaluation: MeasuredAnswers | None, *, loss_of: str
) -> list[KeyFigure]:
    """Return the figures that stand under the headline."""
    return [*_metric_figures(evaluation), *_loss_figure(training, loss_of)]


def _metric_figures(evaluation: MeasuredAnswers | None) -> Iterable[KeyFigure]:
    if evaluation is None:
        return
    right = next(name for name in RIGHT_OR_WRONG if name in evaluation.measured)
    second = evaluation.primary.name if evaluation.primary.name != right else "chrf"
    for name in (right, second):
        metric, one = load_metric(name), evaluation.measured[name]
        before, after = value_text(one.base, metric), value_text(one.tuned, metric)
        about = "in the prompt of the run; " if evaluation.verdict.against else ""
        yield KeyFigure(metric.label, before, after, about + metric.meaning)


def _loss_figure(training: TrainingResult | None, loss_of: str) -> Iterable[KeyFigure]:
    loss = training.loss if training else None
    if loss is None or loss.before is None or loss.best is None:
        return
    note = f"{loss_of}, at the best checkpoint; lower is better"
    yield KeyFigure("Validation loss", significant(loss.before), significant(loss.best), note)
