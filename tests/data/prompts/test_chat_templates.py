import os

import pytest
from support.tiny_tokenizer import chatml_tokenizer

from tutelage.data.prompts import chat_templates, template_process
from tutelage.data.prompts.chat_templates import render_template
from tutelage.errors import ModelError

ASKED = [{"role": "user", "content": "Name a fruit."}]
HONEST = "<|im_start|>user\nName a fruit.<|im_end|>\n<|im_start|>assistant\n"


def rendered(template=None):
    tokenizer = chatml_tokenizer()
    tokenizer.chat_template = template or tokenizer.chat_template
    return render_template(tokenizer, ASKED, add_generation_prompt=True)


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "it did not finish within 1 seconds",
        ),
        ("{{ 9 ** (9 ** 9) }}", "it did not finish within 1 seconds"),
        ("{{ 'a' * 1000000000 }}", "it needs more than 512 MiB of memory"),
        (
            "{% set n = namespace(s='a') %}{% for i in range(40) %}{% set n.s = n.s ~ n.s %}{% endfor %}{{ n.s }}",
            "it needs more than 512 MiB of memory",
        ),
        ("{{ 'a'.ljust(1000000000) }}", "it needs more than 512 MiB of memory"),
        ("{{ 'a' * 2000000 }}", "it wrote 2,000,000 characters, but the limit is 1,048,576"),
        ("{{ raise_exception('no system turns') }}", "no system turns"),
        ("{% if %}", "Expected an expression"),
    ],
)
def test_a_template_without_end_or_measure_is_refused_and_the_next_one_is_rendered(
    template, fault, monkeypatch
):
    # Long for what ends by itself, which on a busy machine may take a while.
    monkeypatch.setattr(chat_templates, "LONGEST_SECONDS", 1.0 if "not finish" in fault else 60.0)
    with pytest.raises(ModelError) as refusal:
        rendered(template)
    assert str(refusal.value).startswith("The model's chat template fails on a conversation of user: ")
    assert fault in str(refusal.value)
    assert str(refusal.value).endswith("Choose another data.prompt_template.")
    assert rendered() == HONEST


def test_a_text_of_any_length_comes_through_a_process_without_its_measure(monkeypatch):
    """The broken variant of the case of two million characters."""
    request = {
        "template": "", "messages": ASKED, "add_generation_prompt": False, "named_tokens": {},
    }  # fmt: skip
    endless = lambda **_: (["a" * 2_000_000], [])  # noqa: E731
    assert "2,000,000 characters" in template_process.reply_to(request, endless)["fault"]
    monkeypatch.setattr(template_process, "LONGEST_TEXT", 2**30)
    assert len(template_process.reply_to(request, endless)["text"]) == 2_000_000


def test_a_template_is_rendered_as_transformers_itself_renders_it():
    tokenizer = chatml_tokenizer()
    wanted = tokenizer.apply_chat_template(ASKED, tokenize=False, add_generation_prompt=True)
    assert rendered() == wanted == HONEST


def test_templates_share_one_process_and_another_process_has_its_own():
    rendered()
    mine = chat_templates._process(os.getpid())
    assert chat_templates._process(os.getpid()) is mine
    other = chat_templates._process(-1)
    assert other.pid != mine.pid
    other.communicate()
    chat_templates._process.cache_clear()
    assert (other.returncode, rendered()) == (0, HONEST)


def test_a_process_that_does_not_start_is_told(monkeypatch):
    chat_templates._process.cache_clear()
    monkeypatch.setattr(chat_templates.sys, "executable", "/bin/false")
    with pytest.raises(ModelError, match="did not start"):
        rendered()
    monkeypatch.undo()
    assert rendered() == HONEST
