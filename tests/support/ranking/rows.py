"""Rows of one prompt and three answers, the best first."""

from dataclasses import replace

from tutelage.data.dataset.row_encoder import RowEncoder
from tutelage.data.rows.conversations import ChatMessage


def spoilt(text):
    """Return an answer as it is written, in capitals, and its first half."""
    return text, text.upper(), text[: len(text) // 2 + 1]


def encode(renderer, conversations, settings, labels):
    """Yield each row with its three answers, of which the last turn alone is supervised."""
    for conversation in conversations:
        each = [
            replace(conversation, messages=(*conversation.context, ChatMessage("assistant", text)))
            for text in spoilt(conversation.response)
        ]
        yield conversation, tuple(row for _, row in renderer.rows(each, train_on="last"))


ROWS = RowEncoder(encode, answers=("written", "shouted", "halved"), last_answer_alone=True)
