"""A hundred thousand damaged files: each is read or refused in one message, soon, and in little memory."""

import gzip
import json
import random
import tracemalloc

import pytest
from support.rows import csv_of, json_lines_of, parquet_of
from support.systems import TookTooLong, within

from tutelage.config.recipe import DataSettings
from tutelage.data.formats.formats import read_conversations
from tutelage.data.quality.checks import check_rows
from tutelage.data.sources.sources import read_source
from tutelage.errors import DataError

FILES = 100_000
PARTS = 20  # so that several processes can share them
SECONDS = 5
# Below it the window of the reader counts for more than the file: 2**20 characters, of four bytes if one is an emoji.
SMALLEST_COUNTED = 8 * 2**20

ROWS = [
    {"instruction": f"Spell word {number}.", "input": "给 é 😀" * (number % 3), "output": f"word {number}"}
    for number in range(5)
]
TALKS = [
    {"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": str(number)}]}
    for number in range(3)
]
INSERTED = [
    *(b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\u", b"\\ud800", b"1e999", b"-", b"NaN", b"null", b"true"),
    *(
        b"\n",
        b"\r",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\x00",
        b"\x1b[31m",
        b"\xe2\x80\xae",
        b"\xc3",
        b"\xf0\x9f",
    ),
    *(b"[" * 2_000, b'{"a":' * 2_000, b"9" * 5_000, b"PAR1", b"\x1f\x8b", "\u2028".encode()),
]


WHOLE = [
    json.dumps(ROWS, indent=1).encode(),
    json.dumps({"data": TALKS}).encode(),
    json_lines_of(ROWS),
    json_lines_of([*TALKS, *ROWS]),
    json.dumps(ROWS, ensure_ascii=False).encode("utf-16"),
    csv_of(ROWS),
    gzip.compress(json_lines_of(ROWS)),
    gzip.compress(csv_of(ROWS)),
    parquet_of(ROWS),
    parquet_of(TALKS),
]


def damaged(chance):
    """Return a whole file with its bytes, its structure or its characters changed in a few places."""
    content = bytearray(chance.choice(WHOLE))
    if content[:2] == b"\x1f\x8b" and chance.random() < 0.5:  # what is inside may be damaged and packed again
        return gzip.compress(bytes(changed(bytearray(gzip.decompress(content)), chance)))
    return bytes(changed(content, chance))


def changed(content, chance):
    for _ in range(chance.randint(1, 6)):
        begin = chance.randrange(len(content) + 1)
        end = begin + chance.choice([0, 0, 1, 1, 2, 8, 200])
        kind = chance.randrange(5)
        if kind == 0:
            content[begin:end] = chance.choice(INSERTED)
        elif kind == 1:
            content[begin:end] = chance.randbytes(end - begin)
        elif kind == 2:
            content[begin:begin] = content[begin:end] * chance.randint(1, 3)
        elif kind == 3:
            del content[begin:end]
        elif begin < len(content):
            content[begin] ^= 1 << chance.randrange(8)
    return content


def look_at(path):
    """Read and check a file; True where it could be read. Anything but rows or one fault that names it is an error."""
    try:
        source = read_source(str(path), cache=path.parent)
        read = read_conversations(source.records, source=source.name)
    except DataError as fault:
        assert str(path) in str(fault)
        return False
    checked = check_rows(read.rows, DataSettings())
    assert len(checked) == len(source.records) > 0
    return True


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(PARTS))
def test_a_damaged_file_is_read_or_refused_soon(tmp_path, part):
    chance = random.Random(part)
    path = tmp_path / "damaged"
    outcomes = {True: 0, False: 0}
    for number in range(FILES // PARTS):
        path.write_bytes(damaged(chance))
        try:
            with within(SECONDS):
                outcomes[look_at(path)] += 1
        except BaseException as fault:
            fault.add_note(f"file {number} of part {part}: {path.read_bytes()[:300]!r}")
            raise
    assert min(outcomes.values()) > FILES // PARTS // 50, "both outcomes have to be seen"


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_file_takes_less_than_four_times_its_size(tmp_path, seed):
    chance = random.Random(seed)
    rows = [{**ROWS[number % 5], "output": "word " * chance.randint(100, 300)} for number in range(8_000)]
    path = tmp_path / "damaged.jsonl"
    path.write_bytes(bytes(changed(bytearray(json_lines_of(rows)), chance)))
    assert path.stat().st_size > SMALLEST_COUNTED
    tracemalloc.start()
    look_at(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * path.stat().st_size


def test_the_time_limit_catches_what_hangs():
    with pytest.raises(TookTooLong), within(0.01):
        while True:
            pass
