"""A row format that stands outside of the program is found, named and written once it is named in the table."""

import json

import pytest
from support import call_and_reply
from support.command_line import CommandLine
from support.rows import write_rows

from tutelage.config.extensions import ROW_FORMATS
from tutelage.config.recipe import DataSettings
from tutelage.data.formats.formats import read_conversations
from tutelage.data.formats.schemas import load_format
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.data.rows.records import Record
from tutelage.data.sources.convert_rows import UnfitError, to_format
from tutelage.errors import DataError

NAME = "call-and-reply"
ROW = {"exchange": "Q: Name a fruit.\nA: pear"}
TURNS = (ChatMessage("user", "Name a fruit."), ChatMessage("assistant", "pear"))


@pytest.fixture
def registered(monkeypatch):
    """Make the one entry by which the program finds it."""
    monkeypatch.setitem(ROW_FORMATS, NAME, "support.call_and_reply")
    yield
    load_format.cache_clear()


@pytest.fixture
def data(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    return lambda *words: CommandLine(capsys)("data", *words)


def read(value, **settings):
    return read_conversations(
        [Record(0, None, value)], source="my.json", settings=DataSettings(**settings)
    ).rows


@pytest.mark.usefixtures("registered")
def test_its_rows_are_found_by_their_fields():
    [row] = read(ROW)
    assert (row.format, row.messages) == (NAME, TURNS)


@pytest.mark.usefixtures("registered")
def test_a_recipe_names_it_where_a_row_could_be_of_two_formats():
    both = {**ROW, "text": "A pear is a fruit."}
    assert [row.messages for row in read(both, format=NAME)] == [TURNS]
    assert [row.messages for row in read(both, format="text")] == [
        (ChatMessage("assistant", "A pear is a fruit."),)
    ]
    with pytest.raises(DataError, match="could be text or call-and-reply"):
        read(both)


@pytest.mark.usefixtures("registered")
def test_other_rows_are_written_in_it_and_those_that_do_not_fit_are_refused():
    assert to_format(Conversation(0, TURNS), NAME) == ROW
    with pytest.raises(UnfitError):
        to_format(Conversation(0, (ChatMessage("user", "a\nb"), TURNS[1])), NAME)


@pytest.mark.usefixtures("registered")
def test_a_verb_reads_it_and_writes_a_table_of_it(data, tmp_path):
    write_rows(tmp_path / "rows.json", [ROW])
    ended = data("convert", "rows.json", "out.csv", "--to", "alpaca", "--set", f"data.format={NAME}")
    assert ended.code == 0, ended.err
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines == ["source_row,instruction,input,output", "0,Name a fruit.,,pear"]
    assert data("convert", "rows.json", "same.jsonl").code == 0
    assert json.loads((tmp_path / "same.jsonl").read_text()) == {"source_row": 0, **ROW}


@pytest.mark.usefixtures("registered")
def test_a_writer_that_turns_both_sides_round_is_caught(monkeypatch):
    monkeypatch.setattr(call_and_reply, "FORMAT", call_and_reply.TURNED_ROUND)
    [row] = read(to_format(Conversation(0, TURNS), NAME))
    assert row.messages != TURNS


def test_a_format_that_nobody_registered_is_no_value():
    with pytest.raises(ValueError, match="'preference' or 'text-label'"):
        DataSettings(format=NAME)
