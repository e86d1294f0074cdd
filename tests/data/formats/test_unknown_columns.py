"""Columns of unknown names: nothing is trained by a guess, and what is proposed is what they hold."""

import re
import shlex

import pytest

from tutelage.config.objectives import OBJECTIVES
from tutelage.config.recipe import DataSettings
from tutelage.data.formats.column_hints import begins_like
from tutelage.data.formats.formats import read_conversations
from tutelage.data.rows.records import Record
from tutelage.errors import DataError

NUMBERS = [{"nr": str(number), "datum": f"0{number}.03.2024"} for number in (1, 2, 3, 4)]
QUESTIONS = ["Was kostet der Versand?", "Wie lange dauert es?", "Wo ist mein Paket?", "Gibt es Rabatt?"]
ANSWERS = [
    "Sieben Euro, im Inland.",
    "Zwei bis drei Tage, meist.",
    "Es ist unterwegs zu Ihnen.",
    "Ab zehn Stück, ja.",
]
NAMES = ["Ann", "Bob", "Cid", "Dan"]
KINDS = ["Versand", "Versand", "Service", "Service"]


def rows(**columns):
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def fault_of(values, objective="instruction", *, offset=None, **chosen):
    records = [Record(row, row + 2, value, offset) for row, value in enumerate(values)]
    with pytest.raises(DataError) as fault:
        read_conversations(
            records, source="rows.csv", settings=DataSettings(**chosen), objective=OBJECTIVES[objective]
        )
    return fault.value


def proposed(values, objective="instruction", **chosen):
    """Return the map that the refusal proposes, and its other options."""
    fault = fault_of(values, objective, **chosen)
    assert fault.code == "data.unknown_columns"
    words = shlex.split(re.search(r"^  tutelage preview rows.csv(.*)$", str(fault), re.MULTILINE)[1])
    pairs = list(zip(words[::2], words[1::2], strict=True))
    found = dict(text.split("=", 1) for option, text in pairs if option == "--map")
    return found, [text for option, text in pairs if option == "--set"]


@pytest.mark.parametrize("order", [("q", "a"), ("a", "q")])
def test_what_has_question_marks_is_asked_whatever_the_order(order):
    columns = {"q": QUESTIONS, "a": ANSWERS}
    values = rows(**{name: columns[name] for name in order}, art=KINDS)
    values = [{**number, **value} for number, value in zip(NUMBERS, values, strict=True)]
    assert proposed(values) == ({"instruction": "q", "output": "a"}, [])


def test_json_is_the_answer_and_the_first_text_is_asked():
    values = rows(fields=['{"a": 1}', '{"a": 2}'], request=["My order has not come.", "The lamp flickers."])
    assert proposed(values)[0] == {"instruction": "request", "output": "fields"}


def test_a_text_that_holds_the_answers_is_what_is_asked_about():
    passages = [
        f"In the year 18{n}0 the town of {town} was founded by a river." for n, town in enumerate("ABC")
    ]
    values = rows(
        p=passages,
        q=["Which town is it?"] * 2 + ["What is its name?"],
        s=["town of a", "town of b", "town of c"],
    )
    assert proposed(values)[0] == {"instruction": "q", "input": "p", "output": "s"}


def test_one_text_for_all_rows_beside_questions_is_the_system_text():
    values = rows(who=["You are a night nurse."] * 3, query=QUESTIONS[:3], said=ANSWERS[:3])
    assert proposed(values)[0] == {"system": "who", "instruction": "query", "output": "said"}


def test_what_columns_hold_outweighs_their_names():
    codes = ["A-1", "B-2", "C-3", "D-4"]
    assert proposed(rows(answer_code=codes, q=QUESTIONS, said=ANSWERS))[0] == {
        "instruction": "q",
        "output": "said",
    }
    assert proposed(rows(answer=QUESTIONS, frage=ANSWERS))[0] == {"question": "answer", "answer": "frage"}
    assert proposed(rows(label=NAMES, mail=ANSWERS, team=KINDS), "classification")[0]["label"] == "team"


def test_names_choose_among_columns_that_hold_the_same_kind_of_thing():
    faults = ["The lamp does not work.", "No light in the hall.", "It smells of gas.", "The door is jammed."]
    assert proposed(rows(solution=ANSWERS, fault=faults))[0] == {"instruction": "fault", "output": "solution"}
    greeted = [f"Dear {name}, all is well." for name in NAMES]
    assert proposed(rows(q=QUESTIONS, reply=greeted, who=NAMES))[0] == {"instruction": "q", "output": "reply"}
    assert proposed(rows(q=QUESTIONS, comment=ANSWERS))[0] == {"instruction": "q", "output": "comment"}
    twice = {"q": QUESTIONS * 2, "verdict": ["yes", "no"] * 4}
    assert proposed(rows(**twice))[0] == {"text": "q", "label": "verdict"}
    assert proposed(rows(q=twice["q"], answer=twice["verdict"]))[0] == {"question": "q"}


