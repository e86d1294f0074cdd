"""Converted and loaded weights, against the gguf package and llama.cpp, and the faults of damaged folders."""

import json
import shutil
import subprocess
import sys
from logging import Handler

import numpy as np
import pytest
import torch
from gguf import GGUFReader, dequantize
from safetensors.torch import load_file, save_file
from support.llama_cpp import llama_cpp
from support.tiny_gguf import CONTEXT, HEAD, HEADS, vocabulary_size, write_tiny_gguf
from transformers import PreTrainedModel
from transformers.utils import logging

from tutelage.errors import ModelError
from tutelage.model.gguf_conversion import convert_gguf
from tutelage.model.loading import context_length, load_model, load_tokenizer
from tutelage.model.loading import vocabulary_size as vocabulary_size_of

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    convert_gguf(write_tiny_gguf(folder / "tiny.gguf"), folder)
    return folder


@pytest.fixture
def copy(tiny, tmp_path):
    return shutil.copytree(tiny, tmp_path / "copy")


def next_token_log_probs(model: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)  # (vocabulary,)


def largest_difference(folder, gguf) -> float:
    model = load_model(folder, dtype=torch.float32, device=CPU)
    with llama_cpp(gguf) as reference:
        ids = reference.tokenize("The order of the rotary positions shows in long enough texts: 12345.")
        expected = reference.next_token_log_probs(ids, vocabulary=vocabulary_size())
    found = next_token_log_probs(model, ids)
    assert len(expected) == len(found)
    return max(abs(found[token].item() - log_prob) for token, log_prob in expected.items())


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_a_converted_model_has_the_log_probabilities_of_llama_cpp(tmp_path, architecture):
    gguf = write_tiny_gguf(tmp_path / "tiny.gguf", architecture=architecture)
    convert_gguf(gguf, tmp_path)
    # llama.cpp keeps its cache in float16.
    assert largest_difference(tmp_path, gguf) < 0.01


