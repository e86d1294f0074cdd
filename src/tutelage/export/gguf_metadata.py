"""What a GGUF file says beside its weights: shape, tokenizer and template, from the base's own file or its folder."""

import json
from typing import Any

import gguf
from gguf import GGUFValueType, TokenType

from tutelage.data.encoding import adds_begin_of_text
from tutelage.errors import ModelError
from tutelage.export.style import Style
from tutelage.model.gguf_conversion import PRE_TOKENIZERS
from tutelage.model.loading import context_length
from tutelage.model.sources import ModelSource

# What is written anew, or is not true of a tuned model.
REPLACED = {
    "general.architecture",
    "general.name",
    "general.file_type",
    "general.quantization_version",
    "tokenizer.chat_template",
    "tokenizer.ggml.eot_token_id",
}


def write_metadata(
    writer: gguf.GGUFWriter, architecture: str, config: Any, source: ModelSource, style: Style
) -> None:
    """Write everything but the tensors and their types."""
    writer.add_name(f"{source.name} tuned")
    writer.add_chat_template(style.jinja)
    # Where it differs from the end of text, llama.cpp has to stop at this one too.
    writer.add_eot_token_id(style.end_of_turn_id)
    if source.gguf is not None:
        _copy(writer, gguf.GGUFReader(source.gguf))
        return
    if source.licence:
        writer.add_license(source.licence)
    _write_shape(writer, architecture, config, context_length(source.folder))
    _write_tokenizer(writer, style.tokenizer, config.vocab_size)


def _copy(writer: gguf.GGUFWriter, base: gguf.GGUFReader) -> None:
    for key, field in base.fields.items():
        if key in REPLACED or key.startswith("GGUF."):
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), kind, inner)


def _write_shape(writer: gguf.GGUFWriter, architecture: str, config: Any, context: int) -> None:
    heads, hidden = config.num_attention_heads, config.hidden_size
    writer.add_context_length(context)
    writer.add_embedding_length(hidden)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(heads)
    writer.add_vocab_size(config.vocab_size)
    if architecture == "gpt2":
        writer.add_feed_forward_length(config.n_inner or 4 * hidden)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    head_size = getattr(config, "head_dim", None) or hidden // heads
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(head_size)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])


def _write_tokenizer(writer: gguf.GGUFWriter, tokenizer: Any, vocabulary: int) -> None:
    description = json.loads(tokenizer.backend_tokenizer.to_str())
    pre = pre_tokenizer_name(description)
    tokens = {number: token for token, number in tokenizer.get_vocab().items()}
    added = tokenizer.added_tokens_decoder
    names, kinds = [], []
    for number in range(vocabulary):
        known = added.get(number)
        names.append(tokens.get(number, f"[PAD{number}]"))
        if number not in tokens:
            kinds.append(TokenType.UNUSED)
        elif known is None:
            kinds.append(TokenType.NORMAL)
        else:
            kinds.append(TokenType.CONTROL if known.special else TokenType.USER_DEFINED)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(names)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(merge) for merge in _merges(description)])
    for add, number in (
        (writer.add_bos_token_id, tokenizer.bos_token_id),
        (writer.add_eos_token_id, tokenizer.eos_token_id),
        (writer.add_unk_token_id, tokenizer.unk_token_id),
        (writer.add_pad_token_id, tokenizer.pad_token_id),
    ):
        if number is not None:
            add(number)
    writer.add_add_bos_token(adds_begin_of_text(tokenizer))


def _merges(description: dict[str, Any]) -> list[list[str]]:
    return [merge.split(" ") if isinstance(merge, str) else merge for merge in description["model"]["merges"]]


def pre_tokenizer_name(description: dict[str, Any]) -> str:
    """Return llama.cpp's name for how a tokenizer.json cuts texts; ModelError where it has none that is known here."""
    if description["model"]["type"] == "BPE" and not description["model"].get("byte_fallback"):
        wanted = _steps(description["pre_tokenizer"])
        ignores_merges = bool(description["model"].get("ignore_merges"))
        for name, steps in PRE_TOKENIZERS.items():
            known = [json.loads(step.__getstate__()) for step in steps]
            if _steps({"type": "Sequence", "pretokenizers": known}) == wanted and (
                ignores_merges == (name == "llama-bpe")
            ):
                return name
    raise ModelError(
        "The way this model's tokenizer cuts texts has no name that llama.cpp is known here to share"
        f" (known: {', '.join(PRE_TOKENIZERS)}). Export with --to hf, and convert that folder with llama.cpp's own"
        " convert_hf_to_gguf.py."
    )


def _steps(pre_tokenizer: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the steps of a pre-tokenizer without what has no effect on ids."""
    if pre_tokenizer is None:
        return []
    steps = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    return [{key: value for key, value in step.items() if key != "trim_offsets"} for step in steps]
