"""The answer of the training row whose question is most similar."""

from collections.abc import Sequence

from tutelage.evaluation.baselines.baseline import AnswerBaseline, TrainingRows
from tutelage.tree.examples import PreparedRow


def nearest_answers(training: TrainingRows, asked: Sequence[PreparedRow]) -> list[str]:
    """Return the answer to the nearest question of each row."""
    return [nearest.response for [nearest] in training.nearest(asked, 1)]


BASELINE = AnswerBaseline("nearest_answer", "answer to the nearest training question", nearest_answers)
