"""The optimiser against AdamW written by hand."""

import pytest
import torch

from tutelage.config.recipe import TrainingSettings
from tutelage.training.optimizer import make_optimizer, trainable_parameters

SETTINGS = TrainingSettings(
    learning_rate=0.01, weight_decay=0.3, adam_beta1=0.8, adam_beta2=0.95, adam_epsilon=1e-3
)


def small_module() -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Linear(5, 4), torch.nn.LayerNorm(4), torch.nn.Embedding(3, 4)
        ).double()


def some_gradients(module: torch.nn.Module, *, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        for parameter in module.parameters()
    ]


def by_hand(weights, steps: int, *, decays) -> list[torch.Tensor]:
    """AdamW as in Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019), algorithm 2."""
    rate, epsilon = SETTINGS.learning_rate, SETTINGS.adam_epsilon
    beta1, beta2 = SETTINGS.adam_beta1, SETTINGS.adam_beta2
    weights = [weight.detach().clone() for weight in weights]
    means = [torch.zeros_like(weight) for weight in weights]
    squares = [torch.zeros_like(weight) for weight in weights]
    for step in range(1, steps + 1):
        for place, gradient in enumerate(some_gradients(small_module(), seed=step)):
            means[place] = beta1 * means[place] + (1 - beta1) * gradient
            squares[place] = beta2 * squares[place] + (1 - beta2) * gradient**2
            direction = means[place] / (1 - beta1**step)
            size = (squares[place] / (1 - beta2**step)).sqrt() + epsilon
            decay = SETTINGS.weight_decay if decays(weights[place]) else 0.0
            weights[place] = weights[place] - rate * (direction / size + decay * weights[place])
    return weights


def largest_difference(*, decays) -> float:
    module = small_module()
    expected = by_hand(module.parameters(), 3, decays=decays)
    optimizer = make_optimizer(module, SETTINGS)
    for step in range(1, 4):
        for parameter, gradient in zip(module.parameters(), some_gradients(module, seed=step), strict=True):
            parameter.grad = gradient
        optimizer.step()
    pairs = zip(module.parameters(), expected, strict=True)
    return max((parameter - weight).abs().max().item() for parameter, weight in pairs)


def is_matrix(weight: torch.Tensor) -> bool:
    return weight.ndim == 2


def test_three_steps_are_those_of_adamw_by_hand_with_decay_on_matrices_only():
    assert largest_difference(decays=is_matrix) < 1e-12


@pytest.mark.parametrize("decays", [lambda weight: True, lambda weight: False])
def test_decay_on_everything_or_on_nothing_is_caught(decays):
    assert largest_difference(decays=decays) > 1e-4


def test_frozen_parameters_are_not_trained():
    module = small_module()
    module[0].requires_grad_(False)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    assert {names[id(parameter)] for parameter in trainable_parameters(module)} == {
        "1.weight",
        "1.bias",
        "2.weight",
    }
    groups = make_optimizer(module, SETTINGS).param_groups
    assert [[names[id(parameter)] for parameter in group["params"]] for group in groups] == [
        ["2.weight"],
        ["1.weight", "1.bias"],
    ]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_too_coarse_for_small_updates_are_refused(dtype):
    with pytest.raises(AssertionError, match="vanish"):
        make_optimizer(small_module().to(dtype), SETTINGS)
