from dataclasses import replace

import pytest
from support.tiny_tokenizer import chatml_tokenizer

from tutelage.config.recipe import DataSettings
from tutelage.data.dataset.fingerprints import changed_parts, fingerprints_of
from tutelage.data.prompts.encoding import Control
from tutelage.data.prompts.prompts import PromptedAnswer, make_renderer


def parts(
    *, style="alpaca", tokenizer=None, renderer=None, data="1" * 64, weights="2" * 64, context=512, **chosen
):
    settings = DataSettings(prompt_template=style, **chosen)
    renderer = renderer or make_renderer(tokenizer or chatml_tokenizer(), style)
    return fingerprints_of(data, settings, renderer, context_length=context, weights=weights)


@pytest.mark.parametrize("style", ["alpaca", "alpaca-compact", "phi3", "chat"])
def test_the_same_things_are_the_same_rows(style):
    assert changed_parts(parts(style=style), parts(style=style)) == []


def test_whatever_is_changed_is_named():
    before = parts()
    assert changed_parts(before, parts(data="3" * 64)) == ["data"]
    assert changed_parts(before, parts(weights="3" * 64)) == ["model"]
    assert changed_parts(before, parts(context=256)) == ["settings"]
    assert changed_parts(before, parts(split="position")) == ["settings"]
    assert changed_parts(before, parts(style="phi3")) == ["prompt", "settings"]
    assert changed_parts(before, parts(license="MIT")) == []  # which is only told
    assert changed_parts({}, before) == ["data", "model", "tokenizer", "prompt", "settings"]


def test_an_adapter_that_is_other_new_or_gone_is_named():
    before, without = parts() | {"adapter": "4" * 64}, parts()
    assert "adapter" not in without
    assert changed_parts(before, before) == []
    assert changed_parts(before, without | {"adapter": "5" * 64}) == ["adapter"]
    assert changed_parts(before, without) == changed_parts(without, before) == ["adapter"]


def test_a_tokenizer_of_the_same_name_with_one_more_token_is_another():
    tokenizer = chatml_tokenizer()
    tokenizer.add_tokens(["quokka"])
    assert changed_parts(parts(), parts(tokenizer=tokenizer)) == ["tokenizer"]


def test_another_wording_under_the_same_name_is_another_prompt():
    renderer = make_renderer(chatml_tokenizer(), "alpaca")

    def lay_out(conversation):
        return [
            PromptedAnswer([*answer.before, " "], answer.text, True)
            for answer in renderer.lay_out(conversation)
        ]

    def with_control(conversation):
        return [
            PromptedAnswer([Control("<|im_end|>"), *one.before], one.text, True)
            for one in renderer.lay_out(conversation)
        ]

    for other in (lay_out, with_control):
        assert changed_parts(parts(), parts(renderer=replace(renderer, lay_out=other))) == ["prompt"]


def test_another_chat_template_is_another_prompt():
    tokenizer = chatml_tokenizer()
    tokenizer.chat_template += "\n"
    assert changed_parts(parts(style="chat"), parts(style="chat", tokenizer=tokenizer)) == ["prompt"]
    assert changed_parts(parts(), parts(tokenizer=tokenizer)) == []  # which asks for no template
