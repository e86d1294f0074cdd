"""Property 59: GGUF and safetensors files whose counts, lengths and offsets lie are told, and cost nothing."""

import json
import random
import shutil
import struct
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from gguf import GGUFReader, GGUFValueType, GGUFWriter
from safetensors import SafetensorError
from safetensors.torch import load_file
from support.systems import within
from support.tiny_tokenizer import write_tiny_model
from tokenizers import pre_tokenizers

from tutelage.errors import ModelError
from tutelage.model.folders import read_header
from tutelage.model.gguf_bounds import check_gguf_bounds
from tutelage.model.gguf_conversion import convert_gguf
from tutelage.model.loading import load_model
from tutelage.system.platforms import peak_memory_bytes

MORE_BYTES = 2**28  # what a file of some kilobytes may cost at most
LONGEST_SECONDS = 120
LIES = [
    0,
    1,
    2,
    3,
    7,
    8,
    255,
    2**15,
    2**16,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**60,
    2**63 - 1,
    2**63,
    2**64 - 1,
]


@contextmanager
def bounded():
    """Fail where the work takes much memory, or has no end."""
    before = peak_memory_bytes()
    with within(LONGEST_SECONDS):
        yield
    assert peak_memory_bytes() - before < MORE_BYTES


@pytest.fixture(scope="module")
def gguf(tmp_path_factory):
    """A model of one layer and 8 dimensions with the 256 bytes as its tokens: most of it is what can lie."""
    path = tmp_path_factory.mktemp("gguf") / "whole.gguf"
    writer = GGUFWriter(path, "llama")
    for add, value in [
        (writer.add_context_length, 64), (writer.add_embedding_length, 8), (writer.add_block_count, 1),
        (writer.add_feed_forward_length, 8), (writer.add_head_count, 2), (writer.add_head_count_kv, 1),
        (writer.add_layer_norm_rms_eps, 1e-5), (writer.add_rope_dimension_count, 4),
    ]:  # fmt: skip
        add(value)
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "ab"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(tokens))
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(0)
    shapes = {
        "token_embd": (len(tokens), 8), "output_norm": (8,), "blk.0.attn_norm": (8,), "blk.0.attn_q": (8, 8),
        "blk.0.attn_k": (4, 8), "blk.0.attn_v": (4, 8), "blk.0.attn_output": (8, 8), "blk.0.ffn_norm": (8,),
        "blk.0.ffn_gate": (8, 8), "blk.0.ffn_up": (8, 8), "blk.0.ffn_down": (8, 8),
    }  # fmt: skip
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", np.ones(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def numbers_in(gguf):
    """Where the counts, lengths, kinds, dimensions and offsets of that file stand, with their bytes."""
    reader = GGUFReader(gguf)
    begin = reader.data.ctypes.data
    places = [(4, 4), (8, 8), (16, 8)]
    for field in [*reader.fields.values(), *(tensor.field for tensor in reader.tensors)]:
        for part in field.parts[:400]:
            if part.dtype.itemsize in (4, 8):
                place = part.ctypes.data - begin
                places += [
                    (place + at, part.dtype.itemsize) for at in range(0, part.nbytes, part.dtype.itemsize)
                ]
    return sorted(set(places))


