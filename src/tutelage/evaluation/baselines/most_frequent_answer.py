"""The most frequent answer of the training rows, given to every question."""

from collections import Counter
from collections.abc import Sequence

from tutelage.evaluation.baselines.baseline import AnswerBaseline, TrainingRows
from tutelage.tree.examples import PreparedRow


def most_frequent_answer(training: TrainingRows, asked: Sequence[PreparedRow]) -> list[str]:
    """Return the same answer for each row; of equally frequent ones the first."""
    [(answer, _)] = Counter(row.response for row in training.rows).most_common(1)
    return [answer] * len(asked)


BASELINE = AnswerBaseline("most_frequent_answer", "most frequent answer", most_frequent_answer)
