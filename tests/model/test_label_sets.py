"""Several labels for a text: the probability of a set against torch's own binary cross entropy, one text at a time."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.tiny_models import FAMILIES, own_attention, tiny_model

from tutelage.model.class_head import as_sequence_classifier, label_probabilities, with_class_head
from tutelage.model.forward import target_log_probs
from tutelage.tree.examples import labelled_example
from tutelage.tree.prefix_tree import merge

TEXTS = [(5, 6, 7, 8), (5, 6, 7), (5, 6, 9, 8, 3), (5, 6, 7, 8), (11,)]
LABELS = 3
SETS = [(), (0,), (0, 2), (0, 1, 2)]
OF_TEXT = [2, 0, 1, 3, 2]  # the number of each text's set
WANTED = torch.tensor([[label in SETS[number] for label in range(LABELS)] for number in OF_TEXT]).double()


@pytest.fixture(params=FAMILIES)
def model(request):
    return with_class_head(tiny_model(request.param), LABELS, seed=1, sets=SETS)


def examples():
    return [labelled_example(row, text, OF_TEXT[row]) for row, text in enumerate(TEXTS)]


def logits_alone(model):
    """The logits at each text's last token, without trees: (texts, labels)."""
    with own_attention(model.module):
        return torch.stack([model.module(torch.tensor([text])).logits[0, -1] for text in TEXTS]).double()


def cross_entropy(logits, wanted):
    """torch's mean over labels, times their number: (texts,)."""
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(dim=1)


def test_the_log_probability_of_a_set_is_the_negative_binary_cross_entropy(model):
    with torch.no_grad():
        found = target_log_probs(model, merge(examples())).double()
        expected = -cross_entropy(logits_alone(model), WANTED)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
        with own_attention(model.module):
            padded = target_log_probs(replace(model, fallback_reason="a test"), merge(examples())).double()
        torch.testing.assert_close(padded, expected, atol=1e-5, rtol=0)
        turned = -cross_entropy(logits_alone(model), 1 - WANTED)
        softmax = target_log_probs(replace(model, label_sets=None), merge(examples()[1:3])).double()
    assert (found - turned).abs().max() > 1e-2, "sets with their labels turned round are caught"
    assert (softmax - expected[1:3]).abs().max() > 1e-2, "one label of all for each text is caught"


def test_so_are_the_gradients(model):
    def gradient(loss):
        model.module.zero_grad(set_to_none=True)
        loss.backward()
        return model.module.get_output_embeddings().weight.grad.double().clone()

    over_tree = gradient(-target_log_probs(model, merge(examples())).sum())
    alone = gradient(cross_entropy(logits_alone(model), WANTED).sum())
    other = gradient(cross_entropy(logits_alone(model), torch.ones_like(WANTED)).sum())
    torch.testing.assert_close(over_tree, alone, atol=1e-4, rtol=1e-4)
    assert (over_tree - other).abs().max() > 1e-2


def test_each_label_has_the_sigmoid_of_its_own_logit(model):
    with torch.no_grad():
        expected = logits_alone(model).sigmoid().numpy()
    np.testing.assert_allclose(label_probabilities(model, TEXTS, LABELS), expected, atol=1e-5)
    assert np.abs(expected.sum(axis=1) - 1).max() > 1e-2, "they need not sum to 1"


def test_transformers_own_classifier_is_told_that_labels_stand_by_themselves(model):
    own = as_sequence_classifier(model.module, ["a", "b", "c"], padding=0, several=True)
    assert own.config.problem_type == "multi_label_classification"
    with torch.no_grad(), own_attention(own):
        loss = own(torch.tensor([TEXTS[0]]), labels=WANTED[:1].float()).loss
        expected = cross_entropy(logits_alone(model)[:1], WANTED[:1]).mean() / LABELS
    assert loss.item() == pytest.approx(expected.item(), abs=1e-4)
