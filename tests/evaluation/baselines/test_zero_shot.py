"""The base model's choice by names, against one text and one name at a time by transformers' own attention."""

import numpy as np
import pytest
import torch
from support.tiny_models import CPU, own_attention
from support.tiny_tokenizer import write_tiny_model
from transformers import AutoModelForCausalLM

from tutelage.errors import RecipeError
from tutelage.evaluation.baselines.zero_shot import AFTER, BEFORE, END, classes_by_names, name_examples
from tutelage.model.answer_log_probs import answer_log_probs
from tutelage.model.forward import CausalModel
from tutelage.model.loading import context_length, load_tokenizer
from tutelage.model.tree_attention import ATTENTION

TEXTS = [
    "Win a fig now",
    "I ate a plum today",
    "Call me, the kiwi is late",
    "Free",
    "A pear and a peach were seen",
]
CLASSES = ["talk", "prize", "prize draw"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def tokenizer(folder):
    return load_tokenizer(folder)


@pytest.fixture(scope="module")
def model(folder):
    module = AutoModelForCausalLM.from_pretrained(folder, attn_implementation=ATTENTION, dtype=torch.float64)
    return CausalModel(module.eval(), CPU, torch.float64)


def by_hand(model, tokenizer, text, name, *, end=END):
    """Sum the log-probabilities of a name's tokens after its prompt, without a tree."""
    prompt = [
        token
        for part in (BEFORE.format(labels=", ".join(CLASSES)), text, AFTER)
        for token in tokenizer.encode(part, add_special_tokens=False)
    ]
    ids = prompt + tokenizer.encode(f" {name}{end}", add_special_tokens=False)
    with torch.no_grad(), own_attention(model.module):
        log_probs = model.module(torch.tensor([ids])).logits[0].log_softmax(dim=-1)
    return sum(log_probs[place - 1, ids[place]].item() for place in range(len(prompt), len(ids)))


def test_the_label_is_the_one_whose_name_is_most_probable_after_the_text(model, tokenizer, folder):
    scores = np.array([[by_hand(model, tokenizer, text, name) for name in CLASSES] for text in TEXTS])
    examples = name_examples(tokenizer, TEXTS, CLASSES, context_length=context_length(folder))
    found = answer_log_probs(model, examples).reshape(scores.shape)
    np.testing.assert_allclose(found, scores, atol=1e-10)
    given = classes_by_names(model, tokenizer, TEXTS, CLASSES, context_length=context_length(folder))
    assert given.tolist() == scores.argmax(axis=1).tolist()
    without_end = np.array(
        [[by_hand(model, tokenizer, text, name, end="") for name in CLASSES] for text in TEXTS]
    )
    assert (without_end[:, 1] > without_end[:, 2]).all(), "a name that begins another would always win"
    assert np.abs(without_end - found).max() > 1e-2


def test_a_text_too_long_for_the_context_is_cut_at_its_end_and_nothing_else_is(tokenizer):
    short, long = (
        name_examples(tokenizer, [text], CLASSES, context_length=120) for text in ("Win", "Win " * 300)
    )
    assert max(len(example.ids) for example in long) == 120
    for one, other in zip(short, long, strict=True):
        assert other.response_ids == one.response_ids
        assert other.ids[:20] == one.ids[:20]
        assert other.prompt_ids[-3:] == one.prompt_ids[-3:], "the question after the text stays"


def test_names_that_do_not_fit_are_refused_with_the_setting(tokenizer):
    with pytest.raises(RecipeError, match="evaluation.zero_shot puts the names of all 200 labels"):
        name_examples(tokenizer, TEXTS, [f"label {n}" for n in range(200)], context_length=512)
