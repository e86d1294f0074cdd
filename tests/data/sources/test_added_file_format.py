"""A file format that stands outside of the program is read and written once its ending is named in the table."""

import gzip
import json

import pytest
from support import block_file
from support.command_line import CommandLine
from support.rows import alpaca_values, write_rows

from tutelage.config.extensions import FILE_FORMATS
from tutelage.config.recipe import DataSettings
from tutelage.data.sources.file_formats import load_format
from tutelage.data.sources.sources import read_source

BLOCKS = b'instruction: "Name a fruit, any: one."\noutput: "pear"\n\ninstruction: "2"\noutput: "3"\n\n'
ROWS = [{"instruction": "Name a fruit, any: one.", "output": "pear"}, {"instruction": "2", "output": "3"}]


@pytest.fixture
def registered(monkeypatch):
    """Make the one entry by which the program finds it."""
    monkeypatch.setitem(FILE_FORMATS, ".block", "support.block_file")
    yield
    load_format.cache_clear()


@pytest.fixture
def data(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    return lambda *words: CommandLine(capsys)("data", *words)


def read(path):
    return read_source(str(path), cache=path, settings=DataSettings())


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_rows_of_an_added_format_are_read_also_packed(tmp_path, pack):
    path = tmp_path / ("my.block" if pack is bytes else "my.block.gz")
    path.write_bytes(pack(BLOCKS))
    source = read(path)
    assert [record.value for record in source.records] == ROWS
    assert [record.line for record in source.records] == [1, 4]
    assert source.kind == ("blocks" if pack is bytes else "blocks, gzipped")


@pytest.mark.usefixtures("registered")
def test_a_folder_takes_files_with_its_ending(tmp_path):
    (tmp_path / "b.block").write_bytes(BLOCKS)
    (tmp_path / "a.json").write_text(json.dumps([{"instruction": "1", "output": "2"}]))
    found = [record.value for record in read(tmp_path).records]
    assert found == [{"instruction": "1", "output": "2"}, *ROWS]


@pytest.mark.usefixtures("registered")
def test_a_verb_writes_it_and_reads_it_again(data, tmp_path):
    values = alpaca_values(6)
    write_rows(tmp_path / "rows.json", values)
    assert data("convert", "rows.json", "out.block").code == 0
    blocks = (tmp_path / "out.block").read_text().removesuffix("\n\n").split("\n\n")
    first = dict(line.split(": ", 1) for line in blocks[0].splitlines())
    assert {field: json.loads(text) for field, text in first.items()} == {"source_row": 0, **values[0]}
    assert data("convert", "out.block", "back.jsonl").code == 0
    back = [json.loads(line) for line in (tmp_path / "back.jsonl").read_text().splitlines()]
    assert back == [{"source_row": row, **value} for row, value in enumerate(values)]


@pytest.mark.usefixtures("registered")
def test_one_that_loses_a_field_is_not_published(data, tmp_path, monkeypatch):
    monkeypatch.setattr(block_file, "FORMAT", block_file.LOSSY)
    write_rows(tmp_path / "rows.json", alpaca_values(6))
    ended = data("convert", "rows.json", "out.block")
    assert (ended.code, "convert.would_not_read_back" in ended.err) == (2, True)
    assert not (tmp_path / "out.block").exists()


def test_an_ending_that_nobody_registered_is_refused(data, tmp_path):
    write_rows(tmp_path / "rows.json", alpaca_values(6))
    ended = data("convert", "rows.json", "out.block")
    assert "cli.unknown_output_type" in ended.err
    assert ended.code != 0