@pytest.mark.parametrize(
    ("field", "turns"),
    [
        ("messages", [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Ho."}]),
        ("conversations", [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Ho."}]),
    ],
)
def test_a_column_of_messages_is_proposed_as_such(field, turns):
    values = [{"nr": number, "chat": turns} for number in range(4)]
    assert proposed(values) == ({field: "chat"}, [])


def test_a_short_hint_is_a_word_and_not_the_beginning_of_another():
    assert [begins_like(name, ("art", "label")) for name in ("Art", "art_1", "article", "labels")] == [
        True,
        True,
        False,
        True,
    ]


def test_one_name_like_a_field_of_pairs_makes_no_pairs_of_rows():
    assert fault_of(rows(when=QUESTIONS, said=ANSWERS)).code == "data.unknown_columns"
    assert fault_of(rows(chosn=ANSWERS, rejectd=ANSWERS, prompt=QUESTIONS)).code == "data.missing_field"


def test_names_that_differ_by_case_alone_are_mapped_by_their_names():
    values = rows(Instruction=["Say it.", "Sing it."], Input=["x", "y"], Output=["xx", "yy"])
    assert proposed(values)[0] == {"instruction": "Instruction", "input": "Input", "output": "Output"}


def test_a_classification_is_told_of_text_and_label():
    values = rows(review=ANSWERS, mood=["good", "bad", "good", "bad"])
    found = proposed(values, "classification")
    assert found == ({"text": "review", "label": "mood"}, ["training.objective=classification"])
    assert proposed(values) == found  # for nothing else can be learnt of one text and a few words
    assert "instruction" not in str(fault_of(values, "classification"))


def test_rows_of_a_table_without_a_header_are_mapped_by_the_numbers_of_their_columns():
    values = rows(column1=QUESTIONS, column2=ANSWERS)
    assert proposed(values) == ({"instruction": "column1", "output": "column2"}, ["data.header=false"])


def test_what_is_mapped_already_and_how_the_file_is_read_are_kept():
    values = rows(q=QUESTIONS, a=ANSWERS, note=KINDS)
    found = proposed(values, column_map={"output": "note"}, encoding="latin-1")
    assert found == ({"output": "note", "instruction": "q"}, ["data.encoding=latin-1"])


def test_texts_are_not_trained_alone_where_answers_stand_beside_them():
    values = rows(text=QUESTIONS, reply=ANSWERS)
    assert proposed(values)[0]["output"] == "reply"
    read_conversations(
        [Record(row, row, value) for row, value in enumerate(values)],
        source="rows.csv",
        settings=DataSettings(format="text"),
    )


def test_one_instruction_for_all_rows_needs_input_and_output_alone():
    values = rows(ticket=ANSWERS, json=['{"a": 1}'] * 4)
    settings = DataSettings(instruction="Extract.", column_map={"input": "ticket", "output": "json"})
    records = [Record(row, row, value) for row, value in enumerate(values)]
    read = read_conversations(records, source="rows.csv", settings=settings)
    assert [(one.messages[0].text, one.messages[0].input) for one in read.rows] == [
        ("Extract.", text) for text in ANSWERS
    ]
    assert proposed(values, instruction="Extract.")[0] == {"input": "ticket", "output": "json"}
    own = [{"instruction": "Say it.", "output": "it"}]
    assert fault_of(own, instruction="Extract.").code == "data.instruction_not_used"
    asked = [{"question": "Who?", "answer": "I."}]
    assert fault_of(asked, instruction="Extract.").code == "data.instruction_not_used"


def test_roles_of_other_names_are_read_by_a_setting_and_refused_without_it():
    turns = [{"role": "narrator", "content": "Go on."}, {"role": "assistant", "content": "He went."}]
    assert fault_of([{"messages": turns}], offset=0).code == "data.unknown_role"
    settings = DataSettings(roles={"narrator": "user"})
    read = read_conversations([Record(0, 1, {"messages": turns}, 0)], source="rows", settings=settings)
    assert [turn.role for turn in read.rows[0].messages] == ["user", "assistant"]
