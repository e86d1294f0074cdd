"""Check the counts, lengths, offsets and names in a GGUF file against its size and tensors before they are
used.

The gguf package trusts them: it reads an array that claims 2**60 numbers past the end of the file forever, and
builds a model of a million blocks. For the layout, see the specification, docs/gguf.md in ggml.
"""

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import BinaryIO

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType

_LARGEST_RANK = 4  # of a tensor, from the specification
# Far more than any model has; reading this many takes less than a second.
_MOST_FACTS, _MOST_TENSORS, _MOST_TEXTS = 2**12, 2**16, 2**20
_LONGEST_NAME = 2**16 - 1  # of a key, from the specification; tensor names are shorter
_DEFAULT_ALIGNMENT = 32
_LAYOUTS = {
    GGUFValueType.UINT8: "<B",
    GGUFValueType.INT8: "<b",
    GGUFValueType.BOOL: "<B",
    GGUFValueType.UINT16: "<H",
    GGUFValueType.INT16: "<h",
    GGUFValueType.UINT32: "<I",
    GGUFValueType.INT32: "<i",
    GGUFValueType.FLOAT32: "<f",
    GGUFValueType.UINT64: "<Q",
    GGUFValueType.INT64: "<q",
    GGUFValueType.FLOAT64: "<d",
}
_BLOCK = re.compile(r"blk\.(\d+)\.")


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]  # as in the file, fastest dimension first
    begin: int  # offset in the data after the header
    end: int


