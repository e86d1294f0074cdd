"""Convert a GGUF file to a Hugging Face folder with dequantized weights and the tokenizer of llama.cpp."""

import contextlib
import io
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader, TokenType
from safetensors import SafetensorError
from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GenerationConfig,
    GgufConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from tutelage.data.prompts.text_parts import GPT4_WORDS, QWEN2_WORDS
from tutelage.errors import ModelError, StorageError, TutelageError
from tutelage.model.config_compatibility import adapt_config, adapt_tokenizer
from tutelage.model.end_tokens import ends_by_text
from tutelage.model.folders import raise_if_short_of_memory
from tutelage.model.gguf_bounds import check_gguf_bounds
from tutelage.model.loading import quietly
from tutelage.system.platforms import link_file
from tutelage.system.storage import storage_faults

# The tensors that the loader reads, by architecture; it silently drops all others.
_LLAMA_TENSOR = (
    r"(token_embd|output|output_norm)\.weight"
    r"|blk\.\d+\.(attn_norm|attn_q|attn_k|attn_v|attn_output|ffn_norm|ffn_gate|ffn_up|ffn_down)\.weight"
)
TENSORS = {
    "llama": re.compile(_LLAMA_TENSOR),
    "qwen2": re.compile(_LLAMA_TENSOR + r"|blk\.\d+\.attn_[qkv]\.bias"),
}


def _words(expression: str) -> list[pre_tokenizers.PreTokenizer]:
    return [
        pre_tokenizers.Split(Regex(expression), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]


_GPT2_WORDS = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)

# The expressions come from the models' own tokenizer.json; llama.cpp uses these names for them.
PRE_TOKENIZERS: dict[str, list[pre_tokenizers.PreTokenizer]] = {
    "gpt-2": [_GPT2_WORDS],
    "smollm": [pre_tokenizers.Digits(individual_digits=True), _GPT2_WORDS],
    "llama-bpe": _words(GPT4_WORDS),
    "qwen2": _words(QWEN2_WORDS),
}
# Here llama.cpp takes a word that is a token without merging, and adds bos unless the file says not to.
WHOLE_WORDS_FIRST = {"llama-bpe"}
BOS_BY_DEFAULT = {"llama-bpe"}

