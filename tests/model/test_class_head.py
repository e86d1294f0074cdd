"""The head for classes against one text at a time by transformers' own attention."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.tiny_models import FAMILIES, own_attention, tiny_model

from tutelage.model.class_head import (
    as_sequence_classifier,
    class_head_name,
    class_log_probs,
    with_class_head,
)
from tutelage.model.loading import has_sequence_classifier

TEXTS = [(5, 6, 7, 8), (5, 6, 7), (5, 6, 9, 8, 3), (5, 6, 7, 8), (11,)]
CLASSES = 3


@pytest.fixture(params=FAMILIES)
def model(request):
    return with_class_head(tiny_model(request.param), CLASSES, seed=1)


def one_at_a_time(model) -> np.ndarray:
    """Return the log-probabilities of the classes from each text's last token, without trees."""
    with torch.no_grad(), own_attention(model.module):
        logits = [model.module(torch.tensor([text])).logits[0, -1] for text in TEXTS]
    return torch.stack(logits).double().log_softmax(dim=-1).numpy()


def test_classes_over_a_tree_are_those_of_each_text_alone(model):
    np.testing.assert_allclose(class_log_probs(model, TEXTS, CLASSES), one_at_a_time(model), atol=1e-5)


def test_on_padded_rows_they_are_the_same(model):
    with own_attention(model.module):
        padded = class_log_probs(replace(model, fallback_reason="a test"), TEXTS, CLASSES)
    np.testing.assert_allclose(padded, one_at_a_time(model), atol=1e-5)


def test_reading_the_token_before_the_last_is_caught(model):
    cut = [text[:-1] or text for text in TEXTS]
    assert np.abs(class_log_probs(model, cut, CLASSES) - one_at_a_time(model)).max() > 1e-3


def test_the_first_token_of_a_text_says_the_same_alone(model):
    """Which is why nothing behind it is computed where the head reads it."""
    with torch.no_grad(), own_attention(model.module):
        logits = [model.module(torch.tensor([text])).logits[0, 0] for text in TEXTS]
    expected = torch.stack(logits).double().log_softmax(dim=-1).numpy()
    found = class_log_probs(model, [text[:1] for text in TEXTS], CLASSES)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(one_at_a_time(model) - expected).max() > 1e-3


def test_the_head_depends_on_the_seed_alone_and_leaves_the_embedding_as_it_was():
    embedding = tiny_model("llama").module.get_input_embeddings().weight
    first, second, other = (with_class_head(tiny_model("llama"), 2, seed=seed).module for seed in (1, 1, 2))
    name = class_head_name(first)
    weights = [module.get_output_embeddings().weight for module in (first, second, other)]
    assert name == "lm_head"
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(first.get_input_embeddings().weight, embedding)
    assert class_head_name(tiny_model("llama").module) is None


def test_transformers_own_classifier_says_the_same_of_padded_texts(model):
    labels = ["a", "b", "c"]
    own = as_sequence_classifier(model.module, labels, padding=0)
    width = max(map(len, TEXTS))
    rows = torch.tensor([[*text, *[0] * (width - len(text))] for text in TEXTS])
    with torch.no_grad(), own_attention(own):
        found = own(rows, attention_mask=(rows != 0).long()).logits
        other = own(rows[:, : width - 2]).logits
    expected = one_at_a_time(model)
    np.testing.assert_allclose(found.double().log_softmax(dim=-1).numpy(), expected, atol=1e-4)
    assert np.abs(other.double().log_softmax(dim=-1).numpy() - expected).max() > 1e-3
    assert own.config.id2label == dict(enumerate(labels))
    assert has_sequence_classifier(model.module.config.model_type)
    assert not has_sequence_classifier("no-such-family")
