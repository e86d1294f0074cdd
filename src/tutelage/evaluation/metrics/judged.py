"""Judged: what a judge thinks of an answer beside its reference; evaluation/judge asks the judges."""

from tutelage.evaluation.metrics.metric import SetMetric

SET_METRIC = SetMetric(
    name="judge",
    label="score by the judges",
    unit="points",
    higher_is_better=True,
    decimals=1,
    meaning="how good the answer is compared with the reference, from 0 to 100, according to this judge",
    score=None,
)
