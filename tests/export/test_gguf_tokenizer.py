"""llama.cpp cuts a text, with the tokenizer of our GGUF file, as the run's own tokenizer does."""

import json
from functools import partial
from unittest.mock import patch

import pytest
from support.exported_gguf import exported_gguf
from support.tiny_sentencepiece import WAYS, sentencepiece_tokenizer
from support.tiny_tokenizer import PHI3, chatml_tokenizer, phi3_tokenizer, random_texts

from tutelage.data.prompts.encoding import control_tokens
from tutelage.data.rows.conversations import single_exchange_of
from tutelage.export import gguf_tokenizer
from tutelage.export.gguf_tokenizer import is_known, pre_tokenizer_name
from tutelage.generation.llama_cpp import load_gguf

TEXTS = ["a the said as", "  two  spaces\n\n\t", "café 😀 你好", *random_texts(400, seed=9)]
MARKERS = ["<|user|>", "<|assistant|>", "<|end|>"]


def different(tokenizer, style, tmp_path, texts=TEXTS, *, at_least=100):
    """Return the texts whose prompts, in this style, get other ids from llama.cpp."""
    path, bound = exported_gguf(tokenizer, style, tmp_path)
    pytest.importorskip("xllamacpp", reason="xllamacpp (llama.cpp) has no build here", exc_type=ImportError)
    model = load_gguf(path, context=64)
    controls = control_tokens(tokenizer)
    asked = [
        single_exchange_of(0, text, "", "") for text in texts if not any(token in text for token in controls)
    ]
    assert len(asked) >= at_least
    return [
        one.messages[0].text
        for one in asked
        if model.tokenize(bound.renderer.prompt_text(one)) != bound.renderer.prompt_ids(one)
    ]


@pytest.mark.parametrize("style", ["alpaca", "chat"])
@pytest.mark.parametrize("way", WAYS)
def test_prompts_of_sentencepiece_have_the_ids_of_the_run(way, style, tmp_path):
    assert different(sentencepiece_tokenizer(way), style, tmp_path) == []


@pytest.mark.parametrize("way", ["prepend", "always", "none"])
def test_texts_behind_control_tokens_have_the_ids_of_the_run(way, tmp_path):
    tokenizer = sentencepiece_tokenizer(way)
    tokenizer.add_special_tokens({"extra_special_tokens": MARKERS})
    tokenizer.chat_template = PHI3.replace("\n", "")
    found = different(tokenizer, "chat", tmp_path)
    # llama.cpp puts a space also before a text that begins with one, as "prepend" does; the verification tells.
    assert [text for text in found if way != "always" or not text.startswith(" ")] == []


@pytest.mark.nightly
@pytest.mark.parametrize(
    "make", [chatml_tokenizer, phi3_tokenizer, *(partial(sentencepiece_tokenizer, way) for way in WAYS)]
)
def test_a_thousand_prompts_have_the_ids_of_the_run(make, tmp_path):
    texts = ["😀🏳️‍🌈 👩‍👩‍👧", *random_texts(4_000, seed=66)]
    assert different(make(), "alpaca", tmp_path, texts, at_least=1_000) == []


def test_scores_that_do_not_follow_the_merges_are_caught(tmp_path):
    real = gguf_tokenizer._merges
    with patch.object(gguf_tokenizer, "_merges", lambda description: real(description)[::-1]):
        assert different(sentencepiece_tokenizer("prepend"), "alpaca", tmp_path)


def test_an_opening_space_that_is_left_out_is_caught(tmp_path):
    with patch.object(gguf_tokenizer, "_has_space", lambda *_: False):
        assert different(sentencepiece_tokenizer("prepend"), "alpaca", tmp_path)


def test_a_byte_level_tokenizer_is_known_by_its_cuts():
    description = json.loads(chatml_tokenizer().backend_tokenizer.to_str())
    assert pre_tokenizer_name(description) == "gpt-2"
    description["pre_tokenizer"]["add_prefix_space"] = True
    assert pre_tokenizer_name(description) is None


def test_sentencepiece_that_cuts_at_spaces_is_not_known():
    tokenizer = sentencepiece_tokenizer("first")
    assert is_known(tokenizer)
    tokenizer.backend_tokenizer.pre_tokenizer.split = True
    assert not is_known(tokenizer)
