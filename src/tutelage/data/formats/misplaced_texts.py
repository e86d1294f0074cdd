"""Detect misplaced texts: messages written into a text, and answers that repeat their prompt."""

from collections import Counter
from collections.abc import Iterator

from tutelage.codes import Message
from tutelage.data.formats.prompt_and_answer import BEGINNINGS, looks_like_messages
from tutelage.data.quality.checks import message_names
from tutelage.data.rows.conversations import ChatMessage, Conversation

# Shorter prompts are inconclusive: an answer to "Hi" may well begin with it.
LEAST_WORDS, LEAST_CHARACTERS, LEAST_OTHER_CHARACTERS = 3, 12, 4
AT_A_GLANCE = 4  # characters compared first, as a quick check
CODES = ("data.messages_in_text", "data.answer_repeats_prompt")


def find_misplaced(row: Conversation) -> Iterator[Message]:
    """Yield findings about misplaced texts in a row."""
    if not _is_worth_a_look(row) or row.is_labelled:  # labelled texts may contain anything
        return
    named = {name: turn.text for name, turn in zip(message_names(row), row.messages, strict=True)}
    holding = [
        name for name, text in {**named, "rejected": row.rejected or ""}.items() if looks_like_messages(text)
    ]
    if holding:
        yield Message(
            "data.messages_in_text",
            f"{' and '.join(holding)}: a text that holds messages with roles is trained on as plain text;"
            " write them as a list",
        )
    repeated = list(dict.fromkeys(_repeats(row)))
    if repeated:
        yield Message(
            "data.answer_repeats_prompt",
            f"{' and '.join(repeated)} begin{'s' if len(repeated) == 1 else ''} with the prompt, so the"
            " model would learn to repeat it; leave it out of the answers",
        )


def _is_worth_a_look(row: Conversation) -> bool:
    """Return whether a row needs a closer look: a text begins like JSON or whitespace, or like the text before
    it.
    """
    before = None
    for turn in row.messages:
        begin = turn.text[:1]
        if begin == before or begin in BEGINNINGS:
            return True
        before = begin
    return row.rejected is not None


def _repeats(row: Conversation) -> Iterator[str]:
    """Yield the names of answers that begin with their prompt."""
    name = "the answer" if row.rejected is None else "chosen"
    asked = None
    for turn in row.messages:
        if asked and turn.role == "assistant":
            if _repeats_prompt(asked, turn.text):
                yield name
            if row.rejected and turn is row.messages[-1] and _repeats_prompt(asked, row.rejected):
                yield "rejected"
        asked = turn if turn.role == "user" else None


def _repeats_prompt(asked: ChatMessage, answer: str) -> bool:
    if answer.lstrip()[:AT_A_GLANCE] != asked.text.lstrip()[:AT_A_GLANCE]:
        return False  # nearly always
    return _begins_with(answer, asked.text) or bool(asked.input and _begins_with(answer, asked.content))


def _begins_with(answer: str, prompt: str) -> bool:
    """Return whether an answer is a prompt followed by more text, ignoring whitespace."""
    words = prompt.split()
    asked = " ".join(words)
    least = LEAST_CHARACTERS if asked.isascii() else LEAST_OTHER_CHARACTERS
    if len(words) < LEAST_WORDS and len(asked) < least:
        return False
    said = " ".join(answer.split())
    rest = said[len(asked) :]
    if not said.startswith(asked) or not rest.strip():
        return False
    # If the last word continues, it is a different word (in scripts that separate words).
    return not (asked[-1].isascii() and asked[-1].isalnum() and rest[0].isascii() and rest[0].isalnum())


class MisplacedTexts:
    """Counts misplaced texts over a stream of rows."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, tuple[int, str]] = {}

    def note(self, row: Conversation) -> None:
        """Record the next row."""
        for found in find_misplaced(row):
            self._counts[found.code] += 1
            self._first.setdefault(found.code, (row.row, found.text))

    def notes(self) -> list[Message]:
        """Return notes about all rows."""
        return [
            Message(code, f"{count:,} row{'' if count == 1 else 's'}, the first is {row}: {text}.")
            for code, count in self._counts.items()
            for row, text in (self._first[code],)
        ]
