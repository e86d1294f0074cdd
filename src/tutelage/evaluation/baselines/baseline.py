"""What the file of a baseline holds: how it answers rows, from the training rows and the base model alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from tutelage.data.rows.conversations import messages_of
from tutelage.evaluation.baselines.nearest import NearestTexts
from tutelage.evaluation.stats.sampling import spread
from tutelage.tree.examples import PreparedRow

MOST_ROWS = 50_000  # of the training rows that a baseline looks at; of more, evenly spaced ones


def question_of(row: PreparedRow) -> str:
    """Return what a row asks, without its prompt template."""
    return "\n".join(message.content for message in messages_of(row.messages))


class TrainingRows:
    """The training rows as baselines see them, with a search for those whose questions are nearest to others.

    Args:
        rows: The rows, of which at most `MOST_ROWS` are used. Plain text asks nothing and is left out.
        seed: Seed of whatever a baseline chooses at random.
    """

    def __init__(self, rows: Sequence[PreparedRow], *, seed: int) -> None:
        known = (rows[place] for place in spread(len(rows), MOST_ROWS))
        self.rows = [row for row in known if row.messages]
        self.seed = seed

    def nearest(self, asked: Sequence[PreparedRow], count: int) -> list[list[PreparedRow]]:
        """Return for each row the training rows with the most similar questions, the nearest first."""
        found = self._questions.nearest([question_of(row) for row in asked], count)
        return [[self.rows[place] for place in places] for places in found.tolist()]

    @cached_property
    def _questions(self) -> NearestTexts:
        return NearestTexts([question_of(row) for row in self.rows])


@dataclass(frozen=True)
class PromptBaseline:
    """A prompt for the base model, in its chat template or in the better of the two prompt styles.

    `examples(training, asked, count)` returns for each asked row the training rows to show before its question, in
    order; where the context is too short the first ones are left out. None shows none. `is_shared` says that all rows
    get the same ones.
    """

    name: str
    label: Callable[[int], str]
    style: Literal["chat", "better"]
    examples: Callable[[TrainingRows, Sequence[PreparedRow], int], list[list[PreparedRow]]] | None = None
    is_shared: bool = True


@dataclass(frozen=True)
class AnswerBaseline:
    """Answers that no model writes: `answers(training, asked)` returns one for each row."""

    name: str
    label: str
    answers: Callable[[TrainingRows, Sequence[PreparedRow]], list[str]]
