"""Rows of a prompt and an answer that is unwanted."""

from dataclasses import replace

from tutelage.data.dataset.row_encoder import ANSWERS
from tutelage.data.rows.conversations import Conversation
from tutelage.errors import DataError


def require_unwanted(row: Conversation) -> None:
    """Stop where a row of another format has an answer that is wanted."""
    if row.format != "prompt-unwanted":
        raise DataError("data.not_preference", f"Row {row.row} has no unwanted answer.", row=row.row)


def encode(renderer, conversations, settings, labels):
    """Yield each row with its unwanted answer supervised."""

    def checked():
        for conversation in conversations:
            require_unwanted(conversation)
            yield conversation

    return ANSWERS.encode(renderer, checked(), settings, labels)


ROWS = replace(ANSWERS, encode=encode, check=require_unwanted)
