"""A row of the user's own that a command can ask again: short, plain to read, and with the ids that the run gave it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tutelage.data.prompts.prompts import PromptRenderer
from tutelage.data.rows.conversations import single_exchange_of
from tutelage.text.characters import is_unseen
from tutelage.tree.examples import PreparedRow

ROWS_TRIED = 200  # the first of them; a long file is not read for one example
COMFORTABLE = 120  # characters; among rows up to this length the first is taken, beyond it the shortest
LONGEST = 1000  # characters; a longer text is not pasted into a terminal
TEXT_MARK, INPUT_MARK = "\ue000", "\ue001"  # private characters, which no prompt style writes


@dataclass(frozen=True)
class SamplePrompt:
    """What is asked: an instruction and its input, or the text of a classification."""

    text: str
    input: str = ""

    @property
    def as_message(self) -> str:
        """The whole of it as one message of a conversation."""
        return f"{self.text}\n\n{self.input}" if self.input else self.text


@dataclass(frozen=True)
class _Frame:
    """What a prompt style writes around a question; `between` stands before the input, None where there is none."""

    opening: str
    between: str | None
    ending: str

    def question(self, prompt: str) -> SamplePrompt | None:
        """Return what stands in the frame, None where a prompt is none of this frame."""
        if not (prompt.startswith(self.opening) and prompt.endswith(self.ending)):
            return None
        asked = prompt[len(self.opening) : len(prompt) - len(self.ending)]
        if self.between is None:
            return SamplePrompt(asked)
        text, between, given = asked.partition(self.between)
        return SamplePrompt(text, given) if between else None


def choose_sample_prompt(rows: Sequence[PreparedRow], renderer: PromptRenderer) -> SamplePrompt | None:
    """Return the question of a row that one instruction asks in full; None where no row is short and plain enough.

    A conversation of several turns, or one with a system text, gets other ids when it is asked as one instruction.
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
    """Return the text of a row of a classification; None where none is short and plain enough."""
    texts = (SamplePrompt(row.prompt) for row in rows[: min(ROWS_TRIED, len(rows))])
    return min(filter(_can_be_typed, texts), key=_preference, default=None)


def _frames(renderer: PromptRenderer) -> Iterator[_Frame]:
    marked = renderer.prompt_text(single_exchange_of(0, TEXT_MARK, INPUT_MARK, ""))
    opening, _, rest = marked.partition(TEXT_MARK)
    between, _, ending = rest.partition(INPUT_MARK)
    if between.strip():  # where blanks alone part the two, a paragraph would be taken for an input
        yield _Frame(opening, between, ending)
    opening, _, ending = renderer.prompt_text(single_exchange_of(0, TEXT_MARK, "", "")).partition(TEXT_MARK)
    yield _Frame(opening, None, ending)


def _preference(question: SamplePrompt) -> tuple[bool, int]:
    """Sort rows on one line first, then the shortest; Python's sort leaves rows of a comfortable length in order."""
    whole = question.as_message
    return "\n" in f"{question.text}{question.input}", max(len(whole), COMFORTABLE)


def _can_be_typed(question: SamplePrompt) -> bool:
    """Tell whether a terminal shows the text and takes it back as it is; a pasted tab would complete a name."""
    whole = question.as_message
    return bool(question.text.strip()) and len(whole) <= LONGEST and not _holds_unseen(whole)


def _holds_unseen(text: str) -> bool:
    return any(character == "\t" or is_unseen(character) for character in text)
