import pytest

from tutelage.data.sources.tables import cells_that_would_run, safe_cell, would_run

BEGINNINGS = ["=", "+", "-", "@", "＝", "＋", "－", "＠"]
BLANKS = ["", " ", "  ", "\n", "\u00a0", "\u3000", "\ufeff", "\u200b"]


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("blank", BLANKS)
def test_a_formula_is_quoted_also_behind_blanks(beginning, blank):
    cell = f'{blank}{beginning}HYPERLINK("x")'
    assert safe_cell(cell) == f"'{cell}"
    assert not would_run(safe_cell(cell))


@pytest.mark.parametrize(
    "cell", ["\tx", "\rx", "\t=1+1", " \t=1+1", "-2+3", "+1 234 call now", "-", "=1", "@1"]
)
def test_what_a_spreadsheet_acts_on_is_quoted(cell):
    assert safe_cell(cell) == f"'{cell}"


@pytest.mark.parametrize(
    "cell", ["-3.5", "+1", "-1,234.5", "-12 %", "-3e-05", "+1 234", " -3.5 ", "-0,5", "-1\u202f234"]
)
def test_a_number_stays(cell):
    assert safe_cell(cell) == cell


@pytest.mark.parametrize("cell", ["", "a=b", "x-y", "Hello @you", "3", "'=1", "–5", "谁"])
def test_text_stays(cell):
    assert safe_cell(cell) == cell


def test_the_cells_of_rows_are_named_by_place_and_column():
    rows = [{"a": "x", "b": -3.5}, {"a": "=1+1", "b": "@x"}, {"a": ["=1"], "b": None}]
    assert cells_that_would_run(rows) == [(1, "a"), (1, "b")]
