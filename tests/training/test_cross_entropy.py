"""The instruction loss against numbers by hand."""

import pytest
import torch
from support.tiny_models import ragged_examples, tiny_model

from tutelage.training.cross_entropy import CROSS_ENTROPY, count_supervised, cross_entropy
from tutelage.tree.prefix_tree import merge

EXAMPLES = ragged_examples(4)


def loss_of(log_probs: torch.Tensor, *, normalizer: int) -> torch.Tensor:
    """Return the loss where the door to the model gives these log-probabilities."""
    model, tree = tiny_model("llama"), merge(EXAMPLES)
    return cross_entropy(
        model, tree, EXAMPLES, normalizer=normalizer, statistic=None, log_probs=lambda *_: log_probs
    ).loss


def test_micro_batches_add_up_to_the_mean_over_all_their_tokens():
    long, short = torch.tensor([-1.0, -2.0, -3.0]), torch.tensor([-10.0])
    parts = [loss_of(log_probs, normalizer=4).item() for log_probs in (long, short)]
    assert parts == [1.5, 2.5]
    assert sum(parts) == pytest.approx((1 + 2 + 3 + 10) / 4)


def test_every_token_pulls_with_the_same_weight():
    log_probs = torch.tensor([-0.1, -5.0], requires_grad=True)
    loss_of(log_probs, normalizer=8).backward()
    assert log_probs.grad.tolist() == [-0.125, -0.125]


def test_the_normalizer_counts_the_supervised_tokens_and_not_the_examples():
    assert CROSS_ENTROPY.normalizer(EXAMPLES) == count_supervised(EXAMPLES) == len(merge(EXAMPLES).target_ids)
    assert count_supervised(EXAMPLES) > len(EXAMPLES)
