from dataclasses import replace

import pytest
from support.tiny_tokenizer import chatml_tokenizer

from tutelage.data.prompts.prompts import make_renderer
from tutelage.data.rows.conversations import ChatMessage, Conversation, single_exchange_of
from tutelage.evaluation.eval_sets.leak_check import TrainedPrompts

TOKENIZER = chatml_tokenizer()
TURNS = (
    ChatMessage("system", "Be brief."),
    ChatMessage("user", "Name a fruit."),
    ChatMessage("assistant", "A pear."),
    ChatMessage("user", "Name a tree."),
    ChatMessage("assistant", "An oak."),
)


def rendered(style, *rows, train_on="assistant"):
    return [row for _, row in make_renderer(TOKENIZER, style).rows(rows, train_on=train_on)]


def conversation(*turns):
    return Conversation(0, turns, "messages")


@pytest.mark.parametrize("style", ["alpaca", "phi3", "chat"])
def test_a_prompt_that_an_earlier_answer_had_in_training_is_known(style):
    asked = [conversation(*TURNS[:3]), conversation(*TURNS), single_exchange_of(0, "Name a tree.", "", "x")]
    last, whole, other = (row.prompt for row in rendered(style, *asked))
    shouted = rendered(style, conversation(TURNS[0], ChatMessage("user", "NAME A FRUIT"), TURNS[2]))[0].prompt
    trained = TrainedPrompts(rendered(style, conversation(*TURNS)), TOKENIZER)
    assert (last in trained, whole in trained, shouted in trained, other in trained) == (
        True,
        True,
        True,
        False,
    )
    masked = conversation(*TURNS[:2], replace(TURNS[2], is_supervised=False), *TURNS[3:])
    assert last not in TrainedPrompts(rendered(style, masked), TOKENIZER)
    alone = TrainedPrompts(rendered(style, conversation(*TURNS), train_on="last"), TOKENIZER)
    assert (last in alone, whole in alone) == (False, True)
    everything = TrainedPrompts(rendered(style, conversation(*TURNS), train_on="all"), TOKENIZER)
    assert (last in everything, whole in everything, other in everything) == (True, True, False)
