"""A conversation: the one thing that every format is read into and every prompt style is written from."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from tutelage.codes import Message

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says. An Alpaca row's `input` stands beside its instruction, so that a style can set it apart."""

    role: Role
    text: str
    input: str = ""
    calls: tuple[str, ...] = ()  # the assistant's tool calls, each the JSON of a name and its arguments
    is_supervised: bool = True  # asked of the assistant's turns alone

    @property
    def said(self) -> str:
        """The text of an assistant's turn with its tool calls, which the model learns to write like any other text."""
        if not self.calls:
            return self.text
        calls = [f"<tool_call>\n{call}\n</tool_call>" for call in self.calls]
        return "\n".join([self.text, *calls] if self.text else calls)

    @property
    def asked(self) -> str:
        """The text of a turn that is not the assistant's, with its input below it."""
        return f"{self.text}\n\n{self.input}" if self.input else self.text


@dataclass(frozen=True, slots=True)
class Conversation:
    """The turns of one source row, in order; the answer that the last one gives is what an evaluation compares with.

    A row of plain text is one assistant's turn that nothing asks for (`is_plain_text`): it gets no prompt style.
    """

    row: int
    turns: tuple[Turn, ...]
    format: str = "alpaca"
    # The answer that a preference row puts second, where it is one to the same prompt.
    rejected: str | None = None
    is_rejected_supervised: bool = True  # false if the rejected answer has the weight 0
    repairs: tuple[Message, ...] = field(
        default=(), compare=False
    )  # what its reader left out, for the ledger
    is_desirable: bool | None = None  # what a label says of the last answer, if labels are read

    @property
    def is_plain_text(self) -> bool:
        return self.format == "text"

    @property
    def is_labelled(self) -> bool:
        """Whether the answer is the label of a text."""
        return self.format == "text-label"

    @property
    def response(self) -> str:
        """The answer of the last turn."""
        return self.turns[-1].said

    @property
    def context(self) -> tuple[Turn, ...]:
        """The turns before the last answer."""
        return self.turns[:-1]


def without_blank_system(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Return turns without the system texts that say nothing."""
    for turn in turns:
        if turn.role == "system" and not turn.text.strip():
            return tuple(turn for turn in turns if turn.role != "system" or turn.text.strip())
    return turns


def in_batches(conversations: Iterable[Conversation], characters: int) -> Iterator[list[Conversation]]:
    """Yield lists of conversations, each of so many characters or a little more; the last has what is left."""
    batch: list[Conversation] = []
    held = 0
    for conversation in conversations:
        batch.append(conversation)
        held += sum(len(turn.text) + len(turn.input) for turn in conversation.turns)
        if held > characters:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def single_turn(row: int, instruction: str, input: str, output: str) -> Conversation:
    """Return the conversation of an Alpaca row: one question and its answer."""
    return Conversation(row, (Turn("user", instruction, input), Turn("assistant", output)))
