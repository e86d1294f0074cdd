"""What an objective makes of conversations: rows of token ids, and what of them is a target."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tutelage.config.recipe import DataSettings
from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.data.prompts.prompts import PromptRenderer
from tutelage.data.rows.conversations import Conversation
from tutelage.run.folder import ONE_ANSWER
from tutelage.tree.examples import PreparedRow

# A conversation and what is trained of it: a row for each of its answers.
EncodedRows = tuple[Conversation, tuple[PreparedRow, ...]]


@dataclass
class Labels:
    """The labels that rows have, by their numbers, as they are seen; and the sets of them where a row has several."""

    classes: list[str] = field(default_factory=list)
    sets: list[tuple[int, ...]] = field(default_factory=list)


class Encode(Protocol):
    """Yields each conversation with its rows, and adds their labels; DataError where one has another format."""

    def __call__(
        self,
        renderer: PromptRenderer,
        conversations: Iterable[Conversation],
        settings: DataSettings,
        labels: Labels,
    ) -> Iterator[EncodedRows]: ...


class CheckSplits(Protocol):
    """Raises DataError where the rows of the splits cannot be trained on; `source` names their data."""

    def __call__(self, splits: Mapping[str, PreparedRows], labels: Labels, source: str) -> None: ...


def require_nothing(row: Conversation) -> None:
    """Take a row of any format."""


def accept_splits(splits: Mapping[str, PreparedRows], labels: Labels, source: str) -> None:
    """Take any rows."""


@dataclass(frozen=True)
class RowEncoder:
    """How the rows of an objective are encoded; `check` raises DataError where a row has another format.

    `answers` names what `encode` yields of each conversation, in order: files, previews and drawings call them so. A
    single one has no name. Where the `last_answer_alone` is trained, the earlier ones of a conversation are not,
    whatever `data.train_on` says. With `needs_labels` each row says whether its answer is desirable, and with
    `learns_labels` the answers are labels, each of which has to be among the training rows.
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
        """Tell whether the answers before the last one of a conversation are trained too."""
        return not self.last_answer_alone and settings.train_on != "last"


def encode_answers(
    renderer: PromptRenderer, conversations: Iterable[Conversation], settings: DataSettings, labels: Labels
) -> Iterator[EncodedRows]:
    """Yield each conversation with the row of its answers, those supervised that `data.train_on` names."""
    for conversation, row in renderer.rows(conversations, train_on=settings.train_on):
        yield conversation, (row,)


ANSWERS = RowEncoder(encode_answers)
