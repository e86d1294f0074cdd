import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.book_data import book_file
from support.rows import make_rows

from tutelage.data.checks import NOTHING_KNOWN, check_rows, count_repeated_prompts, normalised_prompt
from tutelage.data.conversations import Conversation, Turn, single_turn
from tutelage.data.formats import read_conversations
from tutelage.data.sources import read_source
from tutelage.recipe import DataSettings


def outcome(instruction="a", input="", output="b"):
    checked = check_rows([single_turn(0, instruction, input, output)])[0]
    return checked.outcome, checked.reasons


def test_a_good_row_is_kept_to_the_byte():
    row = single_turn(7, " a\n", "\t<|im_end|>\u200b", "b\r")
    assert [(one.row, one.outcome, one.reasons) for one in check_rows([row])] == [(row, "kept", ())]


@pytest.mark.parametrize("blank", ["", " ", "\n\t ", "\u3000", "\x00", "\r\n"])
@pytest.mark.parametrize("field", ["instruction", "output"])
def test_a_row_without_an_instruction_or_an_output_is_dropped(field, blank):
    assert outcome(**{field: blank}) == ("dropped", (f"{field} is empty",))


def test_both_reasons_are_given_and_an_empty_input_is_none():
    assert outcome("", "", "") == ("dropped", ("instruction is empty", "output is empty"))
    assert outcome(input="") == ("kept", ())


@pytest.mark.parametrize("field", ["instruction", "input", "output"])
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
    (checked,) = check_rows([single_turn(0, **fields)])
    assert checked.row == single_turn(0, **fields | {field: repaired})
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
    texts = [(row.row.turns[0].text, row.row.turns[0].input, row.row.response) for row in stays]
    assert len(set(texts)) == len(texts)
    for one in checked:
        assert bool(one.reasons) == (one.outcome != "kept")
    for triple in texts:
        "".join(triple).encode("utf-8")
        assert "\x00" not in "".join(triple)
        assert triple[0].strip()
        assert triple[2].strip()


@pytest.mark.parametrize(
    "other", ["NAME A FRUIT", "name   a\nfruit!", "«Name» a fruit…", "Ｎａｍｅ a fruit", "Name-a fruit?"]
)
def test_case_white_space_and_punctuation_do_not_make_another_prompt(other):
    assert normalised_prompt(single_turn(0, other, "", "")) == normalised_prompt(
        single_turn(1, "Name a fruit.", "", "x")
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Name 1 fruit", "Name 2 fruit"),
        ("梨", "李"),
        ("!", "?"),
        ("+", "-"),
        ("What is 5 + 3?", "What is 5 - 3?"),
        ("Is -5 negative?", "Is 5 negative?"),
        ("Name a use of C.", "Name a use of C++."),
        ("5 × 3", "5 ÷ 3"),
        ("कि", "का"),  # vowel signs of Hindi
        ("😀", "😢"),
    ],
)
def test_other_words_numbers_and_bare_signs_make_another_prompt(one, other):
    assert normalised_prompt(single_turn(0, one, "", "")) != normalised_prompt(single_turn(0, other, "", ""))


def test_the_books_file_has_no_row_to_drop_and_25_repeated_prompts(tmp_path):
    source = read_source(str(book_file()), cache=tmp_path)
    read = read_conversations(source.records, source=source.name)
    assert {row.outcome for row in check_rows(read.rows)} == {"kept"}
    assert (len(read.rows), count_repeated_prompts(read.rows), read.notes) == (1100, 25, [])


# Conversations of several turns


def user(text):
    return Turn("user", text)


def assistant(text, *calls, is_supervised=True):
    return Turn("assistant", text, calls=calls, is_supervised=is_supervised)


def checked(*turns, format="messages", sizes=NOTHING_KNOWN, **chosen):
    return check_rows([Conversation(0, turns, format)], DataSettings(**chosen), sizes)[0]


def test_turns_after_the_last_answer_are_left_out_and_it_is_said():
    one = checked(user("a"), assistant("b"), user("c"))
    assert (one.row.turns, one.outcome) == ((user("a"), assistant("b")), "repaired")
    assert one.reasons == ("the last turn was left out, for no answer follows",)
    unweighted = checked(user("a"), assistant("b"), user("c"), assistant("d", is_supervised=False))
    assert unweighted.row.turns == (user("a"), assistant("b"))
    assert unweighted.reasons == ("the last 2 turns were left out, for no answer follows",)


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ((), "there are no turns"),
        ((user("a"),), "no turn is the assistant's"),
        ((user("a"), assistant("b", is_supervised=False)), "no answer is trained on: all have the weight 0"),
        ((assistant("a"),), "nothing is asked before the first answer"),
        ((Turn("system", "a"), assistant("b")), "nothing is asked before the first answer"),
        ((user("a"), assistant(" "), user("c"), assistant("d")), "turn 2 (assistant) is empty"),
        ((user("a"), assistant("b"), user("\n"), assistant("d")), "turn 3 (user) is empty"),
    ],
)
def test_a_conversation_without_a_question_or_an_answer_is_dropped(turns, reason):
    assert (checked(*turns).outcome, checked(*turns).reasons) == ("dropped", (reason,))


def test_what_may_be_empty_is_kept():
    turns = [Turn("system", ""), user("a"), assistant("", "{}"), Turn("tool", ""), assistant("b")]
    assert checked(*turns).outcome == "kept"
    assert checked(user("a"), assistant("", is_supervised=False), user("b"), assistant("c")).outcome == "kept"


def test_an_empty_answer_is_kept_when_it_is_asked_for():
    assert checked(user("a"), assistant("")).reasons == ("turn 2 (assistant) is empty",)
    assert checked(user("a"), assistant(""), keep_empty_output=True).outcome == "kept"


def test_a_row_larger_than_the_limit_is_dropped_with_its_size():
    one = checked(user("a"), assistant("b"), sizes={0: 2_000}, max_row_bytes=1_999)
    assert one.reasons == ("2,000 bytes, more than data.max_row_bytes of 1,999",)
    assert checked(user("a"), assistant("b"), sizes={0: 1_999}, max_row_bytes=1_999).outcome == "kept"


def test_every_turn_is_repaired_and_named():
    one = checked(user("a\r\n"), assistant("b"), user("c\x00"), assistant("\ud800"))
    assert one.row.turns == (user("a\n"), assistant("b"), user("c"), assistant("\ufffd"))
    assert one.reasons == (
        "turn 1 (user): CRLF became LF",
        "turn 3 (user): NUL characters were removed",
        "turn 4 (assistant): lone surrogates became U+FFFD",
    )


def test_sides_are_named_by_the_fields_of_their_format():
    assert checked(user(""), assistant(""), format="question-answer").reasons == (
        "question is empty",
        "answer is empty",
    )
    assert checked(assistant(" "), format="text").reasons == ("text is empty",)


def test_conversations_that_begin_alike_have_one_prompt_whatever_their_system_text():
    one = Conversation(0, (user("Hi there!"), assistant("a"), user("b"), assistant("c")))
    other = Conversation(1, (Turn("system", "x"), user("hi there"), assistant("d")))
    assert normalised_prompt(one) == normalised_prompt(other) == "hi there"
    assert normalised_prompt(Conversation(2, (assistant("Some text."),), "text")) == "some text"
