"""Token ids cut into what a reader can see: one token, or the few that only together make whole characters."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

Decode = Callable[[list[int]], str]
LONGEST_CHARACTER = 4  # bytes, of which each may be a token


@dataclass(frozen=True)
class Piece:
    """A token, or the few that only together make whole characters."""

    text: str
    is_supervised: bool
    tokens: int


def token_pieces(ids: Sequence[int], spans: Sequence[tuple[int, int]], decode: Decode) -> Iterator[Piece]:
    """Yield the pieces of some ids; no piece is supervised in part, whatever characters its tokens make."""
    # Each piece is what its tokens add to the text of the piece before: some tokenizers drop the space
    # at the start of whatever they decode, so a token decoded alone would lose it.
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
    """Return from where to where tokens around one of them make whole characters; that token alone if none do."""
    widths = range(1, LONGEST_CHARACTER + 1)
    spans = [(begin, begin + width) for width in widths for begin in range(place - width + 1, place + 1)]
    inside = [(begin, end) for begin, end in spans if begin >= 0 and end <= len(ids)]
    whole = (span for span in inside if "\ufffd" not in decode(list(ids[slice(*span)])))
    return next(whole, (place, place + 1))
