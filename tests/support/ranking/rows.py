"""Rows of one prompt and three answers, the best first."""

from dataclasses import replace

from tutelage.data.dataset.row_encoder import RowEncoder
from tutelage.data.rows.conversations import Turn


def spoilt(text):
    """Return an answer as it is written, in capitals, and its first half."""
    return text, text.upper(), text[: len(text) // 2 + 1]


def encode(renderer, conversations, settings, labels):
    """Yield each row with its three answers, of which the last turn alone is supervised."""
    for conversation in conversations:
        each = [
            replace(conversation, turns=(*conversation.context, Turn("assistant", text)))
            for text in spoilt(conversation.response)
        ]
        yield conversation, tuple(row for _, row in renderer.rows(each, loss_on="last_response"))


ROWS = RowEncoder(encode, answers=("written", "shouted", "halved"), last_answer_alone=True)
