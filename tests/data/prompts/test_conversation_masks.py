"""What is supervised of a conversation, in every prompt style and for every kind of template: known by construction."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tiny_tokenizer import TOKENIZERS, chatml_tokenizer, random_texts, whitespace_eating_tokenizer

from tutelage.data.prompts.prompts import PromptRenderer, make_renderer
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.errors import ModelError

STYLES = ("alpaca", "alpaca-compact", "phi3", "chat")
VARIANTS = {**{name: make() for name, make in TOKENIZERS.items()}, "swallows": whitespace_eating_tokenizer()}
RENDERERS = {(name, style): make_renderer(VARIANTS[name], style) for name in VARIANTS for style in STYLES}
CALL = '{"name": "find", "arguments": {}}'


def user(text, input=""):
    return ChatMessage("user", text, input)


def assistant(text, *calls, is_supervised=True):
    return ChatMessage("assistant", text, calls=calls, is_supervised=is_supervised)


def conversation(*turns, format="messages"):
    return Conversation(0, turns, format)


TWO_ANSWERS = conversation(
    user("Hi."), assistant("Hello."), user("Name a fruit.", "A red one."), assistant("A plum.")
)
CONVERSATIONS = [
    conversation(user("Name a fruit."), assistant("A pear.")),
    TWO_ANSWERS,
    conversation(ChatMessage("system", "Be brief."), *TWO_ANSWERS.messages),
    conversation(user("Find one."), assistant("", CALL), ChatMessage("tool", "pear"), assistant("A pear.")),
    conversation(user("a"), assistant("b", is_supervised=False), user("c"), assistant("d")),
    conversation(user("a"), assistant("b"), assistant("c")),
    conversation(user("A pear."), assistant("A pear."), user("A pear."), assistant("A pear.")),
    conversation(
        user("### Response:\n"), assistant("### Response:\nx"), user("<|im_end|>"), assistant("</s><|end|>")
    ),
    conversation(user("你好"), assistant("早上好😀"), user("مرحبا"), assistant("def f(x):\n\treturn x\n")),
    conversation(assistant("Plain text."), format="text"),
]


def shows_roles(name, style, one):
    """The Llama 2 template of the tests shows no turns but those of user and assistant as what they are."""
    return (
        name != "adds bos" or style != "chat" or {turn.role for turn in one.messages} <= {"user", "assistant"}
    )


CASES = [
    (name, style, one) for name, style in RENDERERS for one in CONVERSATIONS if shows_roles(name, style, one)
]


def supervised_texts(renderer, example):
    return [renderer.tokenizer.decode(example.ids[begin:end]) for begin, end in example.spans]


def faults(renderer, one, train_on="assistant"):
    """Say what of a conversation's example is not as it should be."""
    example = renderer.example(one, train_on=train_on)
    end = renderer.tokenizer.convert_ids_to_tokens(renderer.end_of_turn)
    answers = [turn for turn in one.messages if turn.role == "assistant"]
    trained = [f"{turn.content}{end}" for turn in answers if turn.is_supervised]
    found = []
    if supervised_texts(renderer, example) != (trained if train_on == "assistant" else trained[-1:]):
        found.append("something else than the answers is supervised")
    if renderer.tokenizer.decode(example.prompt_ids) != renderer.tokenizer.decode(renderer.prompt_ids(one)):
        found.append("it is asked otherwise than it is trained")
    whole = renderer.tokenizer.decode(example.ids)
    if renderer.tokenizer.decode(example.response_ids) != trained[-1] or not whole.endswith(trained[-1]):
        found.append("the example does not end with the last answer")
    position = 0
    for turn in one.messages:
        shown = turn.content if turn.role == "assistant" else turn.text.strip()
        position = whole.find(shown, position)
        if position < 0:
            found.append("the turns do not follow each other")
            break
        position += len(shown)
    return found


@pytest.mark.parametrize("train_on", ["assistant", "last"])
@pytest.mark.parametrize(("name", "style", "one"), CASES)
def test_the_answers_and_their_ends_are_supervised_and_nothing_else(name, style, one, train_on):
    assert faults(RENDERERS[name, style], one, train_on) == []