def lied_to(content, places, chance):
    """Return the content with one to three of its numbers replaced, or some bytes, or cut short."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        kind = chance.random()
        if kind < 0.7:
            place, width = chance.choice(places)
            lie = chance.choice(
                [*LIES, int.from_bytes(changed[place : place + width], "little") + chance.choice([-1, 1])]
            )
            changed[place : place + width] = (lie % 2 ** (8 * width)).to_bytes(width, "little")
        elif kind < 0.9:
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        else:
            del changed[chance.randrange(24, len(changed)) :]
            return bytes(changed)
    return bytes(changed)


def test_the_whole_file_is_converted(gguf, tmp_path):
    assert check_gguf_bounds(gguf) == sum(tensor.n_elements for tensor in GGUFReader(gguf).tensors)
    convert_gguf(gguf, tmp_path)
    assert load_model(tmp_path, dtype=torch.float32, device=torch.device("cpu"))


@pytest.mark.parametrize("lie", [8, 2**31, 2**60, 2**64 - 1])
def test_a_single_number_of_a_gguf_file_that_lies_costs_nothing(gguf, numbers_in, tmp_path, lie):
    """Each place by itself; what says the truth by chance, or lies about nothing, is converted."""
    content, refused = gguf.read_bytes(), 0
    few = [*numbers_in[:3], *numbers_in[3 :: max(1, len(numbers_in) // 24)]]
    with bounded():
        for place, width in few:
            lying = (
                content[:place]
                + (lie % 2 ** (8 * width)).to_bytes(width, "little")
                + content[place + width :]
            )
            refused += is_refused(lying, tmp_path)
    assert refused >= 3


def is_refused(content, folder):
    """Convert it: either the one message, or a model."""
    path = folder / "lying.gguf"
    path.write_bytes(content)
    try:
        convert_gguf(path, folder / "out")
    except ModelError as fault:
        assert str(fault).startswith(f"{path} ")
        assert "Set model.name_or_path to the model's Hugging Face folder" in str(fault)
        return True
    finally:
        shutil.rmtree(folder / "out", ignore_errors=True)
    return False


def check_lying_gguf_files(gguf, places, folder, *, files, seed):
    chance, content = random.Random(seed), gguf.read_bytes()
    with bounded():
        refused = sum(is_refused(lied_to(content, places, chance), folder) for _ in range(files))
    assert refused > files // 2


def test_gguf_files_that_lie_are_refused_with_one_message(gguf, numbers_in, tmp_path):
    check_lying_gguf_files(gguf, numbers_in, tmp_path, files=150, seed=59)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(20))
def test_twenty_thousand_gguf_files_that_lie_are_refused_with_one_message(gguf, numbers_in, tmp_path, seed):
    check_lying_gguf_files(gguf, numbers_in, tmp_path, files=1_000, seed=seed)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("llama.block_count", 2**31 - 1),
        ("llama.block_count", 5_000),
        ("llama.embedding_length", 2**20),
        ("llama.feed_forward_length", 2**31 - 8),
        ("llama.rope.dimension_count", 2**30),
        ("llama.attention.head_count", 2**20),
    ],
)
def test_metadata_that_describes_a_larger_model_than_the_file_holds_is_refused(gguf, tmp_path, key, value):
    """The loader would make the rest of it up."""
    reader, content = GGUFReader(gguf), bytearray(gguf.read_bytes())
    place = reader.fields[key].parts[-1].ctypes.data - reader.data.ctypes.data
    content[place : place + 4] = struct.pack("<I", value)
    with bounded():
        assert is_refused(bytes(content), tmp_path)


def test_the_packages_own_reader_reads_an_array_without_end(gguf, monkeypatch):
    """The broken variant: without the bounds 2**60 numbers would be read past the end; here some thousand are."""
    reader, content = GGUFReader(gguf), bytearray(gguf.read_bytes())
    kind = reader.fields["tokenizer.ggml.token_type"].parts[3]
    place = kind.ctypes.data - reader.data.ctypes.data
    content[place : place + 12] = struct.pack("<IQ", GGUFValueType.UINT8, 2**60)
    lying = gguf.with_name("lying.gguf")
    lying.write_bytes(content)
    with pytest.raises(ValueError, match="should follow byte"):
        check_gguf_bounds(lying)
    reads, honest = [], GGUFReader._get

    def counted(self, offset, *more, **named):
        reads.append(offset)
        if len(reads) > 20_000:
            raise StopIteration
        return honest(self, offset, *more, **named)

    monkeypatch.setattr(GGUFReader, "_get", counted)
    with pytest.raises(StopIteration):
        GGUFReader(lying)
    assert reads[-1] == reads[-2] >= len(content)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("safetensors") / "tiny")


def lying_header(content, chance):
    """Return a safetensors file whose header says something else: lengths, offsets, shapes, kinds, or no JSON."""
    length = int.from_bytes(content[:8], "little")
    header, rest = json.loads(content[8 : 8 + length]), content[8 + length :]
    names = [name for name in header if name != "__metadata__"]
    tensor = header[chance.choice(names)]
    kind = chance.randrange(8)
    if kind == 0:
        return chance.choice(LIES).to_bytes(8, "little") + content[8:]
    if kind == 1:
        return content[: chance.randrange(len(content))]
    if kind == 2:
        tensor["shape"] = [chance.choice(LIES) for _ in range(chance.randrange(4))]
    elif kind == 3:
        tensor["data_offsets"] = [chance.choice(LIES), chance.choice(LIES)]
    elif kind == 4:
        tensor["data_offsets"] = header[chance.choice(names)]["data_offsets"]
    elif kind == 5:
        tensor["dtype"] = chance.choice(["F64", "I8", "BOOL", "F4", "", None, 7])
    elif kind == 6:
        del header[chance.choice(names)]
    written = json.dumps(header).encode()
    if kind == 7:
        place = chance.randrange(len(written))
        written = written[:place] + bytes([chance.randrange(256)]) + written[place + 1 :]
    return len(written).to_bytes(8, "little") + written + rest


def check_lying_safetensors(folder, place, *, files, seed):
    """Read what lies; where the library takes it, it is as large as the file says."""
    chance, content = random.Random(seed), (folder / "model.safetensors").read_bytes()
    refused = 0
    with bounded():
        for _ in range(files):
            place.write_bytes(lying_header(content, chance))
            try:
                read_header(place)
                held = load_file(place)
                assert sum(value.nbytes for value in held.values()) <= len(content)
            except (SafetensorError, ValueError):  # the latter for text that is not UTF-8
                refused += 1
    assert refused > files // 2


def test_safetensors_files_that_lie_are_refused(folder, tmp_path):
    check_lying_safetensors(folder, tmp_path / "lying.safetensors", files=400, seed=59)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(60, 64))
def test_eighty_thousand_safetensors_files_that_lie_are_refused(folder, tmp_path, seed):
    check_lying_safetensors(folder, tmp_path / "lying.safetensors", files=20_000, seed=seed)


def test_a_model_folder_whose_weights_lie_is_refused_with_one_message(folder, tmp_path):
    copy, chance = shutil.copytree(folder, tmp_path / "copy"), random.Random(61)
    content = (folder / "model.safetensors").read_bytes()
    messages = []
    with bounded():
        for _ in range(40):
            (copy / "model.safetensors").write_bytes(lying_header(content, chance))
            try:
                load_model(copy, dtype=torch.float32, device=torch.device("cpu"))
            except ModelError as fault:
                messages.append(str(fault))
    assert len(messages) > 20
    assert all(str(copy) in message and "ownload" in message for message in messages)
