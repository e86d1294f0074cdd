"""A copy of what is asked: of the row's input where it has one, and otherwise of the whole question."""

from collections.abc import Sequence

from tutelage.evaluation.baselines.baseline import AnswerBaseline, TrainingRows
from tutelage.tree.examples import PreparedRow


def input_copies(training: TrainingRows, asked: Sequence[PreparedRow]) -> list[str]:
    """Return the input, or the last message, of each row."""
    return [row.messages[-1].get("input") or row.messages[-1]["content"] for row in asked]


BASELINE = AnswerBaseline("input_copy", "copy of the input", input_copies)
