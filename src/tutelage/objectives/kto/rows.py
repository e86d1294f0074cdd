"""Rows of one prompt and one answer, with a label that says whether the answer is desirable."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tutelage.config.recipe import DataSettings
from tutelage.data.dataset.row_encoder import EncodedRows, Labels, RowEncoder
from tutelage.data.prompts.prompts import PromptRenderer
from tutelage.data.rows.conversations import Conversation
from tutelage.errors import DataError


def encode_judged(
    renderer: PromptRenderer, conversations: Iterable[Conversation], settings: DataSettings, labels: Labels
) -> Iterator[EncodedRows]:
    """Yield each row with its label and its example, of which the last turn alone is supervised."""
    for conversation, row in renderer.rows(conversations, train_on="last"):
        require_label(conversation)
        example = replace(row.example, label=int(conversation.is_desirable is True))
        yield conversation, (replace(row, example=example),)


def require_label(conversation: Conversation) -> None:
    """Stop where no label says whether an answer is desirable."""
    if conversation.is_desirable is None:
        raise DataError(
            "data.kto_label_missing",
            f"Row {conversation.row} has no true or false label, but KTO needs one in each row. Name its"
            " field with --map label=NAME.",
            row=conversation.row,
        )


ROWS = RowEncoder(encode_judged, require_label, needs_labels=True)
