"""Writes a model in memory as a GGUF file, with the names, orders and types of tensors that llama.cpp expects."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from gguf import LlamaFileType

from tutelage.errors import ModelError
from tutelage.export.gguf_metadata import copy_metadata, write_metadata
from tutelage.export.gguf_tokenizer import is_byte_level, is_known
from tutelage.export.style import Style
from tutelage.model.gguf_conversion import TENSORS as READABLE
from tutelage.model.sources import ModelSource
from tutelage.system.storage import storage_faults

# llama.cpp's name of each family that is written here, by the name that its config.json has.
ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gpt2": "gpt2"}

QUANTIZATIONS = {
    "f32": (Type.F32, LlamaFileType.ALL_F32),
    "f16": (Type.F16, LlamaFileType.MOSTLY_F16),
    "bf16": (Type.BF16, LlamaFileType.MOSTLY_BF16),
    "q8_0": (Type.Q8_0, LlamaFileType.MOSTLY_Q8_0),
    "q4_0": (Type.Q4_0, LlamaFileType.MOSTLY_Q4_0),
    "q4_1": (Type.Q4_1, LlamaFileType.MOSTLY_Q4_1),
    "q5_0": (Type.Q5_0, LlamaFileType.MOSTLY_Q5_0),
    "q5_1": (Type.Q5_1, LlamaFileType.MOSTLY_Q5_1),
}
UNQUANTIZED = (Type.F32, Type.F16, Type.BF16)
# What every token passes through costs most where it is coarse, so llama.cpp, too, keeps these finer.
FINER = ("token_embd.weight", "output.weight")
# Positions, and what chooses among experts or runs along a sequence: llama.cpp reads these in float32.
EXACT = ("position_embd.weight", "ffn_gate_inp.weight", "ssm_conv1d.weight", "shortconv.conv.weight")


def is_written_here(family: str, tokenizer: Any) -> bool:
    """Whether the names of a family's tensors and the cuts of its tokenizer are known here."""
    return family in ARCHITECTURES and is_known(tokenizer)


def is_read_back(family: str, tokenizer: Any) -> bool:
    """Whether transformers reads such a file as llama.cpp does, so that it can be verified without that."""
    return ARCHITECTURES.get(family) in READABLE and is_byte_level(tokenizer)


def write_gguf(path: Path, module: Any, source: ModelSource, style: Style, quantization: str) -> None:
    """Write a merged float32 model; ModelError where something of it cannot be said in a GGUF file."""
    architecture = ARCHITECTURES[module.config.model_type]
    writer = gguf.GGUFWriter(path, architecture)
    write_metadata(writer, architecture, module.config, source, style)
    _write(writer, path, named_tensors(module, architecture), quantization)


def rewrite_gguf(path: Path, converted: Path, source: ModelSource, style: Style, quantization: str) -> None:
    """Write a float32 GGUF file of a run's model anew, with the run's template and its weights stored as is asked."""
    reader = gguf.GGUFReader(converted)
    writer = gguf.GGUFWriter(path, _architecture_of(reader))
    copy_metadata(writer, reader, source, style)
    _write(writer, path, ((tensor.name, tensor.data) for tensor in reader.tensors), quantization)


def _architecture_of(reader: gguf.GGUFReader) -> str:
    field = reader.get_field(gguf.Keys.General.ARCHITECTURE)
    assert field is not None, "every GGUF file names its architecture"
    return field.contents()


def _write(
    writer: gguf.GGUFWriter, path: Path, tensors: Iterable[tuple[str, np.ndarray]], quantization: str
) -> None:
    kind, file_type = QUANTIZATIONS[quantization]
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for name, tensor in tensors:
        stored = _stored_type(name, tensor.shape, kind)
        writer.add_tensor(name, gguf.quantize(tensor, stored), raw_dtype=stored)
    with storage_faults(path):
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def named_tensors(module: Any, architecture: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield every weight in float32 under llama.cpp's name and in its order; ModelError where one has no name."""
    config = module.config
    names = gguf.get_tensor_name_map(_member(architecture), config.num_hidden_layers)
    tied = module.get_output_embeddings().weight is module.get_input_embeddings().weight
    for own, weight in module.state_dict().items():
        name = names.get_name(own, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ModelError(
                "export.unknown_tensor",
                f"llama.cpp has no name for the weight {own} of this model. Export with --to hf.",
            )
        if name == "output.weight" and tied:
            continue  # llama.cpp takes the input embeddings where there is no other head
        yield name, _in_order(name, weight.float(), config, architecture).contiguous().numpy()
    factors = _frequency_factors(module)
    if factors is not None:
        if architecture != "llama":
            raise ModelError(
                "export.rope_not_supported",
                f"Tutelage cannot write the scaled rotary embeddings of the family {config.model_type!r} as"
                " GGUF. Export with --to hf, and convert that folder with llama.cpp's convert_hf_to_gguf.py.",
            )
        yield "rope_freqs.weight", factors.numpy()


def _member(architecture: str) -> Any:
    return next(member for member, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)


def _in_order(name: str, weight: torch.Tensor, config: Any, architecture: str) -> torch.Tensor:
    part = name.split(".")[-2]
    if (
        architecture == "gpt2"
        and weight.ndim == 2
        and part in ("attn_qkv", "attn_output", "ffn_up", "ffn_down")
    ):
        return weight.T  # its Conv1D holds (in, out)
    if architecture == "llama" and part in ("attn_q", "attn_k"):
        heads = config.num_attention_heads if part == "attn_q" else config.num_key_value_heads
        return interleave_halves(weight, heads)
    return weight


def interleave_halves(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Return the rows of each head with its two halves alternating.

    transformers rotates a position's first half against its second, llama.cpp each even row against the next.
    """
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.transpose(1, 2).reshape(weight.shape)


def _frequency_factors(module: Any) -> torch.Tensor | None:
    """Return by what each rotary frequency is divided, (head size / 2,); None where they are plain."""
    rotary = getattr(module.base_model, "rotary_emb", None)
    if rotary is None:
        return None
    if rotary.attention_scaling != 1 or rotary.rope_type in ("dynamic", "longrope"):
        raise ModelError(
            "export.rope_not_supported",
            f"Tutelage cannot write rotary embeddings of the type {rotary.rope_type!r} as GGUF. Export with"
            " --to hf.",
        )
    used = rotary.inv_freq.float()  # (head size / 2,)
    theta = module.config.rope_parameters["rope_theta"]
    plain = theta ** -(torch.arange(len(used), dtype=torch.float32) / len(used))
    factors = plain / used
    return None if torch.allclose(factors, torch.ones_like(factors), atol=1e-5) else factors


def _stored_type(name: str, shape: tuple[int, ...], wanted: Type) -> Type:
    """Return the type of one tensor: vectors and positions stay exact, and rows that fill no block are halved only."""
    if len(shape) == 1 or name.endswith(EXACT):
        return Type.F32
    if wanted in UNQUANTIZED:
        return wanted
    finer = Type.Q8_0 if name in FINER else wanted
    block = gguf.GGML_QUANT_SIZES[finer][0]
    return finer if shape[-1] % block == 0 else Type.F16
