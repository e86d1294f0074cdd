"""Shows one training example as the model sees it: cut into tokens, with those it learns from marked."""

from collections.abc import Mapping
from typing import Any

from tutelage.data.examples import supervised_spans
from tutelage.data.pieces import Decode, Piece, token_pieces
from tutelage.report.passages import SHOWN_AT_MOST

TOKENS_SHOWN = 1500


def pieces(example: Mapping[str, Any], decode: Decode | None) -> list[Piece]:
    """Cut an example into pieces; without a `decode`, into its prompt and its response."""
    if decode is None:
        prompt = Piece(example["prompt"][:SHOWN_AT_MOST], False, example["tokens"] - example["supervised"])
        return [prompt, Piece(example["response"][:SHOWN_AT_MOST], True, example["supervised"])]
    spans = supervised_spans(example["tokens"], example["supervised"], example.get("earlier_spans", ()))
    return list(token_pieces(example["ids"][:TOKENS_SHOWN], spans, decode))
