"""Split token ids into readable pieces: single tokens, or several that together form whole characters."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

Decode = Callable[[list[int]], str]
LONGEST_CHARACTER = 4  # bytes; each can be a token of its own


@dataclass(frozen=True)
class Piece:
    """A token, or several tokens that together form whole characters."""

    text: str
    is_supervised: bool
    tokens: int


def token_pieces(ids: Sequence[int], spans: Sequence[tuple[int, int]], decode: Decode) -> Iterator[Piece]:
    """Yield the pieces of token ids; a piece never mixes supervised and unsupervised tokens."""
    # Decode each piece together with the one before it: some tokenizers drop a leading space when decoding, so
    # a token decoded on its own would lose it.
    ids = list(ids)
    bounds = {len(ids), *(place for span in spans for place in span)}
    context, start = 0, 0
    for end in range(1, len(ids) + 1):
        before, now = decode(ids[context:start]), decode(ids[context:end])
        if not now.endswith("\ufffd") or end in bounds:
            is_supervised = any(begin <= start < stop for begin, stop in spans)
            yield Piece(now[len(before) :], is_supervised, end - start)
            context, start = start, end


def whole_characters(ids: Sequence[int], place: int, decode: Decode) -> tuple[int, int]:
    """Return the (begin, end) of the tokens around `place` that form whole characters, or that token alone."""
    widths = range(1, LONGEST_CHARACTER + 1)
    spans = [(begin, begin + width) for width in widths for begin in range(place - width + 1, place + 1)]
    inside = [(begin, end) for begin, end in spans if begin >= 0 and end <= len(ids)]
    whole = (span for span in inside if "\ufffd" not in decode(list(ids[slice(*span)])))
    return next(whole, (place, place + 1))
