"""From text to token ids: content can never become a control token, whatever it says; only a template names those."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.errors import ModelError


@dataclass(frozen=True)
class Control:
    """A control token, by its text; some swallow the white space that a template writes after them."""

    token: str
    swallows_space: bool = False


Piece = str | Control


def control_tokens(tokenizer: Any) -> dict[str, Control]:
    """Return the control tokens by their text: those with a role, like eos_token, and those that are only marked.

    Phi-3's and Llama 3's turn markers stand in tokenizer.json alone, so that `all_special_tokens` lacks them.
    """
    marked = [token for token in tokenizer.added_tokens_decoder.values() if token.special]
    return {token: Control(token) for token in tokenizer.all_special_tokens} | {
        token.content: Control(token.content, swallows_space=token.rstrip) for token in marked
    }


def encode_text(tokenizer: Any, text: str) -> list[int]:
    """Encode content: a control token spelled out in it becomes ordinary text tokens."""
    return encode_texts(tokenizer, [text])[text]


def encode_texts(tokenizer: Any, texts: Sequence[str]) -> dict[str, list[int]]:
    """Encode many contents at once, each different one once, on all cores."""
    backend = tokenizer.backend_tokenizer
    distinct = list(dict.fromkeys(text for text in texts if text))
    read_before = backend.encode_special_tokens
    backend.encode_special_tokens = True  # "encode" the spelled-out tokens, rather than read them as controls
    try:
        encoded = backend.encode_batch_fast(distinct, add_special_tokens=False)
    finally:
        backend.encode_special_tokens = read_before
    return {"": []} | {text: one.ids for text, one in zip(distinct, encoded, strict=True)}


def join_pieces(pieces: Sequence[Piece]) -> list[Piece]:
    """Join neighbouring texts, and take away the white space that a control token before them swallows."""
    joined: list[Piece] = []
    text, swallows = "", False
    for piece in pieces:
        if isinstance(piece, Control):
            joined += [text, piece] if text else [piece]
            text, swallows = "", piece.swallows_space
        else:
            text += piece.lstrip() if swallows else piece
            swallows = False
    return [*joined, text] if text else joined


def piece_text(pieces: Sequence[Piece]) -> str:
    """Return pieces as they read, control tokens by their text."""
    return "".join(piece.token if isinstance(piece, Control) else piece for piece in pieces)


def cut_at_controls(text: str, known: Mapping[str, Control]) -> Iterator[Piece]:
    """Cut a template's own text at the control tokens in it."""
    longest_first = sorted(known, key=len, reverse=True)
    pattern = "|".join(re.escape(token) for token in longest_first)
    for part in re.split(f"({pattern})", text) if pattern else [text]:
        if part:
            yield known.get(part, part)


def refuse_leaks(tokenizer: Any, known: Mapping[str, Control]) -> None:
    """Stop where a control token comes out of plain text all the same, as unigram vocabularies let it."""
    ids = {tokenizer.convert_tokens_to_ids(token) for token in known}
    for token in known:
        if not ids.isdisjoint(encode_text(tokenizer, f"a{token} {token} a")):
            raise ModelError(
                f"This model's tokenizer makes a control token of {token!r} wherever it stands in a text, so data"
                " could end a turn or begin one. Choose another model."
            )
