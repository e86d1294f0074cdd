"""The instruction loss against numbers by hand."""

import pytest
import torch

from tutelage.training.objectives import instruction_loss


def test_micro_batches_add_up_to_the_mean_over_all_their_tokens():
    long, short = torch.tensor([-1.0, -2.0, -3.0]), torch.tensor([-10.0])
    parts = [instruction_loss(log_probs, divisor=4).item() for log_probs in (long, short)]
    assert parts == [1.5, 2.5]
    assert sum(parts) == pytest.approx((1 + 2 + 3 + 10) / 4)


def test_every_token_pulls_with_the_same_weight():
    log_probs = torch.tensor([-0.1, -5.0], requires_grad=True)
    instruction_loss(log_probs, divisor=8).backward()
    assert log_probs.grad.tolist() == [-0.125, -0.125]
