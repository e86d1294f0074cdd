import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.book_data import book_file
from support.rows import make_rows

from tutelage.codes import Message
from tutelage.config.recipe import DataSettings
from tutelage.data.formats.formats import read_conversations
from tutelage.data.quality.checks import NOTHING_KNOWN, check_rows, count_repeated_prompts
from tutelage.data.quality.prompt_fingerprint import normalised_prompt
from tutelage.data.rows.conversations import ChatMessage, Conversation, single_exchange_of
from tutelage.data.sources.sources import read_source


def outcome(instruction="a", input="", output="b"):
    checked = check_rows([single_exchange_of(0, instruction, input, output)])[0]
    return checked.outcome, codes(checked.reasons)


def codes(reasons):
    return tuple(reason.code for reason in reasons)


def test_a_good_row_is_kept_to_the_byte():
    row = single_exchange_of(7, " a\n", "\t<|im_end|>\u200b", "b\r")
    assert [(one.row, one.outcome, one.reasons) for one in check_rows([row])] == [(row, "kept", ())]


@pytest.mark.parametrize("blank", ["", " ", "\n\t ", "\u3000", "\x00", "\r\n"])
@pytest.mark.parametrize("field", ["instruction", "output"])
def test_a_row_without_an_instruction_or_an_output_is_dropped(field, blank):
    assert outcome(**{field: blank}) == ("dropped", ("data.empty",))


def test_both_reasons_are_given_and_an_empty_input_is_none():
    assert outcome("", "", "") == ("dropped", ("data.empty", "data.empty"))
    assert outcome(input="") == ("kept", ())


@pytest.mark.parametrize("field", ["instruction", "input", "output"])
@pytest.mark.parametrize(
    ("text", "repaired", "code"),
    [
        ("x\ud800y\udfff", "x\ufffdy\ufffd", "data.lone_surrogate"),
        ("x\x00y", "xy", "data.nul_characters"),
        ("x\r\ny\r\n", "x\ny\n", "data.crlf"),
    ],
)
def test_a_repair_is_done_and_said(field, text, repaired, code):
    fields = {"instruction": "a", "input": "", "output": "b", field: text}
    (checked,) = check_rows([single_exchange_of(0, **fields)])
    assert checked.row == single_exchange_of(0, **fields | {field: repaired})
    assert (checked.outcome, codes(checked.reasons)) == ("repaired", (code,))
    assert checked.reasons[0].text.startswith(f"{field}: ")


def test_an_exact_repeat_is_dropped_and_names_the_first():
    checked = check_rows(
        make_rows([("a", "", "b"), ("a", "", "c"), ("a", "", "b"), ("a\r\n", "", "b"), ("a\n", "", "b")])
    )
    assert [row.outcome for row in checked] == ["kept", "kept", "dropped", "repaired", "dropped"]
    assert checked[2].reasons == (Message("data.duplicate_row", "duplicate of row 0"),)
    assert checked[4].reasons == (Message("data.duplicate_row", "duplicate of row 3"),)


fields = st.text(alphabet=st.sampled_from("ab \n\r\x00\ud800😀"), max_size=4)