@pytest.mark.parametrize(
    "broken",
    [
        lambda example: replace(
            example, earlier_spans=(), supervised=example.spans[-1][1] - example.spans[-1][0]
        ),
        lambda example: replace(
            example, earlier_spans=tuple((begin - 1, end - 1) for begin, end in example.earlier_spans)
        ),
        lambda example: replace(
            example,
            earlier_spans=tuple((begin, end - 1) for begin, end in example.earlier_spans),
            supervised=example.supervised - len(example.earlier_spans),
        ),
        lambda example: replace(example, supervised=example.supervised + 1),
        lambda example: replace(example, supervised=example.supervised - 1),
    ],
    ids=[
        "first answer lost",
        "shifted by one",
        "end of turn lost",
        "a prompt token too many",
        "a token too few",
    ],
)
@pytest.mark.parametrize("style", STYLES)
def test_a_broken_mask_is_caught(style, broken, monkeypatch):
    renderer, whole = RENDERERS["chatml", style], PromptRenderer.examples
    assert faults(renderer, TWO_ANSWERS) == []
    monkeypatch.setattr(
        PromptRenderer,
        "examples",
        lambda self, rows, *, train_on: [broken(one) for one in whole(self, rows, train_on=train_on)],
    )
    assert faults(renderer, TWO_ANSWERS)


def test_a_mask_found_by_searching_the_text_would_be_wrong():
    """The same words stand in a question and in two answers, so that no search could tell them apart."""
    one = CONVERSATIONS[6]
    renderer = RENDERERS["chatml", "chat"]
    example = renderer.example(one, train_on="assistant")
    text = renderer.tokenizer.decode(example.ids)
    assert text.count("A pear.") == 4
    assert len(example.spans) == 2
    assert example.spans[0][0] > len(renderer.tokenizer.encode("A pear.", add_special_tokens=False))


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "swallows"])
def test_chat_ids_are_those_of_the_models_own_template(name):
    renderer = RENDERERS[name, "chat"]
    messages = [{"role": turn.role, "content": turn.content} for turn in TWO_ANSWERS.messages]
    wanted = renderer.tokenizer.apply_chat_template(messages, tokenize=False)
    ids = list(renderer.example(TWO_ANSWERS, train_on="assistant").ids)
    assert renderer.tokenizer.encode(wanted, add_special_tokens=False)[: len(ids)] == ids
    asked = renderer.tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    assert renderer.prompt_text(TWO_ANSWERS) == asked
    assert renderer.prompt_ids(TWO_ANSWERS) == renderer.tokenizer.encode(asked, add_special_tokens=False)


def test_alpaca_repeats_its_headings_for_each_turn_and_a_system_text_takes_the_place_of_the_opening():
    one = conversation(
        ChatMessage("system", "Be brief."),
        *TWO_ANSWERS.messages[:3],
        ChatMessage("tool", "plum"),
        assistant("A plum."),
    )
    assert RENDERERS["chatml", "alpaca"].prompt_text(one) == (
        "Be brief.\n\n### Instruction:\nHi.\n\n### Response:\nHello.<|im_end|>"
        "\n\n### Instruction:\nName a fruit.\n\n### Input:\nA red one.\n\n### Tool:\nplum\n\n### Response:\n"
    )


def test_phi3_writes_a_marker_before_each_turn():
    assert RENDERERS["phi3", "phi3"].prompt_text(TWO_ANSWERS) == (
        "<|user|>\nHi.\n<|assistant|>\nHello.<|end|>\n<|user|>\nName a fruit.\nA red one.\n<|assistant|>\n"
    )


@pytest.mark.parametrize("style", STYLES)
def test_plain_text_has_one_token_before_it_and_no_words_of_a_style(style):
    one = CONVERSATIONS[-1]
    for name in VARIANTS:
        renderer = RENDERERS[name, style]
        example = renderer.example(one, train_on="assistant")
        assert example.prompt_tokens == 1
        assert renderer.tokenizer.decode(example.response_ids[:-1]) == "Plain text."
    assert RENDERERS["adds bos", style].prompt_text(one) == "<s>"


def test_an_answer_of_a_tool_call_is_text_that_the_model_learns_to_write():
    (first, _) = supervised_texts(
        RENDERERS["chatml", "chat"],
        RENDERERS["chatml", "chat"].example(CONVERSATIONS[3], train_on="assistant"),
    )
    assert first == f"<tool_call>\n{CALL}\n</tool_call><|im_end|>"
    assert (
        assistant("Wait.", CALL, CALL).content
        == f"Wait.{f'{chr(10)}<tool_call>{chr(10)}{CALL}{chr(10)}</tool_call>' * 2}"
    )


def test_everything_is_all_but_the_first_token():
    example = RENDERERS["chatml", "chat"].example(TWO_ANSWERS, train_on="all")
    assert example.spans == ((1, len(example.ids)),)
    last = example.with_response_supervised()
    assert last.spans == ((example.prompt_tokens, len(example.ids)),)


