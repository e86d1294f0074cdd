"""Data that is converted keeps its text, and what a spreadsheet would run of it is said."""

import pytest
from support.rows import write_rows

from tutelage.config.recipe import DataSettings
from tutelage.data.sources.sources import read_source

OUTPUTS = ["It is.", "=1+1", "-3.5", "＝SUM(A1)", " @x"]


@pytest.fixture
def place(workplace):
    rows = [{"instruction": f"What is {row}?", "output": text} for row, text in enumerate(OUTPUTS)]
    write_rows(workplace / "my.json", rows)
    return workplace


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.csv.gz"])
def test_a_converted_table_says_which_cells_would_run_and_keeps_them(tutelage, place, name):
    done = tutelage("data", "convert", "my.json", name)
    assert done.code == 0, done
    assert f"Note[convert.formula_in_cell]: {name} has 3 cells" in done.out
    assert "'output' of row 1." in done.out
    read = read_source(name, cache=place / "cache", settings=DataSettings())
    assert [record.value["output"] for record in read.records] == OUTPUTS


def test_json_lines_say_nothing_of_it(tutelage, place):
    assert "convert.formula_in_cell" not in tutelage("data", "convert", "my.json", "out.jsonl").out