def test_rows_of_q_left_in_the_order_of_gguf_are_caught(copy):
    weights = load_file(copy / "model.safetensors")
    for name in [name for name in weights if "q_proj" in name]:
        half_first = weights[name].reshape(HEADS, 2, HEAD // 2, -1)
        weights[name] = half_first.transpose(1, 2).reshape(weights[name].shape).contiguous()
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert largest_difference(copy, copy / "tiny.gguf") > 0.05


def test_the_default_weights_are_the_dequantised_tensors_of_the_file(default_model):
    tensors = {tensor.name: tensor for tensor in GGUFReader(default_model.gguf).tensors}
    weights = load_file(default_model.folder / "model.safetensors")
    assert len(weights) == len(tensors) == 272
    assert {weight.dtype for weight in weights.values()} == {torch.float32}

    def in_file(name: str) -> np.ndarray:
        return dequantize(tensors[name].data, tensors[name].tensor_type)

    def same(name: str, expected: np.ndarray) -> bool:
        return np.array_equal(weights[name].numpy(), expected)

    assert same("model.embed_tokens.weight", in_file("token_embd.weight"))
    assert same("model.norm.weight", in_file("output_norm.weight"))
    for layer in (0, 17, 29):
        theirs, ours = f"blk.{layer}.", f"model.layers.{layer}."
        assert same(ours + "self_attn.v_proj.weight", in_file(theirs + "attn_v.weight"))
        assert same(ours + "self_attn.o_proj.weight", in_file(theirs + "attn_output.weight"))
        assert same(ours + "mlp.down_proj.weight", in_file(theirs + "ffn_down.weight"))
        assert same(ours + "input_layernorm.weight", in_file(theirs + "attn_norm.weight"))
        assert same(
            ours + "self_attn.q_proj.weight", halves_first(in_file(theirs + "attn_q.weight"), heads=9)
        )
        assert same(
            ours + "self_attn.k_proj.weight", halves_first(in_file(theirs + "attn_k.weight"), heads=3)
        )


def halves_first(rows: np.ndarray, *, heads: int) -> np.ndarray:
    """Row 2j + h of a head in the file is row j of that head's half h in the Hugging Face layout."""
    size = len(rows) // heads
    order = [head * size + 2 * j + half for head in range(heads) for half in (0, 1) for j in range(size // 2)]
    return rows[order]


def test_a_model_is_loaded_as_asked_and_in_silence(tiny, capfd):
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    model = load_model(tiny, dtype=torch.bfloat16, device=CPU, attention="eager")
    load_tokenizer(tiny)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert model.config._attn_implementation == "eager"
    assert not model.training
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
    assert capfd.readouterr() == ("", "")


def test_converting_prints_nothing(tmp_path, capfd):
    convert_gguf(write_tiny_gguf(tmp_path / "tiny.gguf"), tmp_path)
    assert capfd.readouterr().err == ""


def test_a_text_longer_than_the_context_is_encoded_in_silence(tiny):
    tokenizer = load_tokenizer(tiny)
    tokenizer.model_max_length = 2
    said = []
    watcher = Handler()
    watcher.emit = said.append
    logger = logging.get_logger("transformers.tokenization_utils_base")
    logger.addHandler(watcher)
    try:
        assert len(tokenizer.encode("a text of several tokens")) > 2
    finally:
        logger.removeHandler(watcher)
    assert said == []


def test_the_size_of_the_vocabulary_comes_from_the_config(copy):
    assert vocabulary_size_of(copy) == vocabulary_size()
    (copy / "config.json").write_text('{"vocab_size": null}')
    with pytest.raises(ModelError, match=r"config\.json does not state the vocabulary size"):
        vocabulary_size_of(copy)


def test_the_tokenizer_file_wins_over_the_class_that_the_folder_names(copy):
    expected = load_tokenizer(copy)("Steps:\n\n1. Mix 250 g.")["input_ids"]
    config = json.loads((copy / "tokenizer_config.json").read_text())
    (copy / "tokenizer_config.json").write_text(json.dumps(config | {"tokenizer_class": "GPT2Tokenizer"}))
    assert load_tokenizer(copy)("Steps:\n\n1. Mix 250 g.")["input_ids"] == expected


def test_the_context_length_comes_from_the_config(copy):
    assert context_length(copy) == CONTEXT
    (copy / "config.json").write_text('{"n_positions": 77}')
    assert context_length(copy) == 77
    (copy / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="does not state the context length"):
        context_length(copy)


def test_a_model_that_lacks_a_weight_is_refused(copy):
    weights = load_file(copy / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights .*model\.layers\.1\.mlp\.up_proj\.weight"):
        load_model(copy, dtype=torch.float32, device=CPU)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_a_damaged_file_is_told_with_its_folder(copy, file):
    (copy / file).write_bytes((copy / file).read_bytes()[:40])
    with pytest.raises(ModelError, match=str(copy)):
        load_model(copy, dtype=torch.float32, device=CPU)


def test_a_damaged_tokenizer_is_told_with_its_folder(copy):
    (copy / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=r"The tokenizer in .* could not be loaded"):
        load_tokenizer(copy)
    (copy / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer\.json"):
        load_tokenizer(copy)


def test_a_model_of_an_unknown_family_is_refused(copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"model_type": "no-such-family"}))
    with pytest.raises(ModelError, match=r"The model in .* could not be loaded"):
        load_model(copy, dtype=torch.float32, device=CPU)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9, 0.999])
def test_a_cut_gguf_file_is_refused(tmp_path, share):
    gguf = write_tiny_gguf(tmp_path / "tiny.gguf")
    whole = gguf.read_bytes()
    gguf.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelError, match=r"tiny\.gguf"):
        convert_gguf(gguf, tmp_path)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"add_tensor_rope": None}, r"tensors that the conversion would lose: rope_freqs\.weight"),
        ({"add_rope_scaling_type": "yarn"}, r"llama\.rope\.scaling\.type = 'yarn'; supported: none"),
    ],
)
def test_scaled_rotary_positions_are_refused_since_the_conversion_would_lose_them(
    tmp_path, monkeypatch, extra, message
):
    monkeypatch.setattr(
        "gguf.GGUFWriter.add_tensor_rope",
        lambda self, _: self.add_tensor("rope_freqs.weight", np.ones(HEAD // 2, np.float32)),
        raising=False,
    )
    monkeypatch.setattr(
        "gguf.GGUFWriter.add_rope_scaling_type",
        lambda self, kind: self.add_string("llama.rope.scaling.type", kind),
        raising=False,
    )
    gguf = write_tiny_gguf(tmp_path / "tiny.gguf", **extra)
    with pytest.raises(ModelError, match=message):
        convert_gguf(gguf, tmp_path)


def test_an_unknown_architecture_is_refused_by_name(tmp_path):
    gguf = write_tiny_gguf(tmp_path / "tiny.gguf", architecture="mamba")
    with pytest.raises(ModelError, match=r"general\.architecture = 'mamba'; supported: llama, qwen2"):
        convert_gguf(gguf, tmp_path)


def test_neither_finding_nor_loading_imports_torch_before_it_is_needed():
    code = "import sys, tutelage.model.loading; print({'torch', 'transformers'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
