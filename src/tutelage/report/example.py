"""Shows one training example as the model sees it: cut into tokens, with those it learns from marked."""

from tutelage.data.examples import PreparedRow
from tutelage.data.pieces import Decode, Piece, token_pieces
from tutelage.report.passages import SHOWN_AT_MOST

TOKENS_SHOWN = 1500


def pieces(row: PreparedRow, decode: Decode | None) -> list[Piece]:
    """Cut an example into pieces; without a `decode`, into its prompt and its response."""
    example = row.example
    if decode is None:
        prompt = Piece(row.prompt[:SHOWN_AT_MOST], False, len(example.ids) - example.supervised)
        return [prompt, Piece(row.response[:SHOWN_AT_MOST], True, example.supervised)]
    return list(token_pieces(example.ids[:TOKENS_SHOWN], example.spans, decode))
