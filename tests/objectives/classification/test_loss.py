"""The weighted loss of a classification against torch's own, and what balances the classes."""

import numpy as np
import pytest
import torch
from support.tiny_models import own_attention, tiny_model

from tutelage.config.recipe import Recipe, TrainingSettings
from tutelage.model.class_head import with_class_head
from tutelage.model.forward import target_log_probs
from tutelage.objectives.classification.loss import balanced_weights, weighted_classes
from tutelage.objectives.classification.training import choose_loss
from tutelage.tree.examples import labelled_example
from tutelage.tree.prefix_tree import merge

TEXTS = [(5, 6, 7, 8), (5, 6, 7), (5, 6, 9, 8, 3), (5, 6), (11, 4), (11, 4, 9)]
CLASSES = [0, 0, 0, 0, 1, 2]
EXAMPLES = [
    labelled_example(row, text, number) for row, (text, number) in enumerate(zip(TEXTS, CLASSES, strict=True))
]
PLAIN = Recipe(training=TrainingSettings(objective="classification"))
SETTINGS = {"objective": "classification", "class_weights": "balanced"}


def test_each_class_weighs_the_same_in_the_end_and_a_row_one_on_average():
    weights = balanced_weights(EXAMPLES)
    of_rows = weights[CLASSES]
    assert of_rows.mean().item() == pytest.approx(1)
    summed = [of_rows[np.array(CLASSES) == number].sum().item() for number in range(3)]
    assert summed == pytest.approx([2, 2, 2])
    assert weights.tolist() == pytest.approx([6 / (3 * 4), 6 / 3, 6 / 3])


def loss_over_trees(model, objective, size):
    """The loss of one step that is cut into micro-batches of a size."""
    normalizer = objective.normalizer(EXAMPLES)
    return sum(
        objective.loss(
            model,
            merge(EXAMPLES[at : at + size]),
            EXAMPLES,
            normalizer=normalizer,
            statistic=None,
            log_probs=target_log_probs,
        ).loss
        for at in range(0, len(EXAMPLES), size)
    )


@pytest.mark.parametrize("size", [1, 2, 6])
def test_loss_and_gradients_are_those_of_torchs_weighted_cross_entropy_over_the_rows(size):
    model = with_class_head(tiny_model("llama"), 3, seed=1)
    head = model.module.get_output_embeddings().weight
    objective = choose_loss(Recipe(training=TrainingSettings(**SETTINGS)), EXAMPLES)
    loss = loss_over_trees(model, objective, size)
    [found] = torch.autograd.grad(loss, head)
    with own_attention(model.module):
        logits = torch.stack([model.module(torch.tensor([text])).logits[0, -1] for text in TEXTS])
    weights = torch.tensor([0.5, 2.0, 2.0], dtype=logits.dtype)
    wanted = torch.nn.functional.cross_entropy(logits, torch.tensor(CLASSES), weights, reduction="sum") / 6
    [expected] = torch.autograd.grad(wanted, head)
    assert loss.item() == pytest.approx(wanted.item(), abs=1e-6)
    assert torch.allclose(found, expected, atol=1e-6)
    plain = choose_loss(PLAIN, EXAMPLES)
    [other] = torch.autograd.grad(loss_over_trees(model, plain, size), head)
    assert (other - expected).abs().max() > 1e-3, "without the weights it would be found out"


def test_equal_weights_are_the_plain_objective():
    model = with_class_head(tiny_model("llama"), 3, seed=1)
    plain = choose_loss(PLAIN, EXAMPLES)
    same = weighted_classes(torch.ones(3))
    assert loss_over_trees(model, same, 2).item() == pytest.approx(loss_over_trees(model, plain, 2).item())
