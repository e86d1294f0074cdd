"""Where rows come from: names, folders, hashes, addresses and the hub."""

import gzip
import hashlib
import json
import os
import socket

import pytest
from support.book_data import book_file
from support.coded import codes_of
from support.rows import SPELLINGS, csv_of, json_lines_of, values_of
from support.systems import needs_pipes

from tutelage.config.built_in_data import REMOTE_DATA
from tutelage.config.recipe import DataSettings
from tutelage.data.sources.sources import read_source
from tutelage.errors import DataError, FetchError


def test_a_missing_file_is_told_with_the_nearest_name(tmp_path):
    (tmp_path / "my-rows.json").write_text("[]")
    with pytest.raises(DataError, match=r"my-row.json does not exist. Did you mean my-rows.json\?"):
        read_source(str(tmp_path / "my-row.json"), cache=tmp_path)
    with pytest.raises(DataError, match=r"startr does not exist. Did you mean starter\?"):
        read_source("startr", cache=tmp_path)
    with pytest.raises(DataError, match=r"does not exist. Check the path given as data.source or --data"):
        read_source(str(tmp_path / "none" / "zzz"), cache=tmp_path)


@pytest.mark.parametrize("name", ["x" * 300 + ".json", "a\x00b.json", "", "rows.json/inside"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.json").write_text("[]")
    with pytest.raises(DataError):
        read_source(name, cache=tmp_path)


@needs_pipes
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="is not a regular file"):
        read_source(str(tmp_path / "pipe"), cache=tmp_path)


def test_a_file_beyond_the_limit_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(DataSettings().max_file_bytes + 1)
    with pytest.raises(DataError, match="but the limit is 104,857,600. Split it"):
        read_source(str(tmp_path / "huge.json"), cache=tmp_path)


def test_the_books_file_is_taken_from_the_cache_by_its_hash_and_never_otherwise(tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    cached = tmp_path / "data" / "instruction-data.json"
    cached.parent.mkdir()
    cached.write_bytes(b"[]")
    with pytest.raises(FetchError, match="put the file at .*instruction-data.json yourself"):
        read_source("instruction-data", cache=tmp_path)
    cached.write_bytes(book_file().read_bytes())
    source = read_source("instruction-data", cache=tmp_path)
    assert (len(source.records), source.sha256) == (1100, REMOTE_DATA["instruction-data"].sha256)
    assert source.records[50].value["input"] == "Ocassion"


def test_the_starter_data_ship_with_the_package(tmp_path):
    source = read_source("starter", cache=tmp_path)
    assert len(source.records) >= 1000
    assert all(set(record.value) == {"instruction", "input", "output"} for record in source.records)


# Folders


def test_a_folder_is_read_file_by_file_in_the_order_of_the_names(tmp_path):
    folder = tmp_path / "data"
    (folder / "b").mkdir(parents=True)
    (folder / "a.jsonl").write_text(json_lines_of(SPELLINGS[:2]).decode())
    (folder / "b" / "c.csv.gz").write_bytes(gzip.compress(csv_of(SPELLINGS[2:])))
    (folder / "README.md").write_text("about")
    (folder / ".hidden.json").write_text("broken")
    source = read_source(str(folder), cache=tmp_path)
    assert values_of(source) == SPELLINGS
    assert [record.row for record in source.records] == [0, 1, 2, 3]
    assert [record.file for record in source.records] == ["a.jsonl", "a.jsonl", "b/c.csv.gz", "b/c.csv.gz"]
    assert codes_of(source.notes) == ["data.files_skipped"]
    assert "README.md" in source.notes[0].text
    assert source.kind == "2 files of JSON lines and CSV, gzipped"
    before = source.sha256
    (folder / "a.jsonl").rename(folder / "z.jsonl")
    assert read_source(str(folder), cache=tmp_path).sha256 != before


def test_a_fault_in_a_file_of_a_folder_names_the_file(tmp_path):
    (tmp_path / "a.json").write_text("[{}")
    (tmp_path / "b.json").write_text(json.dumps(SPELLINGS))
    with pytest.raises(DataError, match=r"a.json:1:4: malformed JSON"):
        read_source(str(tmp_path), cache=tmp_path)


# Hashes, addresses and the hub


def test_a_hash_that_is_named_has_to_be_the_files(read, refused):
    content = json.dumps(SPELLINGS)
    right = hashlib.sha256(content.encode()).hexdigest()
    assert read(content, sha256=right).sha256 == right
    assert f"has the SHA-256 {right}, but data.sha256 is {'0' * 64}" in refused(content, sha256="0" * 64)


def test_an_address_needs_a_hash_and_https(tmp_path):
    with pytest.raises(DataError, match="Set the SHA-256 that you expect: --set data.sha256"):
        read_source("https://files.example/rows.json", cache=tmp_path)
    for address in ("http://files.example/rows.json", "ftp://files.example/rows", "file:///etc/passwd"):
        with pytest.raises(FetchError, match="is not an https URL"):
            read_source(address, cache=tmp_path, settings=DataSettings(sha256="0" * 64))


def test_an_address_whose_file_was_fetched_is_not_asked_again(tmp_path, monkeypatch):
    content = json.dumps(SPELLINGS).encode()
    sha256 = hashlib.sha256(content).hexdigest()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / sha256).write_bytes(content)
    monkeypatch.setattr(socket, "socket", None)  # any use of the network would fail
    settings = DataSettings(sha256=sha256)
    assert (
        values_of(read_source("https://files.example/rows.json", cache=tmp_path, settings=settings))
        == SPELLINGS
    )


def test_a_local_data_set_is_read_through_datasets(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.jsonl").write_text(json_lines_of(SPELLINGS[:3]).decode())
    (tmp_path / "set" / "test.jsonl").write_text(json_lines_of(SPELLINGS[3:]).decode())
    source = read_source(f"hf:{tmp_path / 'set'}", cache=tmp_path)
    assert values_of(source) == SPELLINGS[:3]
    assert all(record.is_from_arrow for record in source.records)
    held_back = read_source(f"hf:{tmp_path / 'set'}", cache=tmp_path, settings=DataSettings(hub_split="test"))
    assert values_of(held_back) == SPELLINGS[3:]
    assert source.sha256 != held_back.sha256
    with pytest.raises(DataError, match="Could not load the data set"):
        read_source(f"hf:{tmp_path / 'set'}", cache=tmp_path, settings=DataSettings(hub_split="nothing"))
    with pytest.raises(DataError, match="Could not load the data set"):
        read_source(f"hf:{tmp_path / 'none'}", cache=tmp_path)
