"""The prompts of a baseline: questions in another prompt style, with examples before them as far as they fit."""

from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.data.prompts.prompts import PromptRenderer
from tutelage.data.rows.conversations import ChatMessage, Conversation, messages_of
from tutelage.tree.examples import PreparedRow


@dataclass(frozen=True)
class Prompts:
    """Prompted rows, and the largest number of examples before one of their questions."""

    rows: list[PreparedRow]
    examples: int


def make_prompts(
    renderer: PromptRenderer,
    asked: Sequence[PreparedRow],
    examples: Sequence[Sequence[PreparedRow]],
    *,
    room: int,
    is_shared: bool,
) -> Prompts | None:
    """Return the asked rows with their examples as earlier turns; None where a question does not fit even alone.

    A prompt may take `room` tokens. Where it takes more, its first examples are left out, of shared ones those of all
    prompts.
    """
    counts = [_that_fit(row, shown, room) for row, shown in zip(asked, examples, strict=True)]
    while True:
        if is_shared:
            counts = [min(counts)] * len(counts)
        kept = [shown[len(shown) - count :] for shown, count in zip(examples, counts, strict=True)]
        conversations = [with_examples(row, shown) for row, shown in zip(asked, kept, strict=True)]
        rows = [row for _, row in renderer.rows(conversations, train_on="last")]
        too_long = [place for place, row in enumerate(rows) if row.example.prompt_tokens > room]
        if not too_long:
            return Prompts(rows, max(counts))
        if any(counts[place] == 0 for place in too_long):
            return None
        for place in too_long:
            counts[place] -= 1


def with_examples(row: PreparedRow, examples: Sequence[PreparedRow]) -> Conversation:
    """Return a row's conversation with other rows as its first turns; their system messages are left out."""
    asked = messages_of(row.messages)
    system = [message for message in asked if message.role == "system"]
    turns = [
        message
        for example in examples
        for message in (*messages_of(example.messages), ChatMessage("assistant", example.response))
        if message.role != "system"
    ]
    question = [message for message in asked if message.role != "system"]
    answer = ChatMessage("assistant", row.response)
    return Conversation(row.example.row, (*system, *turns, *question, answer), "messages")


def _that_fit(row: PreparedRow, examples: Sequence[PreparedRow], room: int) -> int:
    """Return how many of the last examples fit, by the tokens of the prompts that the run prepared."""
    left = room - row.example.prompt_tokens
    for count, example in enumerate(reversed(examples)):
        left -= example.example.tokens
        if left < 0:
            return count
    return len(examples)
