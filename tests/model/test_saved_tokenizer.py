"""The tokenizer that a run kept gives the ids and texts that transformers' own gives, or is not taken at all."""

import json
import random

import pytest
from support.tiny_tokenizer import TOKENIZERS, random_texts, whitespace_eating_tokenizer

from tutelage.config.recipe import DataSettings
from tutelage.data.dataset.fingerprints import fingerprints_of
from tutelage.data.prompts.encoding import control_tokens, encode_text
from tutelage.data.prompts.prompts import make_renderer
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.model.loading import load_tokenizer
from tutelage.model.saved_tokenizer import read_kept_tokenizer

KINDS = {**TOKENIZERS, "eats white space": whitespace_eating_tokenizer}
STYLES = ("chat", "alpaca", "alpaca-compact", "phi3")
TEXTS = random_texts(60, seed=3)
CONVERSATIONS = [
    Conversation(
        0,
        (
            ChatMessage("user", one),
            ChatMessage("assistant", two),
            ChatMessage("user", three),
            ChatMessage("assistant", ""),
        ),
    )
    for one, two, three in zip(TEXTS[::3], TEXTS[1::3], TEXTS[2::3], strict=True)
]


@pytest.fixture
def saved(tmp_path):
    def save(kind="chatml"):
        KINDS[kind]().save_pretrained(tmp_path)
        return tmp_path

    return save


def hashes(renderer, style):
    return fingerprints_of("", DataSettings(prompt_template=style), renderer, context_length=0, weights="")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", KINDS)
def test_prompts_are_those_of_transformers(saved, kind, style):
    folder = saved(kind)
    own, other = load_tokenizer(folder), read_kept_tokenizer(folder)
    assert other is not None
    expected, found = make_renderer(own, style), make_renderer(other, style)
    assert found.end_of_turn == expected.end_of_turn
    assert hashes(found, style) == hashes(expected, style)
    for conversation in CONVERSATIONS:
        assert found.prompt_ids(conversation) == expected.prompt_ids(conversation)
        assert found.prompt_text(conversation) == expected.prompt_text(conversation)


@pytest.mark.parametrize("kind", KINDS)
def test_control_tokens_plain_texts_and_decoded_answers_are_those_of_transformers(saved, kind):
    folder = saved(kind)
    own, other = load_tokenizer(folder), read_kept_tokenizer(folder)
    assert control_tokens(other) == control_tokens(own)
    assert other.special_tokens_map == own.special_tokens_map
    assert [encode_text(other, text) for text in TEXTS] == [encode_text(own, text) for text in TEXTS]
    assert [other.encode(text) for text in TEXTS] == [own.encode(text) for text in TEXTS]
    chance = random.Random(4)
    answers = [[chance.randrange(len(own)) for _ in range(20)] for _ in range(40)]
    for is_plain in (True, False):
        expected = [own.decode(ids, skip_special_tokens=is_plain) for ids in answers]
        assert [other.decode(ids, skip_special_tokens=is_plain) for ids in answers] == expected


def settings(**changed):
    def change(folder):
        path = folder / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changed))

    return change


def cut_short(folder):
    (folder / "tokenizer.json").write_text("{")


def without_tokenizer(folder):
    (folder / "tokenizer.json").unlink()


def another_template(folder):
    (folder / "additional_chat_templates").mkdir()


@pytest.mark.parametrize(
    "change",
    [
        cut_short,
        without_tokenizer,
        another_template,
        settings(image_token="<image>"),
        settings(extra_special_tokens=["<|more|>"]),
        settings(eos_token={"content": "<|im_end|>"}),
        settings(chat_template="{{ messages }}"),
    ],
)
def test_what_says_more_than_is_read_here_is_left_to_transformers(saved, change):
    folder = saved()
    change(folder)
    assert read_kept_tokenizer(folder) is None
