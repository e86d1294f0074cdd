"""Choose a row from the user's data for an example command: short, plain, and tokenized as in the run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tutelage.data.prompts.prompts import PromptRenderer
from tutelage.data.rows.conversations import single_exchange_of
from tutelage.text.characters import is_unseen
from tutelage.tree.examples import PreparedRow

ROWS_TRIED = 200  # only the first rows, so that a long file is not read
COMFORTABLE = 120  # characters; the first row up to this length is chosen, else the shortest
LONGEST = 1000  # characters; longer texts are not pasted into a terminal
TEXT_MARK, INPUT_MARK = "\ue000", "\ue001"  # private-use characters, which no prompt style contains


@dataclass(frozen=True)
class SamplePrompt:
    """A prompt: an instruction and its input, or a text to classify."""

    text: str
    input: str = ""

    @property
    def as_message(self) -> str:
        """The prompt as a single chat message."""
        return f"{self.text}\n\n{self.input}" if self.input else self.text


@dataclass(frozen=True)
class _Frame:
    """What a prompt style writes around a question; `between` precedes the input, or is None if there is none."""

    opening: str
    between: str | None
    ending: str

    def question(self, prompt: str) -> SamplePrompt | None:
        """Return the question inside the frame, or None if the prompt does not match it."""
        if not (prompt.startswith(self.opening) and prompt.endswith(self.ending)):
            return None
        asked = prompt[len(self.opening) : len(prompt) - len(self.ending)]
        if self.between is None:
            return SamplePrompt(asked)
        text, between, given = asked.partition(self.between)
        return SamplePrompt(text, given) if between else None


def choose_sample_prompt(rows: Sequence[PreparedRow], renderer: PromptRenderer) -> SamplePrompt | None:
    """Return the question of a suitable row that is a single instruction; None if there is no such row.

    A conversation with several turns or a system text would be tokenized differently as a single instruction.
    """
    frames = list(_frames(renderer))
    asked = [
        (question, row)
        for row in rows[: min(ROWS_TRIED, len(rows))]
        if (question := next(filter(None, (frame.question(row.prompt) for frame in frames)), None))
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


def _frames(renderer: PromptRenderer) -> Iterator[_Frame]:
    marked = renderer.prompt_text(single_exchange_of(0, TEXT_MARK, INPUT_MARK, ""))
    opening, _, rest = marked.partition(TEXT_MARK)
    between, _, ending = rest.partition(INPUT_MARK)
    if between.strip():  # if only whitespace separates the two, any paragraph would be taken for an input
        yield _Frame(opening, between, ending)
    opening, _, ending = renderer.prompt_text(single_exchange_of(0, TEXT_MARK, "", "")).partition(TEXT_MARK)
    yield _Frame(opening, None, ending)


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
