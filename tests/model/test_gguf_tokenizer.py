"""Token ids of converted GGUF files, against llama.cpp."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from gguf import GGUFWriter
from support.llama_cpp import llama_cpp
from support.texts import odd_texts
from support.tiny_gguf import CONTEXT, vocabulary_size, write_tiny_gguf
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tutelage.errors import ModelError
from tutelage.model.gguf_conversion import PRE_TOKENIZERS, convert_gguf
from tutelage.model.loading import load_tokenizer

TEXTS = odd_texts()


def ids_of(tokenizer, text, *, add_special_tokens=False):
    return tokenizer(text, add_special_tokens=add_special_tokens, split_special_tokens=True)["input_ids"]


def differing(tokenizer, reference, texts: Iterable[str] = TEXTS, *, special=False) -> list[str]:
    return [
        text
        for text in texts
        if ids_of(tokenizer, text, add_special_tokens=special)
        != reference.tokenize(text, add_special=special)
    ]


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """Convert a tiny GGUF file with the given `pre` once; returns the file and the folder."""
    made: dict[str, tuple[Path, Path]] = {}

    def convert(pre: str) -> tuple[Path, Path]:
        if pre not in made:
            folder = tmp_path_factory.mktemp(pre)
            gguf = write_tiny_gguf(folder / "tiny.gguf", pre=pre)
            convert_gguf(gguf, folder)
            made[pre] = gguf, folder
        return made[pre]

    return convert


def test_there_are_at_least_300_texts():
    assert len(set(TEXTS)) >= 300


def test_the_default_model_has_the_ids_of_llama_cpp(default_model):
    with llama_cpp(default_model.gguf) as reference:
        assert differing(load_tokenizer(default_model.folder), reference) == []
        assert differing(AutoTokenizer.from_pretrained(default_model.folder), reference) == []


def test_the_tokenizer_that_transformers_builds_from_the_default_model_is_caught(default_model, tmp_path):
    # Alone in its folder: a tokenizer.json beside it would be read instead.
    (tmp_path / "alone.gguf").symlink_to(default_model.gguf)
    broken = PreTrainedTokenizerFast.from_pretrained(tmp_path, gguf_file="alone.gguf")
    with llama_cpp(default_model.gguf) as reference:
        caught = differing(broken, reference)
    assert "\n\n1. First\n\n2. Second" in caught
    assert len(caught) > 20


@pytest.mark.parametrize("pre", PRE_TOKENIZERS)
def test_every_supported_pre_tokenizer_has_the_ids_of_llama_cpp(converted, pre):
    gguf, folder = converted(pre)
    with llama_cpp(gguf) as reference:
        assert differing(load_tokenizer(folder), reference) == []
        assert differing(load_tokenizer(folder), reference, TEXTS[:50], special=True) == []
        for other in PRE_TOKENIZERS.keys() - {pre}:
            _, wrong_folder = converted(other)
            assert differing(load_tokenizer(wrong_folder), reference), f"{other} passes for {pre}"


@pytest.mark.parametrize(("says", "adds"), [(None, True), (True, True), (False, False)])
def test_bos_is_added_as_the_file_says_and_by_default_for_llama_bpe(tmp_path, says, adds):
    extra = {} if says is None else {"add_add_bos_token": says}
    gguf = write_tiny_gguf(tmp_path / "tiny.gguf", pre="llama-bpe", **extra)
    convert_gguf(gguf, tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    assert (ids_of(tokenizer, "Hello", add_special_tokens=True)[0] == tokenizer.bos_token_id) is adds
    with llama_cpp(gguf) as reference:
        assert differing(tokenizer, reference, TEXTS[:50], special=True) == []


def test_the_saved_tokenizer_is_complete(converted):
    _, folder = converted("smollm")
    tokenizer = load_tokenizer(folder)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (0, 1, None)
    assert len(tokenizer) == vocabulary_size()
    assert tokenizer.model_max_length == CONTEXT
    assert tokenizer.clean_up_tokenization_spaces is False
    assert tokenizer.chat_template == "{{ messages[0]['content'] }}"
    added = tokenizer.backend_tokenizer.get_added_tokens_decoder()
    assert {token.content: token.special for token in added.values()} == {
        "<|im_start|>": True,
        "<|im_end|>": True,
        "<think>": False,
    }
    assert tokenizer.decode(tokenizer("a <|im_end|>b")["input_ids"], skip_special_tokens=True) == "a b"
    generation = json.loads((folder / "generation_config.json").read_text())
    assert generation.keys() & {"do_sample", "temperature", "top_p", "top_k", "max_length"} == set()


def test_the_default_tokenizer_knows_its_control_tokens(default_model):
    tokenizer = load_tokenizer(default_model.folder)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)
    assert (len(tokenizer), tokenizer.model_max_length) == (49_152, 8_192)
    assert tokenizer("<|im_start|>user\n")["input_ids"][0] == 1
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "1"}]
    rendered = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert rendered == (
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\n1<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("pre", ["deepseek-llm", None])
def test_an_unknown_pre_tokenizer_is_refused_by_name(tmp_path, pre):
    gguf = write_tiny_gguf(tmp_path / "tiny.gguf", pre=pre)
    with pytest.raises(
        ModelError, match=f"tokenizer.ggml.pre = {pre!r}; supported: gpt-2, smollm, llama-bpe, qwen2"
    ):
        convert_gguf(gguf, tmp_path)


@pytest.mark.parametrize("left_out", ["token_types", "token_merges", "eos_token_id"])
def test_a_file_that_lacks_a_part_of_its_tokenizer_is_refused_by_name(tmp_path, monkeypatch, left_out):
    monkeypatch.setattr(GGUFWriter, f"add_{left_out}", lambda self, value: None)
    gguf = write_tiny_gguf(tmp_path / "tiny.gguf")
    with pytest.raises(ModelError, match=r"lacks tokenizer\.ggml\."):
        convert_gguf(gguf, tmp_path)


def test_a_vocabulary_that_lists_a_token_twice_is_refused(tmp_path, monkeypatch):
    listed = GGUFWriter.add_token_list
    monkeypatch.setattr(
        GGUFWriter, "add_token_list", lambda self, tokens: listed(self, [*tokens[:-1], tokens[5]])
    )
    gguf = write_tiny_gguf(tmp_path / "tiny.gguf")
    with pytest.raises(ModelError, match="a token is listed twice"):
        convert_gguf(gguf, tmp_path)