def check_gguf_bounds(gguf: Path) -> int:
    """Return the number of weights in the file; raise ValueError if its header is inconsistent."""
    size = gguf.stat().st_size
    with gguf.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ValueError("it does not start with GGUF")
        version = _number(file, "<I")
        if version not in (2, 3):
            raise ValueError(f"it has format version {version}, but only 2 and 3 are supported")
        tensors, facts = _number(file, "<Q"), _number(file, "<Q")
        _check_count("keys", facts, _MOST_FACTS)
        _check_count("tensors", tensors, _MOST_TENSORS)
        found = _read_facts(file, size, facts)
        held = [_read_tensor(file, size) for _ in range(_fitting(file, size, tensors, 1))]
        _require_unique("tensor", [tensor.name for tensor in held])
        alignment = found.get("general.alignment", _DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
            raise ValueError(f"its alignment is {alignment!r}")
        begin = file.tell() + -file.tell() % alignment
    _check_overlaps(held, begin, size, alignment)
    _check_shapes(found, {tensor.name: tensor.shape for tensor in held})
    return sum(prod(tensor.shape) for tensor in held)


def _number(file: BinaryIO, layout: str) -> int:
    content = file.read(struct.calcsize(layout))
    if len(content) < struct.calcsize(layout):
        raise ValueError("it is truncated")
    return struct.unpack(layout, content)[0]


def _fitting(file: BinaryIO, size: int, count: int, each: int) -> int:
    """Return `count`; raise ValueError if the rest of the file cannot hold that many items of at least `each`
    bytes.
    """
    if count * each > size - file.tell():
        raise ValueError(
            f"{count:,} entries should follow byte {file.tell():,}, but the file has {size:,} bytes"
        )
    return count


def _check_count(what: str, count: int, most: int) -> None:
    if count > most:
        raise ValueError(f"it claims {count:,} {what}, but no model has more than {most:,}")


def _require_unique(what: str, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"it has the {what} {name[:80]!r} twice")
        seen.add(name)


def _read_facts(file: BinaryIO, size: int, count: int) -> dict[str, object]:
    """Read the metadata as {key: number or text}; an array is represented by its length, in a list."""
    found: list[tuple[str, object]] = []
    for _ in range(count):
        name = _read_text(file, size, _LONGEST_NAME)
        found.append((name, _read_value(file, size, GGUFValueType(_number(file, "<I")))))
    _require_unique("key", [name for name, _ in found])
    return dict(found)


def _read_text(file: BinaryIO, size: int, longest: int) -> str:
    length = _fitting(file, size, _number(file, "<Q"), 1)
    _check_count("bytes in a name", length, longest)
    return file.read(length).decode("utf-8", "replace")


def _skip_text(file: BinaryIO, size: int) -> None:
    length = _number(file, "<Q")
    file.seek(_fitting(file, size, length, 1), 1)


def _read_value(file: BinaryIO, size: int, kind: GGUFValueType) -> object:
    if kind == GGUFValueType.STRING:
        place = file.tell()
        _skip_text(file, size)
        end = file.tell()
        if end - place > _LONGEST_NAME:
            return None  # a chat template; it is not compared with anything
        file.seek(place)
        return _read_text(file, size, _LONGEST_NAME)
    if kind != GGUFValueType.ARRAY:
        return _number(file, _LAYOUTS[kind])
    kind, count = GGUFValueType(_number(file, "<I")), _number(file, "<Q")
    if kind == GGUFValueType.ARRAY:
        raise ValueError("it has an array of arrays, which no supported model has")
    if kind == GGUFValueType.STRING:
        for _ in range(_fitting(file, size, count, 8)):
            _check_count("texts in an array", count, _MOST_TEXTS)
            _skip_text(file, size)
    else:
        each = struct.calcsize(_LAYOUTS[kind])
        file.seek(_fitting(file, size, count, each) * each, 1)
    return [count]


def _read_tensor(file: BinaryIO, size: int) -> _Tensor:
    name = _read_text(file, size, _LONGEST_NAME)
    rank = _number(file, "<I")
    if not 0 < rank <= _LARGEST_RANK:
        raise ValueError(f"the tensor {name[:80]!r} has {rank:,} dimensions")
    shape = tuple(_number(file, "<Q") for _ in range(rank))
    in_block, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(_number(file, "<I"))]
    if 0 in shape or shape[0] % in_block:
        raise ValueError(f"the tensor {name[:80]!r} has the shape {shape}, which its type cannot have")
    begin = _number(file, "<Q")
    return _Tensor(name, shape, begin, begin + prod(shape) // in_block * block_bytes)


def _check_overlaps(held: Sequence[_Tensor], begin: int, size: int, alignment: int) -> None:
    """Raise ValueError if a tensor exceeds the file, is misaligned, or overlaps another."""
    in_order = sorted(held, key=lambda tensor: (tensor.begin, tensor.end))
    for tensor in in_order:
        if begin + tensor.end > size:
            raise ValueError(
                f"the tensor {tensor.name[:80]!r} should end at byte {begin + tensor.end:,}, but the file"
                f" has {size:,}"
            )
        if tensor.begin % alignment:
            raise ValueError(f"the tensor {tensor.name[:80]!r} is not aligned to {alignment} bytes")
    for one, other in pairwise(in_order):
        if other.begin < one.end:
            raise ValueError(f"the tensors {one.name[:80]!r} and {other.name[:80]!r} share bytes")


def _check_shapes(facts: Mapping[str, object], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ValueError if the metadata does not match the tensors."""
    family = facts.get("general.architecture")

    def claimed(key: str) -> int | None:
        value = facts.get(f"{family}.{key}")
        if value is None or isinstance(value, list):  # a number per layer is left to the loader
            return None
        if not isinstance(value, int) or not 0 < value < 2**31:
            raise ValueError(f"{family}.{key} is {value!r}")
        return value

    for key in ("context_length", "vocab_size", "attention.key_length", "attention.value_length"):
        claimed(key)
    blocks = {int(match[1]) for name in shapes if (match := _BLOCK.match(name))}
    _require_equal(family, "block_count", claimed("block_count"), len(blocks) if blocks else None)
    if blocks and max(blocks) + 1 != len(blocks):
        raise ValueError(f"it has {len(blocks):,} blocks, but the last one has the number {max(blocks):,}")
    embedding = shapes.get("token_embd.weight")
    width, heads = claimed("embedding_length"), claimed("attention.head_count")
    _require_equal(family, "embedding_length", width, embedding[0] if embedding else None)
    inner = shapes.get("blk.0.ffn_up.weight")
    _require_equal(family, "feed_forward_length", claimed("feed_forward_length"), inner[1] if inner else None)
    tokens = facts.get("tokenizer.ggml.tokens")
    if embedding and isinstance(tokens, list):
        _require_equal("tokenizer.ggml", "tokens", tokens[0], embedding[1])
    key_heads = claimed("attention.head_count_kv")
    if heads and key_heads and heads % key_heads:
        raise ValueError(f"{heads:,} heads cannot share {key_heads:,} key heads")
    query, key = (shapes.get(f"blk.0.attn_{which}.weight") for which in ("q", "k"))
    head_size = claimed("attention.key_length")
    if head_size is None and width and heads:
        head_size, rest = divmod(width, heads)
        if rest or not head_size:
            raise ValueError(f"{width:,} dimensions cannot be divided among {heads:,} heads")
    if head_size and heads and query:
        _require_equal(family, "attention.head_count", heads * head_size, query[1])
    if head_size and heads and key:
        _require_equal(family, "attention.head_count_kv", (key_heads or heads) * head_size, key[1])
    rotated = claimed("rope.dimension_count")
    if rotated and head_size and rotated > head_size:
        raise ValueError(
            f"{family}.rope.dimension_count is {rotated:,}, but a head has {head_size:,} dimensions"
        )


def _require_equal(family: object, key: str, claimed: int | None, held: int | None) -> None:
    if claimed is not None and held is not None and claimed != held:
        raise ValueError(f"{family}.{key} is {claimed:,}, but its tensors have {held:,}")
