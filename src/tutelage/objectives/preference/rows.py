"""Rows of one prompt and two answers: the chosen answer is the row's own, the rejected one stands beside it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tutelage.config.recipe import DataSettings
from tutelage.data.dataset.row_encoder import EncodedRows, Labels, RowEncoder
from tutelage.data.prompts.prompts import PromptRenderer
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.errors import DataError

FORMAT = "preference"
REJECTED = "rejected"
ANSWERS = ("chosen", REJECTED)


def encode_pairs(
    renderer: PromptRenderer, conversations: Iterable[Conversation], settings: DataSettings, labels: Labels
) -> Iterator[EncodedRows]:
    """Yield each row with its chosen and its rejected answer, of which the last turn alone is supervised."""
    rendered = renderer.rows(both_answers(conversations), train_on="last")
    for conversation, chosen in rendered:
        _, rejected = next(rendered)
        yield conversation, (chosen, rejected)


def both_answers(conversations: Iterable[Conversation]) -> Iterator[Conversation]:
    """Yield each conversation as it is and as it would be with the rejected answer."""
    for conversation in conversations:
        yield conversation
        yield with_rejected(conversation)


def with_rejected(conversation: Conversation) -> Conversation:
    """Return the conversation as it would be with the rejected answer; DataError where there is none."""
    require_pair(conversation)
    return replace(
        conversation, messages=(*conversation.context, ChatMessage("assistant", conversation.rejected or ""))
    )


def require_pair(conversation: Conversation) -> None:
    """Stop where a row has no second answer."""
    if conversation.format != FORMAT or conversation.rejected is None:
        raise DataError(
            "data.not_preference",
            f"Row {conversation.row} has the format {conversation.format}, but preference tuning needs rows"
            " with a chosen and a rejected answer. Name their fields with --map chosen=NAME --map"
            " rejected=NAME.",
            row=conversation.row,
        )


ROWS = RowEncoder(encode_pairs, require_pair, answers=ANSWERS, last_answer_alone=True)
