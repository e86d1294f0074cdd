"""Shows one training example as the model sees it: cut into tokens, with those it learns from marked."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.report.passages import SHOWN_AT_MOST

TOKENS_SHOWN = 1500

Decode = Callable[[list[int]], str]


@dataclass(frozen=True)
class Piece:
    """A token, or the few that only together make whole characters."""

    text: str
    is_supervised: bool
    tokens: int


def pieces(example: Mapping[str, Any], decode: Decode | None) -> list[Piece]:
    """Cut an example into pieces; without a `decode`, into its prompt and its response."""
    if decode is None:
        prompt = Piece(example["prompt"][:SHOWN_AT_MOST], False, example["tokens"] - example["supervised"])
        return [prompt, Piece(example["response"][:SHOWN_AT_MOST], True, example["supervised"])]
    return list(
        _token_pieces(example["ids"][:TOKENS_SHOWN], len(example["ids"]) - example["supervised"], decode)
    )


def _token_pieces(ids: list[int], first_supervised: int, decode: Decode) -> Iterator[Piece]:
    # Each piece is what its tokens add to the text of the piece before: some tokenizers drop the space
    # at the start of whatever they decode, so a token decoded alone would lose it.
    context, start = 0, 0
    for end in range(1, len(ids) + 1):
        before, now = decode(ids[context:start]), decode(ids[context:end])
        is_cut = now.endswith("\ufffd") and end not in (len(ids), first_supervised)
        if not is_cut:
            yield Piece(now[len(before) :], start >= first_supervised, end - start)
            context, start = start, end
