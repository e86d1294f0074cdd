"""What a GGUF file says beside its weights: shape, tokenizer and template, from another GGUF file or from a folder."""

from typing import Any

import gguf
from gguf import GGUFValueType

from tutelage.data.rows.conversations import single_exchange_of
from tutelage.errors import ModelError
from tutelage.export.gguf_tokenizer import write_tokenizer
from tutelage.export.style import Style
from tutelage.model.end_tokens import end_tokens, ends_by_text
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
    "tokenizer.ggml.eom_token_id",
}


def write_metadata(
    writer: gguf.GGUFWriter, architecture: str, config: Any, source: ModelSource, style: Style
) -> None:
    """Write everything but the tensors and their types."""
    if source.gguf is not None:
        copy_metadata(writer, gguf.GGUFReader(source.gguf), source, style)
        return
    _write_run(writer, source, style, end_of_text=style.tokenizer.eos_token_id)
    if source.license:
        writer.add_license(source.license)
    _write_shape(writer, architecture, config, context_length(source.folder))
    opening = style.renderer.prompt_text(single_exchange_of(0, "a", "", ""))
    write_tokenizer(writer, style.tokenizer, config.vocab_size, opening)


def copy_metadata(writer: gguf.GGUFWriter, other: gguf.GGUFReader, source: ModelSource, style: Style) -> None:
    """Write what another file of the same model says, but the run's own template and end of turn."""
    end_of_text = other.get_field(gguf.Keys.Tokenizer.EOS_ID)
    named = None if end_of_text is None else int(end_of_text.contents())
    _write_run(writer, source, style, end_of_text=named)
    for key, field in other.fields.items():
        if key in REPLACED or key.startswith("GGUF."):
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), kind, inner)


def _write_run(
    writer: gguf.GGUFWriter, source: ModelSource, style: Style, *, end_of_text: int | None
) -> None:
    writer.add_name(f"{source.name} tuned")
    writer.add_chat_template(style.jinja)
    # Where it differs from the end of text, llama.cpp has to stop at this one too.
    writer.add_eot_token_id(style.end_of_turn_id)
    for number in other_end_tokens(source, style, end_of_text=end_of_text):
        writer.add_eom_token_id(number)


def other_end_tokens(source: ModelSource, style: Style, *, end_of_text: int | None) -> list[int]:
    """Return the end tokens that a file has to name beside the end of turn and that of text: one, or none.

    ModelError where there are more, for llama.cpp has no place for them and would run on past them.
    """
    known = {end_of_text, style.end_of_turn_id, *ends_by_text(style.tokenizer).values()}
    further = sorted(end_tokens(source.folder, style.tokenizer, style.end_of_turn_id) - known)
    if len(further) > 1:
        tokens = ", ".join(f"`{style.tokenizer.convert_ids_to_tokens(number)}`" for number in further)
        raise ModelError(
            "export.too_many_end_tokens",
            f"This model also ends its answers at {tokens}, but a GGUF file can name only one of these."
            " Export with --to hf; or remove those that it never generates from eos_token_id in the base"
            " model's generation_config.json and config.json, and train again.",
        )
    return further


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
