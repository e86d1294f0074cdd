import json
from dataclasses import replace

import pytest
from support.coded import codes_of
from support.fake_chat import FakeChat, remembering
from support.rows import make_rows

from tutelage.codes import Message
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.data.synthetic.reflection import improve, question, why_not
from tutelage.data.synthetic.self_instruct import self_instruct_rows

SEEDS = make_rows([(f"Seed task number {number}: sing about {what}.", "", "La.") for number, what in enumerate(
    ("the sea", "a mountain", "old shoes", "rain", "my grandmother", "trains"))])  # fmt: skip
SUBJECTS = [
    "kettles",
    "volcanoes",
    "poetry",
    "chess",
    "bicycles",
    "glaciers",
    "opera",
    "lichens",
    "tax",
    "saffron",
]


def row(instruction, output="Yes.", given=""):
    return {"instruction": instruction, "input": given, "output": output}


def reply_of(*rows):
    return json.dumps({"rows": rows}, ensure_ascii=False)


def on(subject):
    return row(f"Praise {subject}, {subject}!", f"On {subject}.")


def invented(tmp_path, responses, **chosen):
    """Return the invention and the fake, whose replies come one after the other by the seed of the question."""
    chat = FakeChat(lambda question: responses[question.seed % len(responses)])
    settings = {"rows": 4, "rows_per_request": 2, "max_requests": 6, "seed": 0} | chosen
    return self_instruct_rows(SEEDS, remembering(chat, tmp_path), **settings), chat


def test_new_rows_are_taken_until_there_are_enough(tmp_path):
    responses = [
        reply_of(on(one), on(other)) for one, other in zip(SUBJECTS[::2], SUBJECTS[1::2], strict=True)
    ]
    made, chat = invented(tmp_path, responses, rows=5)
    assert [one.row.response for one in made.rows] == [f"On {subject}." for subject in SUBJECTS[:5]]
    assert made.refused == {"more rows than requested": 1}
    assert made.requests == len(chat.questions) == 3


def test_what_repeats_a_row_that_is_there_is_not_taken(tmp_path):
    copy = row(SEEDS[2].messages[0].text.upper() + "!")
    responses = [reply_of(copy, on("chess")), reply_of(on("chess"), on("opera"))]
    made, _ = invented(tmp_path, responses, max_requests=2)
    assert [one.row.response for one in made.rows] == ["On chess.", "On opera."]
    assert made.refused == {"near-duplicate of an existing row": 2}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("Sure! Here are two rows.", "not a readable row"),
        ('{"rows": [{"instruction": "a"', "not a readable row"),
        (reply_of({"instruction": "a", "output": 5, "input": ""}), "not a readable row"),
        ('{"rows": []}', "not a readable row"),
        (reply_of(row("Name a fruit.", " ")), "output is empty"),
        (reply_of(row("", "A pear.")), "instruction is empty"),
        ('{"rows": [{"instruction": "a\\ud800", "input": "", "output": "b"}]}',
         "would need a repair: instruction: lone surrogates were replaced with U+FFFD"),
    ],
)  # fmt: skip
def test_what_is_no_good_row_is_counted_by_its_reason_and_costs_no_more_than_is_allowed(
    tmp_path, reply, reason
):
    made, chat = invented(tmp_path, [reply], max_requests=3)
    assert made.rows == []
    assert made.refused == {reason: 3}
    assert len(chat.questions) == 3


def test_a_question_shows_seeds_and_then_one_row_that_was_made(tmp_path):
    made, chat = invented(tmp_path, [reply_of(on("tax")), reply_of(on("lichens"))], rows=2)
    first, second = (question.messages[0]["content"] for question in chat.questions)
    shown = [
        [one.row for one in SEEDS if json.dumps(one.messages[0].text) in text] for text in (first, second)
    ]
    assert [len(rows) for rows in shown] == [4, 3]
    assert [set(one.made_from) for one in made.rows] == [set(rows) for rows in shown]
    assert "Praise tax" in second
    assert "Write 2 new tasks" in first


def test_after_an_interruption_only_what_was_not_answered_is_asked(tmp_path):
    responses = [reply_of(on(subject)) for subject in SUBJECTS]
    invented(tmp_path, responses, rows=3)
    made, chat = invented(tmp_path, responses, rows=5)
    straight, _ = invented(tmp_path / "other", responses, rows=5)
    assert made == straight
    assert len(chat.questions) == 2


def test_another_seed_shows_other_rows(tmp_path):
    _, one = invented(tmp_path, [reply_of(on("tax"))], max_requests=1)
    _, other = invented(tmp_path, [reply_of(on("tax"))], max_requests=1, seed=7)
    assert one.questions[0].messages != other.questions[0].messages


