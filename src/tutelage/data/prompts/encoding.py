"""Encode text as token ids: content never becomes a control token, only a template can add those."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from tokenizers import Encoding, Tokenizer

from tutelage.config.recipe import Pooling
from tutelage.data.prompts.text_parts import PARTS, joined_parts, may_be_cut
from tutelage.data.quality.repairs import SURROGATES
from tutelage.data.rows.conversations import Conversation
from tutelage.errors import DataError, ModelError

SPACE_OF_SENTENCEPIECE = "\u2581"  # how it writes a space
NOT_PLAIN = re.compile(r"[^\t\n\r -~]")
# The same characters in byte-level notation.
PLAIN_IN_BYTE_LEVEL = {*map(chr, range(ord("!"), ord("~") + 1)), *"\u0109\u010a\u010d\u0120"}


@dataclass(frozen=True)
class Control:
    """A control token by its text; some strip the whitespace that a template writes after them."""

    token: str
    swallows_space: bool = False


Piece = str | Control


def control_tokens(tokenizer: Any) -> dict[str, Control]:
    """Return the control tokens by text: those with a role, such as eos_token, and those only marked as
    special.

    The turn markers of Phi-3 and Llama 3 are only in tokenizer.json, not in `all_special_tokens`.
    """
    marked = [token for token in tokenizer.added_tokens_decoder.values() if token.special]
    return {token: Control(token) for token in tokenizer.all_special_tokens} | {
        token.content: Control(token.content, swallows_space=token.rstrip) for token in marked
    }


def vocabulary_of(tokenizer: Any) -> int:
    """Return the largest token id plus one."""
    return max(tokenizer.get_vocab().values()) + 1


def encode_text(tokenizer: Any, text: str) -> list[int]:
    """Encode content; a control token spelled out in it becomes ordinary text tokens."""
    with _no_half_surrogates():
        return tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True) if text else []


@contextmanager
def _no_half_surrogates() -> Iterator[None]:
    try:
        yield
    except (TypeError, UnicodeError) as fault:  # raised by the library for text that has no UTF-8 form
        raise DataError(
            "data.lone_surrogate",
            "A text holds half of a surrogate pair, which is not a character. Write it as UTF-8, or remove"
            " it.",
        ) from fault


@contextmanager
def naming_row_of_surrogate(file_of: Callable[[int], str]) -> Iterator[None]:
    """Add file and row to the error for a text that cannot be encoded in spite of the repairs."""
    try:
        yield
    except DataError as fault:
        if fault.code != "data.lone_surrogate" or fault.row is None:
            raise
        told = f"{file_of(fault.row)}: row {fault.row}: {fault}"
        raise DataError(fault.code, told, row=fault.row) from fault


def adds_begin_of_text(tokenizer: Any) -> bool:
    """Return whether the tokenizer adds a begin-of-text token to every text."""
    return tokenizer.bos_token_id is not None and tokenizer.encode("a")[0] == tokenizer.bos_token_id


# Where SentencePiece tokenizers insert a space: only before a conversation that begins with text, or before
# each text at the beginning or after a control token; always, or only if the text does not begin with a space.
OpeningSpace = Literal["first", "each", "each, always"]


@dataclass(frozen=True)
class ContentEncoder:
    """The core of a tokenizer that ignores control tokens, and a faster variant for plain text without a
    rare-byte split.

    The core inserts no spaces itself, because it encodes parts of conversations: `opening_space` says which
    parts get one.
    """

    core: Tokenizer
    for_plain: Tokenizer | None
    opening_space: OpeningSpace | None = None
    cuts_texts: bool = False  # whether the parts of a text have the same ids as the whole

    def parts(self, text: str) -> list[str]:
        """Split a text into parts whose concatenated ids are its own; a single part if the tokenizer must see
        all of it.
        """
        return PARTS.findall(text) if self.cuts_texts else [text]

    def groups(self, parts: Iterable[str]) -> list[list[str]]:
        """Group parts that are encoded together as one text."""
        return [*joined_parts(parts)] if self.cuts_texts else [[part] for part in parts]


def content_encoder(tokenizer: Any) -> ContentEncoder:
    """Return a copy of the tokenizer's core that ignores control tokens in text.

    Every call of the tokenizer itself switches that setting, so another thread can only use a copy: a call in
    between would let a row's text end a turn.
    """
    state, opening_space = without_opening_space(json.loads(tokenizer.backend_tokenizer.to_str()))
    shorter = _without_cut_of_rare_bytes(state)
    for_plain = _reading_no_controls(shorter) if shorter else None
    core = _reading_no_controls(state)
    return ContentEncoder(core, for_plain, opening_space, may_be_cut(state, core))


def without_opening_space(state: dict[str, Any]) -> tuple[dict[str, Any], OpeningSpace | None]:
    """Return a tokenizer.json without SentencePiece's inserted space, and where it was inserted."""
    cut = state.get("pre_tokenizer") or {}
    if cut.get("type") == "Metaspace" and cut["prepend_scheme"] != "never":
        where: OpeningSpace = "first" if cut["prepend_scheme"] == "first" else "each"
        return {**state, "pre_tokenizer": {**cut, "prepend_scheme": "never"}}, where
    normal = state.get("normalizer") or {}
    steps = normal.get("normalizers", [normal])
    if any(step.get("prepend") == SPACE_OF_SENTENCEPIECE for step in steps):
        kept = [step for step in steps if step["type"] != "Prepend"]
        return {**state, "normalizer": {"type": "Sequence", "normalizers": kept}}, "each, always"
    return state, None


