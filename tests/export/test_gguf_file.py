"""A model of each family, written as GGUF by us and run by llama.cpp, says what transformers says."""

from unittest.mock import patch

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFReader
from support.tiny_tokenizer import chatml_tokenizer
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from tutelage.export import gguf_file
from tutelage.export.gguf_file import QUANTIZATIONS, write_gguf
from tutelage.export.style import make_style
from tutelage.generation.llama_cpp import load_gguf
from tutelage.model.sources import ModelSource

SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
FAMILIES = {
    "llama": lambda size: LlamaConfig(vocab_size=size, tie_word_embeddings=False, **SHAPE),
    "llama with scaled positions": lambda size: LlamaConfig(
        vocab_size=size, rope_parameters=LLAMA3_ROPE, tie_word_embeddings=True, **SHAPE
    ),
    "llama with biases": lambda size: LlamaConfig(vocab_size=size, attention_bias=True, **SHAPE),
    "mistral": lambda size: MistralConfig(vocab_size=size, sliding_window=None, head_dim=16, **SHAPE),
    "qwen2": lambda size: Qwen2Config(vocab_size=size, tie_word_embeddings=True, **SHAPE),
    "qwen3": lambda size: Qwen3Config(vocab_size=size, head_dim=16, **SHAPE),
    "gpt2": lambda size: GPT2Config(vocab_size=size, n_embd=64, n_layer=2, n_head=4, n_positions=256),
}
PROMPT = "Rewrite the sentence 12.\n\n### Input: 你好"


@pytest.fixture(scope="module")
def tokenizer():
    return chatml_tokenizer()


def tiny(family, tokenizer, folder):
    """Make a model with weights large enough that every token depends clearly on all before it."""
    config = FAMILIES[family](len(tokenizer))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
        for weight in module.parameters():
            weight.data = weight.data + (0.2 if weight.ndim < 2 else 0.15) * torch.randn_like(weight)
    module.config.save_pretrained(folder)
    return module, ModelSource(folder, family, "0" * 64, None)


def own_log_probs(module, ids):
    with torch.no_grad():
        return module(torch.tensor([ids])).logits[0, -1].log_softmax(-1).numpy()


def largest_difference(path, module, tokenizer):
    ids = tokenizer.encode(PROMPT)
    size = module.config.vocab_size
    pytest.importorskip("xllamacpp", reason="xllamacpp (llama.cpp) has no build here", exc_type=ImportError)
    model = load_gguf(path, context=64)
    assert model.tokenize(PROMPT) == ids
    [found] = model.next_token_log_probs([ids], size, shown_token=tokenizer.encode("a")[0])
    return np.abs(own_log_probs(module, ids) - found).max()


def write(tmp_path, module, source, tokenizer, quantization="f32"):
    path = tmp_path / "model.gguf"
    write_gguf(path, module, source, make_style(tokenizer, "alpaca"), quantization)
    return path


@pytest.mark.parametrize("family", FAMILIES)
def test_llama_cpp_computes_what_transformers_computes(family, tokenizer, tmp_path):
    module, source = tiny(family, tokenizer, tmp_path)
    path = write(tmp_path, module, source, tokenizer)
    assert largest_difference(path, module, tokenizer) < 2e-3


def test_heads_whose_halves_are_not_interleaved_are_caught(tokenizer, tmp_path):
    module, source = tiny("llama", tokenizer, tmp_path)
    with patch.object(gguf_file, "interleave_halves", lambda weight, heads: weight):
        path = write(tmp_path, module, source, tokenizer)
    assert largest_difference(path, module, tokenizer) > 0.05


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_matrices_are_stored_as_asked_and_vectors_exactly(quantization, tokenizer, tmp_path):
    module, source = tiny("qwen2", tokenizer, tmp_path)
    reader = GGUFReader(write(tmp_path, module, source, tokenizer, quantization))
    types = {tensor.name: tensor.tensor_type for tensor in reader.tensors}
    assert types["blk.0.ffn_down.weight"] == QUANTIZATIONS[quantization][0]
    assert {types[name] for name in types if "norm" in name or "bias" in name} == {GGMLQuantizationType.F32}
    norm = next(tensor for tensor in reader.tensors if tensor.name == "output_norm.weight")
    assert np.array_equal(norm.data, module.model.norm.weight.detach().numpy())
    assert "output.weight" not in types, "a tied head stands in the file once"


def test_a_file_says_the_runs_template_and_its_end_of_turn(tokenizer, tmp_path):
    module, source = tiny("llama", tokenizer, tmp_path)
    reader = GGUFReader(write(tmp_path, module, source, tokenizer))
    style = make_style(tokenizer, "alpaca")
    assert reader.get_field("tokenizer.chat_template").contents() == style.jinja
    assert reader.get_field("tokenizer.ggml.eot_token_id").contents() == style.end_of_turn_id
