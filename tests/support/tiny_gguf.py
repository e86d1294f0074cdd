"""A complete small model as a GGUF file, made by code: random weights and a byte-level vocabulary."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter, TokenType
from support.texts import odd_texts
from tokenizers import Tokenizer, pre_tokenizers, trainers
from tokenizers.models import BPE

LAYERS, HIDDEN, HEADS, KV_HEADS, HEAD, MLP, CONTEXT = 2, 64, 4, 2, 16, 96, 512
SPECIAL = {
    "<|im_start|>": TokenType.CONTROL,
    "<|im_end|>": TokenType.CONTROL,
    "<think>": TokenType.USER_DEFINED,
}
# A word that no sequence of merges reaches: only llama-bpe takes it whole.
UNREACHABLE = "Ġunreachable"
# Bytes without a token, as SmolLM2's vocabulary has some.
MISSING = "\x04\x16\x1d"


def write_tiny_gguf(
    path: Path, *, architecture: str = "llama", pre: str | None = "smollm", **extra: Any
) -> Path:
    """Write the model to `path`; `extra` are methods of GGUFWriter with the value that each is given."""
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(MLP)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(HEAD)
    _add_tokenizer(writer, pre)
    for key, value in extra.items():
        getattr(writer, key)(value)
    for name, tensor in _tensors(architecture).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: GGUFWriter, pre: str | None) -> None:
    tokens, merges = _vocabulary()
    writer.add_tokenizer_model("gpt2")
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([SPECIAL.get(token, TokenType.NORMAL) for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_chat_template("{{ messages[0]['content'] }}")


@cache
def _vocabulary() -> tuple[list[str], list[str]]:
    """Tokens and merges learned across the bounds of words, so that each cut of a pre-tokenizer shows."""
    learner = Tokenizer(BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    untaught = re.compile("|".join(map(re.escape, [*MISSING, *SPECIAL, " unreachable"])))
    texts = [untaught.sub("", text) for text in odd_texts()]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    learner.train_from_iterator(texts * 2, trainers.BpeTrainer(vocab_size=2500, initial_alphabet=alphabet))
    merges = [" ".join(pair) for pair in _model(learner)["merges"]]
    missing = {_spelled(character) for character in MISSING}
    learned = sorted(_model(learner)["vocab"], key=_model(learner)["vocab"].get)
    return [*SPECIAL, *(token for token in learned if token not in missing), UNREACHABLE], merges


def _model(learner: Tokenizer) -> dict[str, Any]:
    return json.loads(learner.to_str())["model"]


def _spelled(character: str) -> str:
    speller = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return speller.pre_tokenize_str(character)[0][0]


def vocabulary_size() -> int:
    return len(_vocabulary()[0])


def _tensors(architecture: str) -> dict[str, np.ndarray]:
    dice = np.random.default_rng(5)

    def weights(*shape: int) -> np.ndarray:
        return (dice.standard_normal(shape) * 0.3).astype(np.float32)

    shapes = {
        "attn_norm.weight": (HIDDEN,),
        "attn_q.weight": (HEADS * HEAD, HIDDEN),
        "attn_k.weight": (KV_HEADS * HEAD, HIDDEN),
        "attn_v.weight": (KV_HEADS * HEAD, HIDDEN),
        "attn_output.weight": (HIDDEN, HEADS * HEAD),
        "ffn_norm.weight": (HIDDEN,),
        "ffn_gate.weight": (MLP, HIDDEN),
        "ffn_up.weight": (MLP, HIDDEN),
        "ffn_down.weight": (HIDDEN, MLP),
    }
    if architecture == "qwen2":
        shapes |= {
            "attn_q.bias": (HEADS * HEAD,),
            "attn_k.bias": (KV_HEADS * HEAD,),
            "attn_v.bias": (KV_HEADS * HEAD,),
        }
    layers = {
        f"blk.{layer}.{name}": weights(*shape) for layer in range(LAYERS) for name, shape in shapes.items()
    }
    return {
        "token_embd.weight": weights(vocabulary_size(), HIDDEN),
        **layers,
        "output_norm.weight": weights(HIDDEN),
    }
