"""System texts: from a field or from a message, once, and an empty one is none unless the chat template shows it."""

import pytest
from support.coded import codes_of
from support.rows import make_records
from support.tiny_tokenizer import TOKENIZERS, chatml_tokenizer

from tutelage.config.recipe import DataSettings
from tutelage.data.formats.formats import read_conversations
from tutelage.data.prompts.prompts import make_renderer
from tutelage.data.quality.checks import check_rows
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.errors import DataError

SYSTEM = ChatMessage("system", "Be brief.")
PAIR = (ChatMessage("user", "Hi."), ChatMessage("assistant", "Hello."))
MESSAGES = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]
OPENED = [{"role": "system", "content": "Be brief."}, *MESSAGES]
BLANKS = ["", " ", "\n\t", "\u3000"]
WORDINGS = ("alpaca", "alpaca-compact", "phi3")


def read(value, **chosen):
    found = read_conversations(make_records([value]), source="rows.json", settings=DataSettings(**chosen))
    return found.rows[0].messages


def rows_of(messages):
    """The formats that have messages."""
    return [
        {"messages": messages},
        {"conversations": messages},
        {"conversations": [{"from": one["role"], "value": one["content"]} for one in messages]},
        {"prompt": messages[:-1], "completion": messages[-1:]},
    ]


@pytest.mark.parametrize("place", range(4))
def test_a_system_field_stands_before_the_messages_of_every_format(place):
    value = rows_of(MESSAGES)[place]
    assert read({**value, "system": "Be brief."}) == (SYSTEM, *PAIR)
    assert read({**value, "system": [{"text": "Be "}, {"type": "text", "text": "brief."}]}) == (SYSTEM, *PAIR)
    assert [read({**value, "system": blank}) for blank in (*BLANKS, None, [])] == [PAIR] * 6


@pytest.mark.parametrize("place", range(4))
def test_a_system_field_beside_a_system_message_counts_once_or_stops(place):
    value = rows_of(OPENED)[place]
    assert read({**value, "system": "Be brief.\n"}) == (SYSTEM, *PAIR)
    assert read({**value, "system": ""}) == (SYSTEM, *PAIR)
    empty = rows_of([{"role": "system", "content": ""}, *MESSAGES])[place]
    assert read({**empty, "system": "Be brief."}) == (SYSTEM, *PAIR)
    with pytest.raises(DataError) as fault:
        read({**value, "system": "Be long."})
    assert (fault.value.code, fault.value.row) == ("data.two_system_texts", 0)


def conversation(*turns):
    return Conversation(0, turns, "messages")


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize("style", WORDINGS)
@pytest.mark.parametrize("name", TOKENIZERS)
def test_an_empty_system_text_is_none_in_the_wordings(name, style, blank):
    renderer = make_renderer(TOKENIZERS[name](), style)
    plain, empty = conversation(*PAIR), conversation(ChatMessage("system", blank), *PAIR)
    assert renderer.prompt_ids(empty) == renderer.prompt_ids(plain)
    later = conversation(*PAIR, ChatMessage("system", blank), *PAIR)
    assert renderer.prompt_ids(later) == renderer.prompt_ids(conversation(*PAIR, *PAIR))
    both = conversation(ChatMessage("system", blank), SYSTEM, *PAIR)
    assert renderer.prompt_ids(both) == renderer.prompt_ids(conversation(SYSTEM, *PAIR))
    assert renderer.prompt_ids(both) != renderer.prompt_ids(plain)


@pytest.mark.parametrize("style", WORDINGS)
def test_the_ledger_says_that_an_empty_system_message_was_left_out(style):
    rows = [
        Conversation(0, (ChatMessage("system", " "), *PAIR), "messages"),
        Conversation(1, PAIR, "messages"),
    ]
    first, second = check_rows(rows, DataSettings(prompt_template=style))
    assert (first.row.messages, first.outcome, codes_of(first.reasons)) == (
        PAIR,
        "repaired",
        ["data.empty_system_message"],
    )
    # They are one prompt and one answer.
    assert (second.outcome, codes_of(second.reasons)) == ("dropped", ["data.duplicate_row"])


def test_the_chat_style_leaves_an_empty_system_message_to_the_template_and_says_so():
    settings = DataSettings(prompt_template="chat")
    empty = {"messages": [{"role": "system", "content": None}, *MESSAGES]}
    found = read_conversations(make_records([empty]), source="rows.json", settings=settings)
    assert codes_of(found.notes) == ["data.empty_system_message"]
    (row,) = check_rows(found.rows, settings)
    assert (row.row.messages, row.outcome) == ((ChatMessage("system", ""), *PAIR), "kept")
    plain = read_conversations(make_records([{"messages": OPENED}]), source="rows.json", settings=settings)
    assert codes_of(plain.notes) == []


SHOW = "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
ASK = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
EVERY_MESSAGE = "{% for m in messages %}" + SHOW + "{% endfor %}" + ASK
WITH_DEFAULT = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}" + EVERY_MESSAGE
)
TEMPLATES = {
    "shows an empty one": EVERY_MESSAGE,
    "has a default that an empty one switches off": WITH_DEFAULT,
    "passes over an empty one": "{% for m in messages %}{% if m.role != 'system' or m.content %}"
    + SHOW
    + "{% endif %}{% endfor %}"
    + ASK,
    "has a default for an empty one": "{% if messages[0].role != 'system' or not messages[0].content %}"
    "<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
    "{% for m in messages %}{% if m.role != 'system' or m.content %}"
    + SHOW
    + "{% endif %}{% endfor %}"
    + ASK,
}


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
@pytest.mark.parametrize("system", ["", "Be brief."])
def test_a_chat_template_is_given_an_empty_system_message_as_it_would_write_it(template, system):
    tokenizer = chatml_tokenizer()
    tokenizer.chat_template = template
    messages = [{"role": "system", "content": system}, *MESSAGES]
    wanted = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    renderer = make_renderer(tokenizer, "chat")
    assert renderer.prompt_text(conversation(ChatMessage("system", system), *PAIR)) == wanted


def test_a_template_without_system_messages_is_given_no_empty_one():
    tokenizer = chatml_tokenizer()
    refusal = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    tokenizer.chat_template = refusal + EVERY_MESSAGE
    renderer = make_renderer(tokenizer, "chat")
    empty = conversation(ChatMessage("system", ""), *PAIR)
    assert renderer.prompt_ids(empty) == renderer.prompt_ids(conversation(*PAIR))
