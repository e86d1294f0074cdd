"""Stopped: whether the model ended an answer itself."""

from tutelage.evaluation.metrics.metric import AnswerMetric

METRIC = AnswerMetric(
    name="stopped",
    label="Stopped by itself",
    unit="%",
    higher_is_better=True,
    decimals=1,
    meaning="share of answers that the model ended itself, before the limit of tokens",
    score=lambda answer: 100 * float(answer["stopped"]),
)
