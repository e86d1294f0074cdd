"""Define how an objective encodes conversations as rows of token ids with targets."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tutelage.config.recipe import DataSettings
from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.data.prompts.prompts import PromptRenderer
from tutelage.data.rows.conversations import Conversation
from tutelage.run.folder import ONE_ANSWER
from tutelage.tree.examples import PreparedRow

# A conversation and its training rows, one per answer.
EncodedRows = tuple[Conversation, tuple[PreparedRow, ...]]


@dataclass
class Labels:
    """Label names by number, in order of appearance, and the label sets of rows with several labels."""

    classes: list[str] = field(default_factory=list)
    sets: list[tuple[int, ...]] = field(default_factory=list)


class Encode(Protocol):
    """Yields each conversation with its rows and collects labels; raises DataError for a wrong format."""

    def __call__(
        self,
        renderer: PromptRenderer,
        conversations: Iterable[Conversation],
        settings: DataSettings,
        labels: Labels,
    ) -> Iterator[EncodedRows]: ...


class CheckSplits(Protocol):
    """Raises DataError if the splits cannot be trained on; `source` is the name of the data."""

    def __call__(self, splits: Mapping[str, PreparedRows], labels: Labels, source: str) -> None: ...


def require_nothing(row: Conversation) -> None:
    """Accept a row of any format."""


def accept_splits(splits: Mapping[str, PreparedRows], labels: Labels, source: str) -> None:
    """Accept any splits."""


@dataclass(frozen=True)
class RowEncoder:
    """How an objective encodes its rows; `check` raises DataError for a row of the wrong format.

    `answers` names the rows that `encode` yields per conversation, in order, for files, previews and drawings;
    a single answer has no name. With `last_answer_alone`, earlier answers of a conversation are not trained on,
    whatever `data.train_on` says. With `needs_labels`, each row must say whether its answer is desirable. With
    `learns_labels`, answers are labels, each of which must occur in the training rows.
    """

    encode: Encode
    check: Callable[[Conversation], None] = require_nothing
    check_splits: CheckSplits = accept_splits
    answers: tuple[str, ...] = ONE_ANSWER
    last_answer_alone: bool = False
    needs_labels: bool = False
    learns_labels: bool = False

    def __post_init__(self) -> None:
        assert len({*self.answers}) == len(self.answers) > 0, "each answer has files of its own"
        assert all(self.answers) or self.answers == ONE_ANSWER, "answers that stand side by side have names"

    def trains_earlier_answers(self, settings: DataSettings) -> bool:
        """Return whether the earlier answers of a conversation are also trained on."""
        return not self.last_answer_alone and settings.train_on != "last"


def encode_answers(
    renderer: PromptRenderer, conversations: Iterable[Conversation], settings: DataSettings, labels: Labels
) -> Iterator[EncodedRows]:
    """Yield each conversation with its row, with the answers supervised that `data.train_on` selects."""
    for conversation, row in renderer.rows(conversations, train_on=settings.train_on):
        yield conversation, (row,)


ANSWERS = RowEncoder(encode_answers)
