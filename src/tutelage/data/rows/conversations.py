"""Conversations: the common form that every format is read into and every prompt style is rendered from."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tutelage.codes import Message

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message of a conversation; the `input` of an Alpaca row is separate, so that a prompt template can
    place it.
    """

    role: Role
    text: str
    input: str = ""
    calls: tuple[str, ...] = ()  # tool calls of the assistant, each as JSON with name and arguments
    is_supervised: bool = True  # only relevant for assistant messages

    @property
    def content(self) -> str:
        """The whole text: a prompt with its input, or an answer with its tool calls in the form that models
        write.
        """
        if self.calls:
            calls = [f"<tool_call>\n{call}\n</tool_call>" for call in self.calls]
            return "\n".join([self.text, *calls] if self.text else calls)
        return f"{self.text}\n\n{self.input}" if self.input else self.text


@dataclass(frozen=True, slots=True)
class Conversation:
    """The messages of one source row, in order; the last one is the reference answer for evaluation.

    A plain text (`is_plain_text`) is a single assistant message without a prompt or prompt style.
    """

    row: int
    messages: tuple[ChatMessage, ...]
    format: str = "alpaca"
    # The rejected answer of a preference row, if it has the same prompt.
    rejected: str | None = None
    is_rejected_supervised: bool = True  # False if the rejected answer has weight 0
    repairs: tuple[Message, ...] = field(
        default=(), compare=False
    )  # repairs made while reading, for the ledger
    is_desirable: bool | None = None  # the label of the last answer, if labels are read

    @property
    def is_plain_text(self) -> bool:
        return self.format == "text"

    @property
    def is_labelled(self) -> bool:
        """Whether the answer is a label to classify the text."""
        return self.format == "text-label"

    @property
    def response(self) -> str:
        """The last answer."""
        return self.messages[-1].content

    @property
    def context(self) -> tuple[ChatMessage, ...]:
        """The messages before the last answer."""
        return self.messages[:-1]

    @property
    def context_records(self) -> tuple[dict[str, str], ...]:
        """The same as lines of prepared rows hold them."""
        return message_records(self.context)


def without_blank_system(turns: tuple[ChatMessage, ...]) -> tuple[ChatMessage, ...]:
    """Return messages without blank system messages."""
    for turn in turns:
        if turn.role == "system" and not turn.text.strip():
            return tuple(turn for turn in turns if turn.role != "system" or turn.text.strip())
    return turns


def in_batches(conversations: Iterable[Conversation], characters: int) -> Iterator[list[Conversation]]:
    """Yield lists of conversations with slightly more than `characters` characters each; the last one holds the
    rest.
    """
    batch: list[Conversation] = []
    held = 0
    for conversation in conversations:
        batch.append(conversation)
        held += sum(len(turn.text) + len(turn.input) for turn in conversation.messages)
        if held > characters:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def message_records(messages: Iterable[ChatMessage]) -> tuple[dict[str, str], ...]:
    """Return messages as the lines of prepared rows hold them, each with its role, its content and its input if any."""
    return tuple(
        {"role": one.role, "content": one.text, "input": one.input}
        if one.input
        else {"role": one.role, "content": one.content}
        for one in messages
    )


def messages_of(records: Iterable[Mapping[str, str]]) -> tuple[ChatMessage, ...]:
    """Return the messages that `message_records` wrote; tool calls are part of the text."""
    return tuple(ChatMessage(one["role"], one["content"], one.get("input", "")) for one in records)  # type: ignore[arg-type]


def single_exchange_of(row: int, instruction: str, input: str, output: str) -> Conversation:
    """Return an Alpaca row as a conversation: one question and its answer."""
    return Conversation(row, (ChatMessage("user", instruction, input), ChatMessage("assistant", output)))
