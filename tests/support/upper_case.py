"""A metric that stands outside of the program: how many letters of the answers are capitals."""

from tutelage.evaluation.metrics.metric import AnswerMetric


def _score(answer):
    letters = [character for character in answer["response"] if character.isalpha()]
    return 100 * sum(character.isupper() for character in letters) / max(1, len(letters))


METRIC = AnswerMetric(
    name="upper_case",
    label="Capitals",
    unit="%",
    higher_is_better=False,
    decimals=1,
    meaning="share of an answer's letters that are capitals",
    score=_score,
)
