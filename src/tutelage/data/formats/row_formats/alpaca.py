"""An instruction with an optional input, and its output; earlier exchanges are in `history`."""

from collections.abc import Sequence

from tutelage.data.formats.alpaca_rows import read_alpaca
from tutelage.data.formats.schemas import Row, Schema
from tutelage.data.formats.written_rows import UnfitError, apart_from_system, is_one_exchange
from tutelage.data.rows.conversations import ChatMessage, Conversation


def _write(row: Conversation) -> Row:
    system, turns = apart_from_system(row)
    _require_pairs(turns)
    *history, asked, answered = turns
    pairs = [[one.content, other.text] for one, other in zip(history[::2], history[1::2], strict=True)]
    return {
        "instruction": asked.text,
        "input": asked.input,
        "output": answered.text,
        **system,
        **({"history": pairs} if pairs else {}),
    }


def _require_pairs(turns: Sequence[ChatMessage]) -> None:
    pairs = zip(turns[::2], turns[1::2], strict=False)
    if len(turns) % 2 or not all(map(is_one_exchange, pairs)):
        raise UnfitError(
            "convert.not_alternating", "messages that do not alternate between question and answer"
        )


FORMAT = Schema(("instruction", "output"), ("input", "system", "history"), read_alpaca, _write)
