"""What Tutelage does not write as GGUF itself is left to llama.cpp's converter, or refused with what to install."""

from importlib.metadata import PackageNotFoundError

import pytest
from support.tiny_sentencepiece import sentencepiece_tokenizer
from support.tiny_tokenizer import chatml_tokenizer
from tokenizers import pre_tokenizers

from tutelage.errors import ModelError
from tutelage.export import converter
from tutelage.export.converter import convert, require_gguf_support
from tutelage.system.extras import install_command


@pytest.fixture
def nothing_installed(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(converter, "distribution", missing)


def cut_otherwise():
    tokenizer = chatml_tokenizer()
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return tokenizer


@pytest.mark.parametrize(
    ("family", "tokenizer", "told"),
    [
        ("phi", chatml_tokenizer(), "family 'phi'"),
        ("llama", cut_otherwise(), "The tokenizer of this model"),
    ],
)
def test_without_the_converter_what_only_it_writes_is_refused_and_it_is_named(
    family, tokenizer, told, nothing_installed
):
    with pytest.raises(ModelError, match=told) as refused:
        require_gguf_support(family, tokenizer)
    assert refused.value.code == "export.converter_not_installed"
    assert install_command("converter") in str(refused.value)


@pytest.mark.parametrize(
    ("family", "tokenizer"), [("qwen3", chatml_tokenizer()), ("mistral", sentencepiece_tokenizer("first"))]
)
def test_what_could_not_be_read_back_asks_for_llama_cpp_before_anything_long_begins(
    family, tokenizer, nothing_installed, monkeypatch
):
    monkeypatch.setattr(converter, "is_installed", lambda: True)
    require_gguf_support(family, tokenizer)
    monkeypatch.setattr(converter, "is_installed", lambda: False)
    with pytest.raises(ModelError) as refused:
        require_gguf_support(family, tokenizer)
    assert refused.value.code == "export.llama_cpp_not_installed"
    assert install_command("judges") in str(refused.value)
    require_gguf_support("llama", chatml_tokenizer())


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Stand for the converter by a script of a test's own."""
    path = tmp_path / "script.py"
    monkeypatch.setattr(converter, "_script", lambda: path)
    return path


def test_the_converter_is_given_the_folder_and_may_not_ask_a_hub(script, tmp_path):
    script.write_text(
        "import os, sys; open(sys.argv[3], 'w').write(' '.join([sys.argv[1], os.environ['HF_HUB_OFFLINE']]))"
    )
    convert(tmp_path / "model", tmp_path / "model.gguf")
    assert (tmp_path / "model.gguf").read_text() == f"{tmp_path / 'model'} 1"


def test_what_the_converter_says_last_is_told_where_it_fails(script, tmp_path):
    script.write_text("raise SystemExit('Model PecanForCausalLM is not supported')")
    with pytest.raises(ModelError, match="PecanForCausalLM is not supported.*--to hf"):
        convert(tmp_path, tmp_path / "model.gguf")