_REMEDY = "Set model.name_or_path to the model's Hugging Face folder with safetensors instead."


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Write `gguf` to `folder` as float32 safetensors, config and tokenizer; raise ModelError if unsupported."""
    with _naming_damage(gguf):
        weights = check_gguf_bounds(gguf)
        metadata = GGUFReader(gguf)
        _require_known_metadata(metadata, gguf)
        tokenizer = _tokenizer(metadata)
        with _alone(gguf) as lone_folder:
            model = _dequantise(lone_folder, gguf, weights=weights)
        model.generation_config = _generation_config(metadata, tokenizer)
        _save(model, tokenizer, folder)


@contextlib.contextmanager
def _naming_damage(gguf: Path) -> Iterator[None]:
    try:
        yield
    except TutelageError:
        raise
    except Exception as fault:  # a damaged file can fail anywhere in the libraries that read it
        raise_if_short_of_memory(fault, f"{gguf} while it is converted")
        raise ModelError(
            "model.gguf_conversion_failed",
            f"{gguf} could not be converted: {type(fault).__name__}: {fault}. Download the file again if it"
            f" is damaged. {_REMEDY}",
        ) from fault


def _field(metadata: GGUFReader, key: str) -> Any:
    found = metadata.get_field(key)
    return None if found is None else found.contents()


def _require_known_metadata(metadata: GGUFReader, gguf: Path) -> None:
    architecture = _field(metadata, "general.architecture")
    _require_supported(gguf, "general.architecture", architecture, list(TENSORS))
    _require_supported(gguf, "tokenizer.ggml.model", _field(metadata, "tokenizer.ggml.model"), ["gpt2"])
    _require_supported(
        gguf, "tokenizer.ggml.pre", _field(metadata, "tokenizer.ggml.pre"), list(PRE_TOKENIZERS)
    )
    # Scaled rotary positions are stored in a tensor or in keys that the loader does not read.
    scaling = f"{architecture}.rope.scaling.type"
    _require_supported(gguf, scaling, _field(metadata, scaling) or "none", ["none"])
    for key in ("tokens", "token_type", "merges", "eos_token_id"):
        if _field(metadata, f"tokenizer.ggml.{key}") is None:
            raise ModelError(
                "model.gguf_metadata_missing",
                f"{gguf} lacks tokenizer.ggml.{key}, which the conversion needs. {_REMEDY}",
            )
    lost = [tensor.name for tensor in metadata.tensors if not TENSORS[architecture].fullmatch(tensor.name)]
    if lost:
        raise ModelError(
            "model.gguf_not_supported",
            f"{gguf} has tensors that the conversion would lose: {', '.join(lost[:5])}. {_REMEDY}",
        )


def _require_supported(gguf: Path, key: str, value: Any, supported: list[str]) -> None:
    if value not in supported:
        raise ModelError(
            "model.gguf_not_supported",
            f"{gguf} has {key} = {value!r}; supported: {', '.join(supported)}. {_REMEDY}",
        )


@contextlib.contextmanager
def _alone(gguf: Path) -> Iterator[str]:
    """Yield a folder that contains only `gguf`: a config.json or adapter beside it would be read instead."""
    with tempfile.TemporaryDirectory() as folder:
        link_file(Path(folder) / "model.gguf", gguf.resolve())
        yield folder


def _dequantise(folder: str, gguf: Path, *, weights: int) -> PreTrainedModel:
    with quietly():
        config = AutoConfig.from_pretrained(folder, gguf_file="model.gguf")
    _check_model_size(config, weights)
    # The conversion's progress bar ignores transformers' settings and writes to standard error.
    with quietly(), contextlib.redirect_stderr(io.StringIO()):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            gguf_file="model.gguf",
            config=config,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
            output_loading_info=True,
        )
    model, report = loaded
    if report["missing_keys"]:
        raise ModelError(
            "model.gguf_weights_missing",
            f"{gguf} lacks weights: {', '.join(sorted(report['missing_keys'])[:5])}. {_REMEDY}",
        )
    return model


def _check_model_size(config: Any, weights: int) -> None:
    """Raise ValueError if the metadata describes more weights than the file holds; the rest would be random."""
    # Every layer has more than one weight, so an excessive layer count is caught without building the model.
    described = config.num_hidden_layers
    if described <= weights:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
        described = sum(parameter.numel() for parameter in model.parameters())
    if described > weights:
        raise ValueError(f"its metadata describes at least {described:,} weights, but it holds {weights:,}")


def _tokenizer(metadata: GGUFReader) -> PreTrainedTokenizerFast:
    pre, tokens = _field(metadata, "tokenizer.ggml.pre"), _field(metadata, "tokenizer.ggml.tokens")
    add_bos = _field(metadata, "tokenizer.ggml.add_bos_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=_byte_level_tokenizer(metadata, pre, tokens),
        **_named_tokens(metadata, tokens),
        add_bos_token=pre in BOS_BY_DEFAULT if add_bos is None else add_bos,
        add_eos_token=bool(_field(metadata, "tokenizer.ggml.add_eos_token")),
        chat_template=_field(metadata, "tokenizer.chat_template"),
        model_max_length=_field(metadata, f"{_field(metadata, 'general.architecture')}.context_length"),
        clean_up_tokenization_spaces=False,
    )


def _byte_level_tokenizer(metadata: GGUFReader, pre: str, tokens: list[str]) -> Tokenizer:
    """Return a tokenizer that produces the same ids as llama.cpp.

    The one that transformers 5.23 builds from this file does not: it treats `smollm` as plain byte-level, so
    that "\\n\\n1." is split differently than in training, and it adds missing special tokens of GPT-2.
    """
    tokenizer = Tokenizer(
        BPE(
            vocab={token: token_id for token_id, token in enumerate(tokens)},
            merges=[_pair(merge) for merge in _field(metadata, "tokenizer.ggml.merges")],
            ignore_merges=pre in WHOLE_WORDS_FIRST,
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*PRE_TOKENIZERS[pre], *kept_apart(missing_bytes(tokens))]
    )
    tokenizer.decoder = decoders.ByteLevel()
    for token, kind in zip(tokens, _field(metadata, "tokenizer.ggml.token_type"), strict=True):
        if kind in (TokenType.CONTROL, TokenType.USER_DEFINED):
            added = AddedToken(token, normalized=False, special=kind == TokenType.CONTROL)
            tokenizer.add_special_tokens([added]) if added.special else tokenizer.add_tokens([added])
    if tokenizer.get_vocab_size() != len(tokens):
        raise ValueError("a token is listed twice, so its id is ambiguous")
    return tokenizer


def _pair(merge: str) -> tuple[str, str]:
    first, second = merge.split(" ")
    return first, second


def missing_bytes(tokens: Iterable[str]) -> str:
    """Return the bytes without a token in the vocabulary, in the byte-level alphabet."""
    return "".join(sorted(set(pre_tokenizers.ByteLevel.alphabet()) - set(tokens)))


def kept_apart(letters: str) -> list[pre_tokenizers.PreTokenizer]:
    """Split at bytes that have no token: llama.cpp drops them after merging, tokenizers would before merging."""
    return [pre_tokenizers.Split(Regex(f"[{letters}]"), behavior="isolated")] if letters else []


def _named_tokens(metadata: GGUFReader, tokens: list[str]) -> dict[str, str]:
    named = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
    ids = {name: _field(metadata, f"tokenizer.ggml.{key}_token_id") for name, key in named.items()}
    return {name: tokens[token_id] for name, token_id in ids.items() if token_id is not None}


def _generation_config(metadata: GGUFReader, tokenizer: PreTrainedTokenizerFast) -> GenerationConfig:
    """Return a generation config with every token that ends an answer in llama.cpp."""
    named = {_field(metadata, f"tokenizer.ggml.{role}_token_id") for role in ("eos", "eot", "eom")} - {None}
    ends = sorted(map(int, {*named, *ends_by_text(tokenizer).values()}))
    return GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=ends, pad_token_id=tokenizer.pad_token_id
    )


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    try:
        with quietly(), storage_faults(folder):
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            adapt_config(folder)
            adapt_tokenizer(folder)
    except SafetensorError as fault:
        raise StorageError(
            "storage.write_failed",
            f"Could not write {folder}: {fault}. Free some space there, then run the same command again.",
        ) from fault