TALK = Conversation(
    9,
    (ChatMessage("system", "Be brief."), ChatMessage("user", "Hi."), ChatMessage("assistant", "Hello."),
     ChatMessage("user", "Why?"), ChatMessage("assistant", "Because.")),
    "messages",
)  # fmt: skip


def improved(tmp_path, rows, responses, part="response", max_requests=None):
    left = list(responses)
    chat = FakeChat(lambda question: left.pop(0))
    done = improve(rows, remembering(chat, tmp_path), part, max_requests=max_requests, seed=0)
    return done, chat


def test_an_answer_is_written_anew_and_the_rest_of_the_talk_stays(tmp_path):
    (done,), chat = improved(
        tmp_path, [TALK], ['{"reflection": "Too short.", "output": "Because it rained."}']
    )
    assert done.unchanged is None
    assert done.row.messages[:-1] == TALK.messages[:-1]
    assert done.row.response == "Because it rained."
    asked = chat.questions[0].messages[0]["content"]
    assert [asked.index(text) for text in ("Be brief.", "Hi.", "Hello.", "Why?", "Because.")] == sorted(
        asked.index(text) for text in ("Be brief.", "Hi.", "Hello.", "Why?", "Because.")
    )


def test_what_was_repaired_while_reading_does_not_keep_an_answer_from_being_written_anew(tmp_path):
    dropped = (Message("data.null_arguments_dropped", "tool call f: null arguments were dropped: a"),)
    talk = replace(TALK, messages=(ChatMessage("system", ""), *TALK.messages[1:]), repairs=dropped)
    (done,), _ = improved(tmp_path, [talk], ['{"reflection": "", "output": "Because it rained."}'])
    assert (done.unchanged, done.row.response) == (None, "Because it rained.")
    assert done.row.context == talk.context


def test_an_instruction_is_written_anew_with_its_answer(tmp_path):
    reply = json.dumps({"reflection": "Vague.", "instruction": "唱一首歌。", "input": "海", "output": "啦。"})
    (done,), _ = improved(tmp_path, SEEDS[:1], [reply], "instruction")
    assert done.row.messages == (ChatMessage("user", "唱一首歌。", "海"), ChatMessage("assistant", "啦。"))
    assert done.row.row == 0


def test_a_row_stays_as_it_is_where_there_is_nothing_better(tmp_path):
    responses = ["no JSON", '{"reflection": "Good.", "output": "La."}', '{"reflection": "", "output": " "}']
    done, _ = improved(tmp_path, SEEDS, responses, max_requests=3)
    assert [one.row for one in done] == SEEDS
    assert codes_of(one.unchanged for one in done if one.unchanged) == [
        *["synthetic.reply_rejected"] * 3,
        *["synthetic.limit_reached"] * 3,
    ]


def test_a_new_instruction_that_is_like_another_row_is_not_taken(tmp_path):
    copy = {"reflection": "", "instruction": SEEDS[1].messages[0].text, "input": "", "output": "Lo."}
    own = copy | {"instruction": SEEDS[1].messages[0].text + " Now."}
    done, _ = improved(tmp_path, SEEDS[:2], [json.dumps(copy), json.dumps(own)], "instruction")
    assert done[0].unchanged is not None
    assert (done[0].unchanged.code, done[1].unchanged) == ("synthetic.reply_rejected", None)


@pytest.mark.parametrize(
    ("turns", "format", "part", "reason"),
    [
        ((ChatMessage("assistant", "Text."),), "text", "response", "it has no prompt"),
        ((), "messages", "response", "it has no prompt"),
        (SEEDS[0].messages, "text-label", "response", "its answer is a label"),
        (
            (ChatMessage("user", "a"), ChatMessage("assistant", "", calls=("{}",))),
            "messages",
            "response",
            "not a text answer",
        ),
        (TALK.messages[:-1], "messages", "response", "not a text answer"),
        (TALK.messages, "messages", "instruction", "more than one question"),
    ],
)
def test_some_rows_cannot_be_asked_about(tmp_path, turns, format, part, reason):
    row = Conversation(0, turns, format)
    found = why_not(row, part)
    assert found is not None
    assert found.code == "synthetic.not_improvable"
    assert reason in found.text
    (done,), chat = improved(tmp_path, [row], [], part)
    assert (done.row, chat.questions) == (row, [])


def test_a_question_is_one_message_that_any_chat_template_can_show():
    for part in ("response", "instruction"):
        (message,) = question(SEEDS[0], part)
        assert message["role"] == "user"
        assert "reflection" in message["content"]
