"""Exact match: whether an answer is the reference."""

from tutelage.evaluation.metrics.metric import AnswerMetric, for_sets
from tutelage.evaluation.metrics.words import same_text


def exact_match(response: str, reference: str) -> bool:
    """Tell whether the two are equal once runs of white space are one space; case and punctuation count.

    Two ways to encode one character, as é by itself and as e with an accent, look the same and are equal.
    """
    return same_text(response) == same_text(reference)


METRIC = AnswerMetric(
    name="exact_match",
    label="Exact match",
    unit="%",
    higher_is_better=True,
    decimals=1,
    meaning="share of answers equal to the reference; whitespace is ignored, case is not",
    score=lambda answer: 100 * float(exact_match(answer["response"], answer["reference"])),
)
SET_METRIC = for_sets(METRIC)
