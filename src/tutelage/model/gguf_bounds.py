"""Holds every count, length and offset of a GGUF file against its size, before the gguf package reads it.

That package believes them: an array that says it has 2**60 numbers is read past the end of the file for ever.
The layout is that of the format's specification, docs/gguf.md of ggml.
"""

import struct
from pathlib import Path
from typing import BinaryIO

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType

_LARGEST_RANK = 4  # of a tensor, says the specification
_BYTES = {
    GGUFValueType.UINT8: 1,
    GGUFValueType.INT8: 1,
    GGUFValueType.BOOL: 1,
    GGUFValueType.UINT16: 2,
    GGUFValueType.INT16: 2,
    GGUFValueType.UINT32: 4,
    GGUFValueType.INT32: 4,
    GGUFValueType.FLOAT32: 4,
    GGUFValueType.UINT64: 8,
    GGUFValueType.INT64: 8,
    GGUFValueType.FLOAT64: 8,
}


def refuse_out_of_bounds(gguf: Path) -> int:
    """Return how many numbers the tensors of the file hold; ValueError where it promises more than it has bytes for."""
    size = gguf.stat().st_size
    with gguf.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ValueError("it does not begin with GGUF")
        version = _number(file, "<I")
        if version not in (2, 3):
            raise ValueError(f"it has version {version} of the format, and only 2 and 3 are read here")
        tensors, facts = _number(file, "<Q"), _number(file, "<Q")
        for _ in range(facts):
            _skip_text(file, size)
            _skip_value(file, size, GGUFValueType(_number(file, "<I")))
        held = [_tensor_numbers_and_bytes(file, size) for _ in range(_fitting(file, size, tensors, 1))]
        if sum(taken for _, taken in held) > size:
            raise ValueError("its tensors would take more bytes than the file has")
        return sum(numbers for numbers, _ in held)


def _number(file: BinaryIO, layout: str) -> int:
    content = file.read(struct.calcsize(layout))
    if len(content) < struct.calcsize(layout):
        raise ValueError("it is cut short")
    return struct.unpack(layout, content)[0]


def _fitting(file: BinaryIO, size: int, count: int, each: int) -> int:
    """Return the count where so many things of at least so many bytes can follow."""
    if count * each > size - file.tell():
        raise ValueError(
            f"{count:,} things should follow byte {file.tell():,}, and the file has {size:,} bytes"
        )
    return count


def _skip_text(file: BinaryIO, size: int) -> None:
    length = _number(file, "<Q")
    file.seek(_fitting(file, size, length, 1), 1)


def _skip_value(file: BinaryIO, size: int, kind: GGUFValueType) -> None:
    if kind == GGUFValueType.STRING:
        _skip_text(file, size)
        return
    count = 1
    if kind == GGUFValueType.ARRAY:
        kind, count = GGUFValueType(_number(file, "<I")), _number(file, "<Q")
    if kind == GGUFValueType.ARRAY:
        raise ValueError("it has an array of arrays, which no supported model has")
    if kind == GGUFValueType.STRING:
        for _ in range(_fitting(file, size, count, 8)):
            _skip_text(file, size)
    else:
        file.seek(_fitting(file, size, count, _BYTES[kind]) * _BYTES[kind], 1)


def _tensor_numbers_and_bytes(file: BinaryIO, size: int) -> tuple[int, int]:
    _skip_text(file, size)
    rank = _number(file, "<I")
    if rank > _LARGEST_RANK:
        raise ValueError(f"a tensor has {rank:,} dimensions")
    numbers = 1
    for _ in range(rank):
        numbers *= _number(file, "<Q")
    in_block, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(_number(file, "<I"))]
    offset, taken = _number(file, "<Q"), numbers // in_block * block_bytes
    if offset + taken > size:
        raise ValueError(f"a tensor should end at byte {offset + taken:,}, and the file has {size:,}")
    return numbers, taken
