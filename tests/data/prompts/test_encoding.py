"""The encoder of contents, where a tokenizer ends with a cut that plain texts never need."""

import json

import pytest
from support.tiny_tokenizer import chatml_tokenizer, random_texts
from tokenizers import Regex, pre_tokenizers
from tokenizers import Tokenizer as Core

from tutelage.data.prompts import encoding
from tutelage.data.prompts.encoding import ContentEncoder, content_encoder, distinct_texts, encode_batch

RARE = "\u0106"  # the byte 6, as a byte-level tokenizer writes it
PLAIN = ["a sat", "Two\nlines.\r\n\tAnd ~!@#$%^&*()_+{}|", "0123456789"]
OTHERS = [" s\x06at", "\x06", "s\x06 at \x06", "naïve 梨 \x7f", "<|im_end|>\x06"]


def ending_with_a_cut(letters=RARE):
    """Return a tokenizer with no token for the byte 6 and a cut at some letters, as a converted model has it."""
    tokenizer = chatml_tokenizer()
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    del state["model"]["vocab"][RARE]
    core = Core.from_str(json.dumps(state))
    cut = pre_tokenizers.Split(Regex(f"[{letters}]"), behavior="isolated")
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False), cut]
    )
    tokenizer._tokenizer = core
    return tokenizer


def otherwise_encoded(encoder):
    """Return the texts whose ids differ from those of the whole tokenizer, one text at a time."""
    texts = distinct_texts([*PLAIN, *OTHERS, *random_texts(2_000, seed=3)])
    whole = content_encoder(ending_with_a_cut()).core
    return [
        text
        for text, one in zip(texts, encode_batch(encoder, texts), strict=True)
        if one.ids != whole.encode(text, add_special_tokens=False).ids
    ]


def test_every_text_is_encoded_as_by_the_whole_tokenizer():
    encoder = content_encoder(ending_with_a_cut())
    assert encoder.for_plain is not None
    assert otherwise_encoded(encoder) == []


def test_the_comparison_catches_an_encoder_that_takes_every_text_for_plain(monkeypatch):
    monkeypatch.setattr(encoding, "NOT_PLAIN", encoding.re.compile("(?!)"))
    assert " s\x06at" in otherwise_encoded(content_encoder(ending_with_a_cut()))


@pytest.mark.parametrize("letters", ["a", "\u0120", f"{RARE}~", f"^{RARE}"])
def test_a_cut_that_a_plain_text_may_need_is_made_in_every_text(letters):
    assert content_encoder(ending_with_a_cut(letters)).for_plain is None


def test_other_tokenizers_have_one_encoder():
    encoder = content_encoder(chatml_tokenizer())
    assert (type(encoder), encoder.for_plain) == (ContentEncoder, None)
