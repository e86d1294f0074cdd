"""A run's prompt style in Jinja and in Go writes what the run's renderer writes."""

import json
import re
import shutil
import subprocess
from functools import partial
from itertools import product
from pathlib import Path

import pytest
from jinja2 import TemplateError
from support import tiny_sentencepiece
from support.tiny_sentencepiece import WAYS, sentencepiece_tokenizer
from support.tiny_tokenizer import TOKENIZERS, chatml_tokenizer

from tutelage.data.prompts.chat_templates import render_template
from tutelage.data.prompts.encoding import adds_begin_of_text
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.errors import ModelError
from tutelage.export.style import frame_of, go_template, make_style

CONVERSATIONS = [
    (("user", "你好"),),
    (("user", 'Say "hi"\\n.'), ("assistant", "hi"), ("user", "again"), ("assistant", "hi"), ("user", "more")),
    (("system", "Be brief."), ("user", "Name a fruit.")),
]
GO = shutil.which("go")
RENDERER = Path(tiny_sentencepiece.__file__).with_name("render.go")
STYLES = ["alpaca", "alpaca-compact", "phi3"]


def as_trained(style, said):
    turns = (*(ChatMessage(role, text) for role, text in said), ChatMessage("assistant", ""))
    return style.renderer.prompt_text(Conversation(0, turns))


def messages(said):
    return [{"role": role, "content": text} for role, text in said]


def in_jinja(tokenizer, template, said, *, generation=True):
    tokenizer.chat_template = template
    return render_template(tokenizer, messages(said), add_generation_prompt=generation)


def in_go(template, said):
    """Run the few actions that the product writes: quoted texts, one condition on .System, one range."""
    system = next((text for role, text in said if role == "system"), "")
    chosen = re.fullmatch(
        r"\{\{ if \.System \}\}(.*?)\{\{ else \}\}(.*?)\{\{ end \}\}(\{\{ range.*)", template
    )
    opening, rest = (
        (chosen[1] if system else chosen[2], chosen[3]) if chosen else template.split("{{ range", 1)
    )
    question, answer = re.search(
        r'"user" \}\}(.*?)\{\{ else if eq \.Role "assistant" \}\}(.*?)\{\{ end \}\}', rest
    ).groups()
    written = _fill(opening.replace("{{ .System }}", "\0"), system)
    for role, text in said:
        if role != "system":
            part = question if role == "user" else answer
            written += _fill(part.replace("{{ .Content }}", "\0"), text)
    return written


def _fill(part, text):
    return re.sub(
        r"\0|\{\{ (\"(?:[^\"\\]|\\.)*\") \}\}", lambda hit: text if hit[0] == "\0" else eval(hit[1]), part
    )


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("prompt", STYLES)
@pytest.mark.parametrize("said", CONVERSATIONS)
def test_both_templates_write_what_training_wrote(name, prompt, said):
    tokenizer = TOKENIZERS[name]()
    style = make_style(tokenizer, prompt)
    expected = as_trained(style, said)
    assert in_jinja(tokenizer, style.jinja, said) == expected
    begin = tokenizer.bos_token if name == "adds bos" else ""
    assert begin + in_go(style.go, said) == expected


@pytest.mark.parametrize("blank", ["", " \n"])
@pytest.mark.parametrize("prompt", [prompt for prompt in STYLES if prompt != "chat"])
def test_an_empty_system_text_is_none_in_the_exported_template_too(prompt, blank):
    tokenizer = chatml_tokenizer()
    style = make_style(tokenizer, prompt)
    asked = [("user", "Hi."), ("assistant", "Hello."), ("user", "And?")]
    empty = [("system", blank), *asked]
    assert in_jinja(tokenizer, style.jinja, empty) == in_jinja(tokenizer, style.jinja, asked)
    assert as_trained(style, empty) == as_trained(style, asked)


@pytest.mark.nightly
@pytest.mark.skipif(GO is None, reason="Go, whose templates are Ollama's, is not installed")
def test_gos_own_engine_writes_what_training_wrote():
    kinds = {**TOKENIZERS, **{way: partial(sentencepiece_tokenizer, way) for way in WAYS}}
    cases, expected = [], []
    for make, prompt, said in product(kinds.values(), STYLES, CONVERSATIONS):
        style = make_style(make(), prompt)
        system = next((text for role, text in said if role == "system"), "")
        told = [{"Role": role, "Content": text} for role, text in said]
        cases.append({"Template": style.go, "System": system, "Messages": told})
        begin = style.tokenizer.bos_token if adds_begin_of_text(style.tokenizer) else ""
        expected.append(as_trained(style, said).removeprefix(begin))
    done = subprocess.run(
        [GO, "run", RENDERER], input=json.dumps(cases), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == expected


@pytest.mark.parametrize("said", CONVERSATIONS)
def test_the_chat_style_keeps_the_models_own_template(said):
    tokenizer = chatml_tokenizer()
    style = make_style(tokenizer, "chat")
    assert style.jinja == tokenizer.chat_template
    assert in_go(style.go, said) == as_trained(style, said)


def test_a_wrong_go_template_is_told_apart():
    style = make_style(chatml_tokenizer(), "alpaca")
    said = CONVERSATIONS[1]
    without_end = style.go.replace("<|im_end|>", "")
    assert in_go(without_end, said) != as_trained(style, said)


def test_a_whole_conversation_ends_with_the_end_of_turn():
    tokenizer = chatml_tokenizer()
    style = make_style(tokenizer, "alpaca")
    said = (("user", "a"), ("assistant", "b"))
    assert in_jinja(tokenizer, style.jinja, said, generation=False).endswith("### Response:\nb<|im_end|>")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ((), "has no user message"),
        ((("system", "a"),), "no user message"),
        ((("assistant", "a"),), "turn 1 has the role assistant"),
        ((("user", "a"), ("user", "b")), "turn 2 has the role user"),
        ((("user", "a"), ("assistant", "b"), ("tool", "c")), "turn 3 has the role tool"),
        ((("user", ["a"]),), "not plain text"),
    ],
)
def test_a_conversation_that_the_style_cannot_hold_is_refused_by_the_template(said, told):
    tokenizer = chatml_tokenizer()
    style = make_style(tokenizer, "alpaca")
    with pytest.raises((TemplateError, ModelError), match=told):
        in_jinja(tokenizer, style.jinja, said)


def test_the_begin_of_text_that_ollama_adds_is_not_in_its_template():
    frame = frame_of(make_style(TOKENIZERS["adds bos"](), "alpaca").renderer)
    assert frame.opening.startswith("<s>")
    assert "<s>" not in go_template(frame, begin_of_text="<s>")
