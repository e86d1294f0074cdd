"""Headers of GGUF files that lie about the model are refused at once, before a library builds what they describe."""

import struct
import time

import numpy as np
import pytest
from gguf import GGUFReader, GGUFWriter
from support.tiny_gguf import write_tiny_gguf

from tutelage.errors import ModelError
from tutelage.model.gguf_bounds import check_gguf_bounds
from tutelage.model.gguf_conversion import convert_gguf

SECONDS = 1.0


@pytest.fixture(scope="module")
def gguf(tmp_path_factory):
    return write_tiny_gguf(tmp_path_factory.mktemp("gguf") / "whole.gguf")


def place_of(path, key):
    reader = GGUFReader(path)
    part = reader.fields[key].parts[-1]
    return part.ctypes.data - reader.data.ctypes.data, part.dtype


def lying(path, place, content, tmp_path):
    changed = bytearray(path.read_bytes())
    changed[place : place + len(content)] = content
    (tmp_path / "lying.gguf").write_bytes(changed)
    return tmp_path / "lying.gguf"


def check_refused(path, tmp_path):
    begin = time.perf_counter()
    with pytest.raises(ValueError, match="."):
        check_gguf_bounds(path)
    with pytest.raises(ModelError) as told:
        convert_gguf(path, tmp_path / "out")
    assert told.value.code == "model.gguf_conversion_failed"
    assert time.perf_counter() - begin < SECONDS


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_a_right_file_is_within_its_bounds(tmp_path, architecture):
    path = write_tiny_gguf(tmp_path / "whole.gguf", architecture=architecture)
    assert check_gguf_bounds(path) == sum(tensor.n_elements for tensor in GGUFReader(path).tensors)


@pytest.mark.parametrize("value", [0, 1, 3, 1_000_000, 2**31 - 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize(
    "key",
    [
        "block_count",
        "embedding_length",
        "feed_forward_length",
        "attention.head_count",
        "attention.head_count_kv",
        "rope.dimension_count",
        "context_length",
    ],
)
def test_a_number_that_is_not_that_of_the_tensors_is_refused_within_a_second(gguf, tmp_path, key, value):
    if (key == "context_length" and 0 < value < 2**31) or (key == "rope.dimension_count" and 0 < value < 16):
        return  # which nothing in the file contradicts
    place, _ = place_of(gguf, f"llama.{key}")
    check_refused(lying(gguf, place, struct.pack("<I", value), tmp_path), tmp_path)


def renamed(path, old, new, tmp_path):
    """Give a name of as many bytes to a key or a tensor: the last place that has the old one."""
    content = path.read_bytes()
    place = content.rindex(old)
    assert len(old) == len(new)
    return lying(path, place, new, tmp_path)


def test_a_key_that_stands_twice_is_refused(gguf, tmp_path):
    path = renamed(gguf, b"llama.attention.head_count_kv", b"llama.attention.head_count_kv", tmp_path)
    check_gguf_bounds(path)
    check_refused(renamed(gguf, b"llama.context_length", b"general.architecture", tmp_path), tmp_path)


def test_a_tensor_that_stands_twice_is_refused(gguf, tmp_path):
    check_refused(renamed(gguf, b"blk.1.attn_q.weight", b"blk.0.attn_q.weight", tmp_path), tmp_path)


def offsets(path):
    reader = GGUFReader(path)
    begin = reader.data.ctypes.data
    return [
        (tensor.field.parts[-1].ctypes.data - begin, int(tensor.field.parts[-1][0]))
        for tensor in reader.tensors
    ]


@pytest.mark.parametrize("shift", ["shared", "overlapping", "odd", "beyond", "huge"])
def test_tensors_that_share_bytes_or_leave_the_file_are_refused(gguf, tmp_path, shift):
    places = offsets(gguf)
    (_, first), (place, second) = places[1], places[2]
    lie = {
        "shared": first,
        "overlapping": second - 32,
        "odd": second + 1,
        "beyond": gguf.stat().st_size // 32 * 32,
        "huge": 2**64 - 32,
    }[shift]
    check_refused(lying(gguf, place, struct.pack("<Q", lie), tmp_path), tmp_path)


@pytest.mark.parametrize("count", [2**17, 2**31, 2**60, 2**64 - 1])
@pytest.mark.parametrize("place", [8, 16])
def test_counts_of_tensors_and_keys_that_no_model_has_are_refused(gguf, tmp_path, place, count):
    check_refused(lying(gguf, place, struct.pack("<Q", count), tmp_path), tmp_path)


def test_a_large_file_of_nothing_but_keys_is_refused_within_a_second(tmp_path):
    path = tmp_path / "keys.gguf"
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 0, 10**6))
        file.truncate(2**28)
    check_refused(path, tmp_path)


def test_fewer_tokens_than_the_embedding_has_rows_are_refused(tmp_path):
    path = tmp_path / "tokens.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_token_list(["a", "b"])
    writer.add_tensor("token_embd.weight", np.ones((3, 8), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ValueError, match=r"tokenizer\.ggml\.tokens"):
        check_gguf_bounds(path)