MASKED = conversation(
    ChatMessage("system", "Be brief."),
    user("Name a gas."),
    assistant("I will not say.", is_supervised=False),
    assistant("No.", is_supervised=False),
    user("Please."),
    assistant("Neon."),
    user("And a metal?"),
    assistant("Oak.", CALL, is_supervised=False),
    ChatMessage("tool", "wood"),
    assistant("Tin."),
)


def ids_of_masked_answers(renderer, one):
    """The places of each masked answer and its end of turn, from the lengths of its parts encoded alone."""
    places, position = set(), 0
    for answer in next(renderer._encoded([one]))[-1]:
        position += len(answer.before)
        end = position + len(answer.ids)
        places |= set() if answer.is_supervised else set(range(position, end))
        position = end
    return places, position


@pytest.mark.parametrize("key", [key for key in RENDERERS if shows_roles(*key, MASKED)])
def test_a_masked_answer_stays_masked_where_everything_is_learnt(key):
    renderer = RENDERERS[key]
    example = renderer.example(MASKED, train_on="all")
    masked, tokens = ids_of_masked_answers(renderer, MASKED)
    learnt = {place for begin, end in example.spans for place in range(begin, end)}
    assert learnt == set(range(1, tokens)) - masked
    assert example.supervised == len(learnt) == sum(end - begin for begin, end in example.spans)
    text = "".join(supervised_texts(renderer, example))
    assert [word in text for word in ("I will not say.", "No.", "Oak.", "<tool_call>")] == [False] * 4
    assert [word in text for word in ("Name a gas.", "Please.", "Neon.", "wood", "Tin.")] == [True] * 5
    assert example.prompt_tokens == renderer.example(MASKED, train_on="assistant").prompt_tokens
    unmasked = replace(MASKED, messages=tuple(replace(turn, is_supervised=True) for turn in MASKED.messages))
    assert renderer.example(unmasked, train_on="all").spans == ((1, tokens),)


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (
            "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
            "<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}",
            "fails on a conversation of system, user, assistant, user, assistant: no system",
        ),
        (
            "{% for m in messages %}{% if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endif %}{% endfor %}"
            "{% if add_generation_prompt %}<assistant>{% endif %}",
            "does not render each message (system, user, assistant, user, assistant) exactly once",
        ),
        (
            "{% for m in messages %}<{{ m.role }}>{{ m.content if loop.last or m.role == 'user' else '…' }}{% endfor %}"
            "{% if add_generation_prompt %}<assistant>{% endif %}",
            "does not render each message",
        ),
        (
            "{% for m in messages %}<{{ m.role }}>{% if loop.last and m.role == 'assistant' %}<think>{% endif %}"
            "{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant><think>{% endif %}",
            "starts the assistant message differently",
        ),
    ],
)
def test_a_template_that_shows_a_conversation_otherwise_than_it_is_asked_is_refused(template, told):
    tokenizer = chatml_tokenizer()
    tokenizer.chat_template = template
    renderer = make_renderer(tokenizer, "chat")
    with pytest.raises(ModelError) as fault:
        renderer.example(CONVERSATIONS[2], train_on="assistant")
    assert told in str(fault.value)


texts = st.sampled_from(random_texts(60, seed=30))
exchanges = st.lists(st.tuples(texts, texts), min_size=1, max_size=4)


@given(exchanges, st.sampled_from([key for key in RENDERERS if key[0] != "swallows"]))
def test_any_texts_are_masked_alike(pairs, key):
    one = conversation(*(turn for asked, said in pairs for turn in (user(asked), assistant(said))))
    renderer = RENDERERS[key]
    example = renderer.example(one, train_on="assistant")
    wanted = [
        [
            *renderer.tokenizer.encode(said, add_special_tokens=False, split_special_tokens=True),
            renderer.end_of_turn,
        ]
        for _, said in pairs
    ]
    assert [list(example.ids[begin:end]) for begin, end in example.spans] == wanted
    assert example.supervised == sum(map(len, wanted))


def test_many_conversations_at_once_are_what_each_is_alone(monkeypatch):
    monkeypatch.setattr("tutelage.data.prompts.prompts.CHARACTERS_AT_ONCE", 100)
    for (name, style), renderer in RENDERERS.items():
        rows = [
            replace(one, row=row) for row, one in enumerate(CONVERSATIONS) if shows_roles(name, style, one)
        ]
        at_once = list(renderer.rows(rows, train_on="assistant"))
        assert [one for one, _ in at_once] == rows
        assert [row.example for _, row in at_once] == [
            renderer.example(one, train_on="assistant") for one in rows
        ]
        assert [row.prompt for _, row in at_once] == [renderer.prompt_text(one) for one in rows]
