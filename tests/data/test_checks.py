import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.book_data import book_file
from support.rows import make_rows

from tutelage.data.checks import check_rows, count_repeated_prompts, normalised_prompt
from tutelage.data.formats import FIELDS, InstructionRow, read_instruction_rows
from tutelage.data.sources import read_source


def outcome(instruction="a", input="", output="b"):
    checked = check_rows([InstructionRow(0, instruction, input, output)])[0]
    return checked.outcome, checked.reasons


def test_a_good_row_is_kept_to_the_byte():
    row = InstructionRow(7, " a\n", "\t<|im_end|>\u200b", "b\r")
    assert [(one.row, one.outcome, one.reasons) for one in check_rows([row])] == [(row, "kept", ())]


@pytest.mark.parametrize("blank", ["", " ", "\n\t ", "\u3000", "\x00", "\r\n"])
@pytest.mark.parametrize("field", ["instruction", "output"])
def test_a_row_without_an_instruction_or_an_output_is_dropped(field, blank):
    assert outcome(**{field: blank}) == ("dropped", (f"{field} is empty",))


def test_both_reasons_are_given_and_an_empty_input_is_none():
    assert outcome("", "", "") == ("dropped", ("instruction is empty", "output is empty"))
    assert outcome(input="") == ("kept", ())


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    ("text", "repaired", "what"),
    [
        ("x\ud800y\udfff", "x\ufffdy\ufffd", "lone surrogates became U+FFFD"),
        ("x\x00y", "xy", "NUL characters were removed"),
        ("x\r\ny\r\n", "x\ny\n", "CRLF became LF"),
    ],
)
def test_a_repair_is_done_and_said(field, text, repaired, what):
    fields = {"instruction": "a", "input": "", "output": "b", field: text}
    (checked,) = check_rows([InstructionRow(0, **fields)])
    assert getattr(checked.row, field) == repaired
    assert (checked.outcome, checked.reasons) == ("repaired", (f"{field}: {what}",))


def test_an_exact_repeat_is_dropped_and_names_the_first():
    checked = check_rows(
        make_rows([("a", "", "b"), ("a", "", "c"), ("a", "", "b"), ("a\r\n", "", "b"), ("a\n", "", "b")])
    )
    assert [row.outcome for row in checked] == ["kept", "kept", "dropped", "repaired", "dropped"]
    assert checked[2].reasons == ("the same as row 0",)
    assert checked[4].reasons == ("the same as row 3",)


fields = st.text(alphabet=st.sampled_from("ab \n\r\x00\ud800😀"), max_size=4)


@given(st.lists(st.tuples(fields, fields, fields), max_size=30))
def test_every_row_has_one_outcome_and_what_stays_is_clean_and_new(triples):
    checked = check_rows(make_rows(triples))
    assert [row.row.row for row in checked] == list(range(len(triples)))
    stays = [row for row in checked if row.outcome != "dropped"]
    texts = [(row.row.instruction, row.row.input, row.row.output) for row in stays]
    assert len(set(texts)) == len(texts)
    for one in checked:
        assert bool(one.reasons) == (one.outcome != "kept")
    for triple in texts:
        "".join(triple).encode("utf-8")
        assert "\x00" not in "".join(triple)
        assert triple[0].strip()
        assert triple[2].strip()


@pytest.mark.parametrize(
    "other", ["NAME A FRUIT", "name   a\nfruit!", "«Name» a fruit…", "Ｎａｍｅ a fruit", "Name, a fruit?"]
)
def test_case_white_space_and_punctuation_do_not_make_another_prompt(other):
    assert normalised_prompt(InstructionRow(0, other, "", "")) == normalised_prompt(
        InstructionRow(1, "Name a fruit.", "", "x")
    )


@pytest.mark.parametrize(
    ("one", "other"), [("Name 1 fruit", "Name 2 fruit"), ("梨", "李"), ("!", "?"), ("+", "-")]
)
def test_other_words_numbers_and_bare_signs_make_another_prompt(one, other):
    assert normalised_prompt(InstructionRow(0, one, "", "")) != normalised_prompt(
        InstructionRow(0, other, "", "")
    )


def test_the_books_file_has_no_row_to_drop_and_25_repeated_prompts(tmp_path):
    source = read_source(str(book_file()), cache=tmp_path)
    rows, notes = read_instruction_rows(source.records, source=source.name)
    assert {row.outcome for row in check_rows(rows)} == {"kept"}
    assert (len(rows), count_repeated_prompts(rows), notes) == (1100, 25, [])
