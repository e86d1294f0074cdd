import pytest
from support.rows import WORDS

from tutelage.data.quality.near_duplicates import Prompts
from tutelage.data.quality.prompt_fingerprint import (
    compared_prompt,
    normalised,
    normalised_prompt,
    prompt_digest,
    prompts_of,
)
from tutelage.data.rows.conversations import ChatMessage, Conversation, single_exchange_of


def user(text):
    return ChatMessage("user", text)


def system(text):
    return ChatMessage("system", text)


def assistant(text, *calls, is_supervised=True):
    return ChatMessage("assistant", text, calls=calls, is_supervised=is_supervised)


def row(*turns, number=0, format="messages"):
    return Conversation(number, turns, format)


CHAT = row(user("Hi there!"), assistant("Hello."), user("And now?"), assistant("Go on."))


def test_a_row_of_one_question_is_known_by_the_question_alone():
    assert (
        normalised_prompt(single_exchange_of(0, "Name a fruit!", "A red one.", "x"))
        == "name a fruit a red one"
    )
    assert normalised_prompt(row(assistant("Some text."), format="text")) == "some text"
    assert normalised_prompt(single_exchange_of(0, "!", "", "x")) == "!\n"
    asked = single_exchange_of(0, "Name a fruit!", "A red one.", "x")
    assert compared_prompt(asked) == normalised_prompt(asked)


@pytest.mark.parametrize(
    "other",
    [
        row(user("Hi there!"), assistant("Go on.")),
        row(user("Hi there!"), assistant("Hello."), user("And then?"), assistant("Go on.")),
        row(user("Hi there!"), assistant("Good day."), user("And now?"), assistant("Go on.")),
        row(user("Hi there!"), assistant("Hello.", '{"name": "f"}'), user("And now?"), assistant("Go on.")),
        row(system("Be brief."), *CHAT.messages),
        row(user("Hi there! assistant Hello. user And now?"), assistant("Go on.")),
        row(user("Hi there!"), assistant("Hello."), ChatMessage("tool", "And now?"), assistant("Go on.")),
        row(*CHAT.messages, user("And now?"), assistant("Go on.")),
    ],
)
def test_what_stands_before_the_last_answer_makes_another_prompt(other):
    assert normalised_prompt(other) != normalised_prompt(CHAT)
    assert compared_prompt(other) != compared_prompt(CHAT)


@pytest.mark.parametrize(
    "other",
    [
        row(user("hi there"), assistant("HELLO"), user("and  now"), assistant("Another answer.")),
        row(system(" \n"), *CHAT.messages),
        row(*CHAT.messages[:1], assistant("Hello.", is_supervised=False), *CHAT.messages[2:]),
        row(*CHAT.messages, user("More?"), assistant("No.", is_supervised=False)),
    ],
)
def test_case_blank_system_texts_masks_and_what_follows_make_no_other_prompt(other):
    assert normalised_prompt(other) == normalised_prompt(CHAT)
    assert compared_prompt(other) == compared_prompt(CHAT)


def test_the_prompts_of_earlier_answers_are_those_of_rows_that_end_there():
    longer = row(
        system("Be brief."),
        *CHAT.messages[:3],
        assistant("Go on.", is_supervised=False),
        user("Why?"),
        assistant("So."),
    )
    ends_there = [row(*longer.messages[:3]), row(*longer.messages[:4], assistant("x"))]
    digests = [prompt_digest(normalised_prompt(one)) for one in ends_there]
    assert prompts_of(longer)[1] == [(digests[0], True), (digests[1], False)]
    assert [trained for _, trained in prompts_of(longer, trains_all=False)[1]] == [False, False]
    assert prompts_of(longer)[0] == normalised_prompt(longer)
    assert prompts_of(single_exchange_of(0, "a", "", "b")) == ("a", [])


def near(rows):
    prompts = Prompts()
    for number, one in enumerate(rows):
        prompts.add(number, compared_prompt(one))
    return {(pair.other, pair.row) for pair in prompts.near_duplicates()}


LONG = " ".join(f"{word} and {other}" for word in WORDS for other in WORDS[:5])
QUESTIONS = ["How is a pear peeled?", "What does the harbour cost?", "Who wrote the letter of May?"]


@pytest.mark.parametrize(
    "before", [(system(LONG),), (user(LONG), assistant("Read."))], ids=["system", "history"]
)
def test_a_long_text_that_rows_share_does_not_make_their_questions_alike(before):
    rows = [row(*before, user(question), assistant("x")) for question in QUESTIONS]
    assert near(rows) == set()
    whole = [normalised(f"{LONG} {question}") for question in QUESTIONS]
    found = near([single_exchange_of(0, text, "", "x") for text in whole])
    assert {row for _, row in found} == {1, 2}  # what would go wrong


def test_one_question_on_documents_that_differ_is_not_alike_and_on_one_document_it_is():
    other = " ".join(f"{word} without {word}" for word in reversed(WORDS)) * 3
    documents = [LONG, other, LONG.replace("pear", "bear", 1), LONG.upper()]
    rows = [row(system(text), user("Summarise it."), assistant("x")) for text in documents]
    assert near(rows) == {(0, 2), (0, 3)}
    question = "Name all the trees that this document is about, and say where each of them stands"
    asked = [row(system(LONG), user(text), assistant("x")) for text in (question, f"{question} now")]
    assert near(asked) == {(0, 1)}
