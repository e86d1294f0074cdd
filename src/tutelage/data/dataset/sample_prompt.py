"""Choose a row from the user's data for an example command: short, plain, and tokenized as in the run."""

from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.data.prompts.prompts import PromptRenderer
from tutelage.data.rows.conversations import single_exchange_of
from tutelage.text.characters import is_unseen
from tutelage.tree.examples import PreparedRow

ROWS_TRIED = 200  # only the first rows, so that a long file is not read
COMFORTABLE = 120  # characters; the first row up to this length is chosen, else the shortest
LONGEST = 1000  # characters; longer texts are not pasted into a terminal


@dataclass(frozen=True)
class SamplePrompt:
    """A prompt: an instruction and its input, or a text to classify."""

    text: str
    input: str = ""

    @property
    def as_message(self) -> str:
        """The prompt as a single chat message."""
        return f"{self.text}\n\n{self.input}" if self.input else self.text


def choose_sample_prompt(rows: Sequence[PreparedRow], renderer: PromptRenderer) -> SamplePrompt | None:
    """Return the question of a suitable row that is a single instruction; None if there is no such row.

    A conversation with several turns or a system text would be tokenized differently as a single instruction.
    """
    asked = [
        (question, row)
        for row in rows[: min(ROWS_TRIED, len(rows))]
        if (question := _question_of(row)) is not None
    ]
    for question, row in sorted(asked, key=lambda one: _preference(one[0])):
        if not _can_be_typed(question):
            continue
        ids = renderer.prompt_ids(single_exchange_of(row.example.row, question.text, question.input, ""))
        if tuple(ids) == row.example.prompt_ids:
            return question
    return None


def choose_text(rows: Sequence[PreparedRow]) -> SamplePrompt | None:
    """Return the text of a suitable row for classification; None if there is none."""
    texts = (SamplePrompt(row.prompt) for row in rows[: min(ROWS_TRIED, len(rows))])
    return min(filter(_can_be_typed, texts), key=_preference, default=None)


def _question_of(row: PreparedRow) -> SamplePrompt | None:
    """Return what a row with a single message asks; None for conversations and plain text."""
    if len(row.messages) != 1 or row.messages[0]["role"] != "user":
        return None
    message = row.messages[0]
    return SamplePrompt(message["content"], message.get("input", ""))


def _preference(question: SamplePrompt) -> tuple[bool, int]:
    """Sort key: single lines first, then by length; a stable sort keeps the order of texts up to COMFORTABLE."""
    whole = question.as_message
    return "\n" in f"{question.text}{question.input}", max(len(whole), COMFORTABLE)


def _can_be_typed(question: SamplePrompt) -> bool:
    """Return whether the text can be pasted into a terminal unchanged; a tab would trigger completion."""
    whole = question.as_message
    return bool(question.text.strip()) and len(whole) <= LONGEST and not _holds_unseen(whole)


def _holds_unseen(text: str) -> bool:
    return any(character == "\t" or is_unseen(character) for character in text)
