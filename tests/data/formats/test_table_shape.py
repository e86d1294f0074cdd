"""What splits the lines of a table alike: its delimiter, its quotation marks, its header, its encoding."""

import gzip

import pytest
from support.coded import codes_of
from support.rows import values_of

from tutelage.config.recipe import DataSettings
from tutelage.data.formats import table_shape
from tutelage.data.sources.sources import read_source
from tutelage.errors import DataError

PLAIN = "label\tmsg\n" + "".join(
    f"{label}\t{text}\n"
    for label, text in [("ham", '"Wen" u miss her'), ("spam", 'Call "now'), ("ham", "Ok"), ("spam", '"Win')]
    * 3
)


def code_of(read, content, name="rows.csv", **chosen):
    with pytest.raises(DataError) as fault:
        read(content, name, **chosen)
    return fault.value.code


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
def test_the_delimiter_is_what_splits_the_lines_alike_whatever_the_ending(read, delimiter, name):
    rows = [
        ["Frage", "Preis", "Antwort"],
        ["Was kostet das?", "1.50", "Viel."],
        ["Wie alt?", "2.00", "Jung."],
    ]
    content = "".join(delimiter.join(row) + "\n" for row in rows)
    assert [list(value.values()) for value in values_of(read(content, name))] == rows[1:]


def test_decimal_commas_and_commas_in_texts_part_nothing_beside_semicolons(read):
    content = "Ware;Preis, brutto\nBrot, frisch;1,50\nKäse, alt;2,00\n"
    assert values_of(read(content, "rows.csv"))[0] == {"Ware": "Brot, frisch", "Preis, brutto": "1,50"}


def test_the_names_that_data_map_asks_for_decide_in_any_case_of_letters(read):
    content = "Frage;a,b,c\nx;1,2,3\ny;4,5,6\n"
    found = values_of(read(content, "rows.csv", column_map={"instruction": "frage"}))
    assert found[0] == {"Frage": "x", "a,b,c": "1,2,3"}


def test_a_line_of_excel_names_the_delimiter(read):
    source = read("sep=|\ninstruction|output\na|b\n", "rows.csv")
    assert values_of(source) == [{"instruction": "a", "output": "b"}]
    assert source.records[0].line == 3


def test_one_column_with_commas_in_its_texts_stays_one(read):
    assert values_of(read("text\nHello, you\nYes\n", "rows.csv")) == [{"text": "Hello, you"}, {"text": "Yes"}]


def test_quotation_marks_that_do_not_quote_are_plain_characters_and_that_is_noted(read):
    source = read(PLAIN, "rows.tsv")
    assert [value["msg"] for value in values_of(source)][:4] == [
        '"Wen" u miss her',
        'Call "now',
        "Ok",
        '"Win',
    ]
    assert codes_of(source.notes) == ["data.plain_quotes"]


def test_quotation_marks_far_behind_the_beginning_are_looked_at_too(read, monkeypatch):
    content = "label\tmsg\n" + "ham\tOk then\n" * 10_000 + PLAIN.split("\n", 1)[1]
    for packed in (content.encode(), gzip.compress(content.encode(), 1)):
        source = read(packed, "rows.tsv")
        assert values_of(source)[-1]["msg"] == '"Win'
    monkeypatch.setattr(table_shape, "PLACES_LOOKED_AT", 0)  # the broken variant looks at the beginning alone
    assert code_of(read, content, "rows.tsv") == "data.malformed_csv"


def test_cells_with_line_breaks_are_quoted_and_not_plain(read):
    content = "a\tb\n" + 'x\t"one\ntwo"\n' * 20
    assert values_of(read(content, "rows.tsv"))[0] == {"a": "x", "b": "one\ntwo"}


def test_settings_decide_what_cannot_be_found(read):
    assert values_of(read('a,b\n"x",y\n', "rows.csv", quoting="none"))[0]["a"] == '"x"'
    assert values_of(read("a.b\nx.y\n", "rows.txt", delimiter="."))[0] == {"a": "x", "b": "y"}
    assert values_of(read("a,b\nx,y\n", "rows.csv", header=False))[0] == {"column1": "a", "column2": "b"}


@pytest.mark.parametrize(
    "content",
    [
        "spam\tWin two tickets\nham\tLunch at one\nspam\tCheap loans\nham\tThe bus is late\n",
        "¿Dónde está?\tEn casa, creo.\n¿Qué hora es?\tLas dos.\n¿Y hoy?\tHoy no.\n",
        "1\tone\n2\ttwo\n",
    ],
)
def test_a_first_line_that_is_a_row_is_no_header_and_that_is_noted(read, content):
    source = read(content, "rows.tsv")
    assert len(source.records) == content.count("\n")
    assert "data.no_header" in codes_of(source.notes)


def test_a_title_above_the_table_is_not_its_header(read):
    source = read("Export of May\n\nq;a;n\nx;y;z\nu;v;w\n", "rows.csv")
    assert values_of(source)[0] == {"q": "x", "a": "y", "n": "z"}
    assert codes_of(source.notes) == ["data.lines_before_header"]


def test_unnamed_columns_are_left_out_while_they_are_empty_and_named_by_their_place_if_not(read):
    source = read("a,b,,\nx,y,,\nu,v,,left\n", "rows.csv")
    assert values_of(source) == [{"a": "x", "b": "y"}, {"a": "u", "b": "v", "column4": "left"}]
    assert codes_of(source.notes) == ["data.unnamed_column"] * 2


def test_joined_files_repeat_no_header_and_keep_no_mark(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes('a,b\nx,y\n\ufeffa,b\n\ufeff"u,",v\n'.encode())
    source = read_source(str(path), cache=tmp_path, settings=DataSettings())
    assert values_of(source) == [{"a": "x", "b": "y"}, {"a": "u,", "b": "v"}]
    assert [record.line for record in source.records] == [2, 4]
    assert codes_of(source.notes) == ["data.byte_order_mark", "data.repeated_header"]


@pytest.mark.parametrize("rows_before", [0, 16, 30_000])
def test_a_byte_of_another_encoding_is_told_by_its_line_with_windows_1252_first(read, refused, rows_before):
    content = b"instruction,output\n" + b"Name it.,Nine.\n" * rows_before + "Wer?,Ein Bär.\n".encode("cp1252")
    message = refused(content + b"Name it.,Nine.\n" * 30_000, "rows.csv")
    assert f":{rows_before + 2}: byte {content.index(0xE4):,} (0xe4)" in message
    assert "data.encoding=windows-1252 " in message


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Où est la gare? — là", "windows-1252"),
        ("Где находится вокзал?", "windows-1251"),
        ("火车站在哪里呢", "gb18030"),
    ],
)
def test_the_encoding_that_is_offered_first_reads_the_bytes(refused, text, encoding):
    message = refused(f"instruction,output\na,{text}\n".encode(encoding), "rows.csv")
    assert f"data.encoding={encoding} " in message
