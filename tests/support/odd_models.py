"""Small models of many families as they lie on a hub: two end tokens, a padded vocabulary, settings of their own."""

import json
from pathlib import Path
from typing import Any

import torch
from support.tiny_tokenizer import chatml_tokenizer
from tokenizers import normalizers, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    Olmo2Config,
    Phi3Config,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
    StableLmConfig,
)

from tutelage.model.gguf_conversion import PRE_TOKENIZERS

SECOND_END = "<|assistant|>"  # which no program knows as an end by its text
PADDING = 24  # token ids that the tokenizer has not
SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 20_000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
LONG = {
    "rope_type": "longrope",
    "rope_theta": 20_000.0,
    "short_factor": [1.0 + 0.1 * place for place in range(8)],
    "long_factor": [2.0 + 0.3 * place for place in range(8)],
}
PLAIN = {"rope_type": "default", "rope_theta": 100_000.0}
# Those that are written as GGUF here; the others need llama.cpp's converter, which knows tokenizers by a hash.
WRITTEN_HERE = ("llama", "llama with scaled positions", "mistral", "qwen2", "qwen3", "gpt2")
FAMILIES = {
    "llama": lambda size: LlamaConfig(vocab_size=size, rope_parameters=PLAIN, **SHAPE),
    "llama with scaled positions": lambda size: LlamaConfig(
        vocab_size=size, rope_parameters=LLAMA3, tie_word_embeddings=True, **SHAPE
    ),
    "mistral": lambda size: MistralConfig(
        vocab_size=size, rope_parameters=PLAIN, sliding_window=None, head_dim=16, **SHAPE
    ),
    "qwen2": lambda size: Qwen2Config(
        vocab_size=size, rope_parameters=PLAIN, tie_word_embeddings=True, **SHAPE
    ),
    "qwen3": lambda size: Qwen3Config(vocab_size=size, rope_parameters=PLAIN, head_dim=16, **SHAPE),
    "gpt2": lambda size: GPT2Config(
        vocab_size=size,
        n_embd=64,
        n_layer=2,
        n_head=4,
        n_positions=1024,
        task_specific_params={"text-generation": {"do_sample": True, "max_length": 50}},
    ),
    "olmo2": lambda size: Olmo2Config(vocab_size=size, rope_parameters=PLAIN, **SHAPE),
    "stablelm": lambda size: StableLmConfig(
        vocab_size=size, rope_parameters={**PLAIN, "partial_rotary_factor": 0.25}, **SHAPE
    ),
    "gpt_neox": lambda size: GPTNeoXConfig(
        vocab_size=size,
        rope_parameters={**PLAIN, "partial_rotary_factor": 0.5},
        **{name: value for name, value in SHAPE.items() if name != "num_key_value_heads"},
    ),
    "phi3 with long positions": lambda size: Phi3Config(
        vocab_size=size, rope_parameters=LONG, original_max_position_embeddings=512, **SHAPE
    ),
    "gemma3_text": lambda size: Gemma3TextConfig(
        vocab_size=size,
        head_dim=16,
        sliding_window=512,
        query_pre_attn_scalar=16,
        layer_types=["sliding_attention", "full_attention"],
        rope_parameters={
            "full_attention": PLAIN,
            "sliding_attention": {"rope_type": "default", "rope_theta": 5_000.0},
        },
        **SHAPE,
    ),
}
# What a config.json on a hub says of rotary positions, which was written by transformers 4.
PLAIN_OLDER = {"rope_theta": 100_000.0, "rope_scaling": None}
OLDER_ROPE = {
    **dict.fromkeys(FAMILIES, PLAIN_OLDER),
    "llama with scaled positions": {
        "rope_theta": 20_000.0,
        "rope_scaling": {name: value for name, value in LLAMA3.items() if name != "rope_theta"},
    },
    "gpt2": {},
    "stablelm": {**PLAIN_OLDER, "partial_rotary_factor": 0.25},
    "gpt_neox": {"rotary_emb_base": 100_000.0, "rotary_pct": 0.5, "rope_scaling": None},
    "phi3 with long positions": {
        "rope_theta": 20_000.0,
        "rope_scaling": {
            "type": "longrope",
            "short_factor": LONG["short_factor"],
            "long_factor": LONG["long_factor"],
        },
        "original_max_position_embeddings": 512,
    },
    "gemma3_text": {**PLAIN_OLDER, "rope_local_base_freq": 5_000.0},
}
SEEDS = {"gpt2": 9}  # with which it ends some of its answers, as the others do with 3
ODD_SETTINGS = {
    "do_sample": True,
    "temperature": 0.6,
    "top_k": 7,
    "top_p": 0.8,
    "min_p": 0.1,
    "repetition_penalty": 1.3,
    "no_repeat_ngram_size": 2,
    "max_length": 40,
    "suppress_tokens": [70, 71, 72],
    "num_return_sequences": 1,
}


def odd_tokenizer() -> Any:
    """Return the ChatML tokenizer with a second end token, and one control token more that ends nothing."""
    tokenizer = chatml_tokenizer()
    tokenizer.add_special_tokens({"extra_special_tokens": [SECOND_END, "<|tool|>"]})
    return tokenizer


def _like_qwen2(tokenizer: Any) -> None:
    """Cut texts as Qwen2 does, for AutoTokenizer of transformers 5 gives every qwen2 these cuts and this padding."""
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(PRE_TOKENIZERS["qwen2"])
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    tokenizer.pad_token = "<|endoftext|>"


def write_odd_model(folder: Path, family: str) -> Path:
    """Write a random model of a family whose generation config samples, punishes, and names two end tokens."""
    tokenizer = odd_tokenizer()
    if family == "qwen2":
        _like_qwen2(tokenizer)
    config: PreTrainedConfig = FAMILIES[family](len(tokenizer) + PADDING)
    for role in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(config, role, getattr(tokenizer, role))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEEDS.get(family, 3))
        module = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        for weight in module.parameters():
            # Large enough that every token depends clearly on all before it.
            weight.data = weight.data + (0.2 if weight.ndim < 2 else 0.15) * torch.randn_like(weight)
    module.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    told.pop("rope_parameters", None)
    (folder / "config.json").write_text(json.dumps(told | OLDER_ROPE[family]), encoding="utf-8")
    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(SECOND_END)]
    settings = {**ODD_SETTINGS, "bos_token_id": tokenizer.bos_token_id, "eos_token_id": ends}
    (folder / "generation_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