def _without_cut_of_rare_bytes(state: dict[str, Any]) -> dict[str, Any] | None:
    """Return a tokenizer without its last splitting step, if that only concerns bytes that plain text never
    has.

    Models converted from GGUF end with such a step, which takes a fifth of the encoding time.
    """
    steps = (state.get("pre_tokenizer") or {}).get("pretokenizers", [])
    if len(steps) < 2 or steps[-1]["type"] != "Split" or not any(one["type"] == "ByteLevel" for one in steps):
        return None
    letters = re.fullmatch(r"\[([^\[\]\\^-]+)\]", steps[-1]["pattern"].get("Regex", ""))
    if letters is None or not set(letters[1]).isdisjoint(PLAIN_IN_BYTE_LEVEL):
        return None
    return {**state, "pre_tokenizer": {**state["pre_tokenizer"], "pretokenizers": steps[:-1]}}


def _reading_no_controls(state: dict[str, Any]) -> Tokenizer:
    encoder = Tokenizer.from_str(json.dumps(state))
    encoder.encode_special_tokens = True
    encoder.no_truncation()
    encoder.no_padding()
    return encoder


def distinct_texts(texts: Iterable[str]) -> list[str]:
    """Return the distinct nonempty texts."""
    return list(dict.fromkeys(text for text in texts if text))


def encode_batch(encoder: ContentEncoder, texts: list[str]) -> list[Encoding]:
    """Encode distinct contents on all cores, without holding the interpreter lock."""
    with _no_half_surrogates():
        return _encode_batch(encoder, texts)


def _encode_batch(encoder: ContentEncoder, texts: list[str]) -> list[Encoding]:
    if encoder.for_plain is None:
        return _encode(encoder, encoder.core, texts)
    plain = [text for text in texts if not NOT_PLAIN.search(text)]
    others = [text for text in texts if NOT_PLAIN.search(text)] if len(plain) < len(texts) else []
    encoded = zip(
        (*plain, *others),
        (*_encode(encoder, encoder.for_plain, plain), *_encode(encoder, encoder.core, others)),
        strict=True,
    )
    by_text = dict(encoded)
    return [by_text[text] for text in texts]


def _encode(encoder: ContentEncoder, core: Tokenizer, texts: list[str]) -> list[Encoding]:
    """Encode texts; token offsets, which take time, are only computed if a text may hold several parts."""
    encode = core.encode_batch if encoder.cuts_texts else core.encode_batch_fast
    return encode(texts, add_special_tokens=False)


def encodings_of(encoding: Future[list[Encoding]], conversations: Sequence[Conversation]) -> list[Encoding]:
    """Return the encodings of conversations; an error gets the row number of the text that cannot be encoded."""
    try:
        return encoding.result()
    except DataError as fault:
        at_fault = (one.row for one in conversations if any(map(SURROGATES.search, _said_in(one))))
        raise DataError(fault.code, str(fault), row=next(at_fault, None)) from fault


def _said_in(conversation: Conversation) -> Iterator[str]:
    return (text for turn in conversation.messages for text in (turn.content, turn.input))


def join_pieces(pieces: Sequence[Piece]) -> list[Piece]:
    """Join adjacent texts, and strip the whitespace after control tokens that swallow it."""
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


def with_opening_spaces(
    pieces: Sequence[Piece], where: OpeningSpace | None, *, is_first: bool
) -> list[Piece]:
    """Return the pieces between two ends of turn, with the spaces that the tokenizer inserts."""
    spaced: list[Piece] = []
    opens = is_first or where != "first"
    for piece in pieces:
        if isinstance(piece, Control):
            opens = where != "first"
            spaced.append(piece)
            continue
        lacks = where == "each, always" or not piece.startswith((" ", SPACE_OF_SENTENCEPIECE))
        spaced.append(f" {piece}" if piece and opens and lacks else piece)
        opens = opens and not piece
    return spaced


def piece_text(pieces: Sequence[Piece]) -> str:
    """Return pieces as text, including control tokens."""
    return "".join(piece.token if isinstance(piece, Control) else piece for piece in pieces)


def cut_at_controls(text: str, known: Mapping[str, Control]) -> Iterator[Piece]:
    """Split a template's own text at its control tokens."""
    longest_first = sorted(known, key=len, reverse=True)
    pattern = "|".join(re.escape(token) for token in longest_first)
    for part in re.split(f"({pattern})", text) if pattern else [text]:
        if part:
            yield known.get(part, part)


def check_control_tokens(tokenizer: Any, known: Mapping[str, Control]) -> None:
    """Raise ModelError if plain text can produce a control token, which unigram vocabularies allow."""
    ids = {tokenizer.convert_tokens_to_ids(token) for token in known}
    for token in known:
        if not ids.isdisjoint(encode_text(tokenizer, f"a{token} {token} a")):
            raise ModelError(
                "model.tokenizer_unsafe",
                f"This model's tokenizer turns {token!r} into a control token anywhere in a text, so data"
                " could end or start a message. Choose another model.",
            )


def text_ids(tokenizer: Any, text: str, *, token: Pooling) -> list[int]:
    """Return the ids of a text up to the token whose state is used, including a begin-of-text token if the
    tokenizer adds one.

    In a causal model the first token only attends to itself, so nothing after it needs to be computed.
    """
    begin = [tokenizer.bos_token_id] if adds_begin_of_text(tokenizer) else []
    ids = [*begin, *encode_text(tokenizer, text)]
    return ids if token == "last" else ids[:1]