@given(st.lists(st.tuples(fields, fields, fields), max_size=30))
def test_every_row_has_one_outcome_and_what_stays_is_clean_and_new(triples):
    checked = check_rows(make_rows(triples))
    assert [row.row.row for row in checked] == list(range(len(triples)))
    stays = [row for row in checked if row.outcome != "dropped"]
    texts = [(row.row.messages[0].text, row.row.messages[0].input, row.row.response) for row in stays]
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
    assert normalised_prompt(single_exchange_of(0, other, "", "")) == normalised_prompt(
        single_exchange_of(1, "Name a fruit.", "", "x")
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
    assert normalised_prompt(single_exchange_of(0, one, "", "")) != normalised_prompt(
        single_exchange_of(0, other, "", "")
    )


def test_the_books_file_has_no_row_to_drop_and_25_repeated_prompts(tmp_path):
    source = read_source(str(book_file()), cache=tmp_path)
    read = read_conversations(source.records, source=source.name)
    assert {row.outcome for row in check_rows(read.rows)} == {"kept"}
    assert (len(read.rows), count_repeated_prompts(read.rows), read.notes) == (1100, 25, [])


# Conversations of several turns


def user(text):
    return ChatMessage("user", text)


def assistant(text, *calls, is_supervised=True):
    return ChatMessage("assistant", text, calls=calls, is_supervised=is_supervised)


def checked(*turns, format="messages", sizes=NOTHING_KNOWN, **chosen):
    return check_rows([Conversation(0, turns, format)], DataSettings(**chosen), sizes)[0]


def test_turns_after_the_last_answer_are_left_out_and_it_is_said():
    one = checked(user("a"), assistant("b"), user("c"))
    assert (one.row.messages, one.outcome) == ((user("a"), assistant("b")), "repaired")
    assert codes(one.reasons) == ("data.messages_after_last_answer",)
    unweighted = checked(user("a"), assistant("b"), user("c"), assistant("d", is_supervised=False))
    assert unweighted.row.messages == (user("a"), assistant("b"))
    assert codes(unweighted.reasons) == ("data.messages_after_last_answer",)


@pytest.mark.parametrize("system", [(), (ChatMessage("system", "s"),)])
def test_a_greeting_before_the_first_prompt_is_left_out_and_it_is_said(system):
    one = checked(*system, assistant("Welcome!"), assistant("Ask me."), user("a"), assistant("b"))
    assert (one.row.messages, one.outcome) == ((*system, user("a"), assistant("b")), "repaired")
    assert codes(one.reasons) == ("data.messages_before_first_prompt",)
    later = checked(*system, user("a"), assistant("b"), assistant("c"))
    assert later.row.messages == (*system, user("a"), assistant("b"), assistant("c")), (
        "what follows a prompt stays"
    )


def test_a_greeting_alone_answers_nothing_even_where_a_question_follows():
    one = checked(assistant("Welcome!"), user("a"))
    assert (one.outcome, codes(one.reasons)) == ("dropped", ("data.no_assistant_message",))


@pytest.mark.parametrize(
    ("turns", "code"),
    [
        ((), "data.no_messages"),
        ((user("a"),), "data.no_assistant_message"),
        ((user("a"), assistant("b", is_supervised=False)), "data.no_supervised_answer"),
        ((assistant("a"),), "data.no_prompt"),
        ((ChatMessage("system", "a"), assistant("b")), "data.no_prompt"),
        ((user("a"), assistant(" "), user("c"), assistant("d")), "data.empty"),
        ((user("a"), assistant("b"), user("\n"), assistant("d")), "data.empty"),
    ],
)
def test_a_conversation_without_a_question_or_an_answer_is_dropped(turns, code):
    assert (checked(*turns).outcome, codes(checked(*turns).reasons)) == ("dropped", (code,))


def test_what_may_be_empty_is_kept():
    turns = [user("a"), assistant("", "{}"), ChatMessage("tool", ""), assistant("b")]
    assert checked(*turns).outcome == "kept"
    assert checked(user("a"), assistant("", is_supervised=False), user("b"), assistant("c")).outcome == "kept"


def test_an_empty_answer_is_kept_when_it_is_asked_for():
    assert codes(checked(user("a"), assistant("")).reasons) == ("data.empty",)
    assert checked(user("a"), assistant(""), keep_empty_output=True).outcome == "kept"


def test_a_row_larger_than_the_limit_is_dropped_with_its_size():
    one = checked(user("a"), assistant("b"), sizes={0: 2_000}, max_row_bytes=1_999)
    assert codes(one.reasons) == ("data.row_too_large",)
    assert checked(user("a"), assistant("b"), sizes={0: 1_999}, max_row_bytes=1_999).outcome == "kept"


def test_every_turn_is_repaired_and_named():
    one = checked(user("a\r\n"), assistant("b"), user("c\x00"), assistant("\ud800"))
    assert one.row.messages == (user("a\n"), assistant("b"), user("c"), assistant("\ufffd"))
    assert [(reason.code, reason.text.split(":")[0]) for reason in one.reasons] == [
        ("data.crlf", "message 1 (user)"),
        ("data.nul_characters", "message 3 (user)"),
        ("data.lone_surrogate", "message 4 (assistant)"),
    ]


def test_sides_are_named_by_the_fields_of_their_format():
    one = checked(user(""), assistant(""), format="question-answer")
    assert [reason.text.split()[0] for reason in one.reasons] == ["question", "answer"]
    (reason,) = checked(assistant(" "), format="text").reasons
    assert (reason.code, reason.text.split()[0]) == ("data.empty", "text")
