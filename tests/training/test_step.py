"""One optimiser step: accumulation, clipping, what moves and what does not, and the refusal of non-finite numbers."""

import copy
from dataclasses import replace

import pytest
import torch
from support.tiny_models import (
    FAMILIES,
    gradients_of,
    largest_relative_difference,
    mean_loss_one_at_a_time,
    ragged_examples,
    tiny_model,
    weights_of,
)

from tutelage.config.recipe import AdapterSettings, TrainingSettings
from tutelage.errors import NonFiniteError
from tutelage.model.adapters import add_adapter
from tutelage.model.forward import CausalModel
from tutelage.training.cross_entropy import CROSS_ENTROPY
from tutelage.training.objective import LossOutput, Objective
from tutelage.training.optimizer import make_optimizer, trainable_parameters
from tutelage.training.step import accumulate_gradients, optimizer_step
from tutelage.tree.batches import micro_batches
from tutelage.tree.prefix_tree import count_distinct

SETTINGS = TrainingSettings(learning_rate=1e-3, weight_decay=0.1)


@pytest.fixture(params=FAMILIES)
def model(request) -> CausalModel:
    return tiny_model(request.param)


def three_steps(model, *, micro_batch_size, objective=CROSS_ENTROPY):
    """Train a copy of the model on 8 ragged examples a step; return losses, gradient norms and weights."""
    model = replace(model, module=copy.deepcopy(model.module))
    optimizer = make_optimizer(model.module, SETTINGS)
    results = [
        optimizer_step(
            model,
            ragged_examples(8, seed=seed),
            optimizer,
            micro_batch_size=micro_batch_size,
            max_grad_norm=1.0,
            objective=objective,
        )
        for seed in range(3)
    ]
    losses = torch.tensor([(result.loss, result.grad_norm) for result in results], dtype=torch.float64)
    return {"losses": losses, **weights_of(model.module)}


def difference_that_cutting_makes(model, objective=CROSS_ENTROPY) -> float:
    whole = three_steps(model, micro_batch_size=8, objective=objective)
    return max(
        largest_relative_difference(three_steps(model, micro_batch_size=size, objective=objective), whole)
        for size in (1, 2, 4)
    )


def test_the_size_of_micro_batches_changes_nothing_in_three_steps(model):
    assert difference_that_cutting_makes(model) < 1e-10


def test_a_mean_of_the_micro_batches_own_means_is_caught(model, monkeypatch):
    cuts = []

    def counted(*arguments, **limits):
        cuts.append(micro_batches(*arguments, **limits))
        return cuts[-1]

    def mean_of_means(model, tree, units, *, normalizer, statistic, log_probs):
        return LossOutput(-log_probs(model, tree).mean() / len(cuts[-1]))

    monkeypatch.setattr("tutelage.training.step.micro_batches", counted)
    wrong = Objective(mean_of_means, CROSS_ENTROPY.normalizer)
    assert difference_that_cutting_makes(model, wrong) > 1e-3


def test_a_small_budget_of_distinct_tokens_changes_nothing(model):
    unbounded = three_steps(model, micro_batch_size=8)
    assert len(micro_batches(ragged_examples(8), size=8, distinct_tokens=20)) > 2
    bounded = three_steps(replace(model, most_nodes=20), micro_batch_size=8)
    assert largest_relative_difference(bounded, unbounded) < 1e-10


def test_a_step_does_not_carry_gradients_over_to_the_next(model):
    optimizer = make_optimizer(model.module, SETTINGS)
    optimizer_step(
        model,
        ragged_examples(8),
        optimizer,
        micro_batch_size=4,
        max_grad_norm=1.0,
    )
    assert all(parameter.grad is None for parameter in model.module.parameters())


def gradients_in_micro_batches(model, examples, size, *, normalizer):
    cut = micro_batches(examples, size=size, distinct_tokens=2048)
    loss, *_ = accumulate_gradients(model, cut, normalizer=normalizer)
    return {"loss": torch.tensor(loss, dtype=torch.float64), **gradients_of(model.module)}


def hand_gradients(model, examples):
    loss = mean_loss_one_at_a_time(model.module, examples)
    loss.backward()
    return {"loss": loss.detach(), **gradients_of(model.module)}


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_loss_and_gradients_are_those_of_the_mean_over_all_supervised_tokens(model, size):
    examples = ragged_examples(8)
    supervised = sum(example.supervised for example in examples)
    found = gradients_in_micro_batches(model, examples, size, normalizer=supervised)
    assert largest_relative_difference(found, hand_gradients(model, examples)) < 1e-10


def test_a_normalizer_that_counts_one_token_an_example_too_few_is_caught(model):
    examples = ragged_examples(8)
    too_few = sum(example.supervised - 1 for example in examples)
    found = gradients_in_micro_batches(model, examples, 4, normalizer=too_few)
    assert largest_relative_difference(found, hand_gradients(model, examples)) > 1e-2


def test_a_step_counts_its_tokens(model):
    examples = ragged_examples(8)
    result = optimizer_step(
        model,
        examples,
        make_optimizer(model.module, SETTINGS),
        micro_batch_size=1,
        max_grad_norm=1.0,
    )
    assert result.examples == 8
    assert result.supervised_tokens == sum(example.supervised for example in examples)
    # One example a tree shares nothing; its last token is a target only.
    assert result.computed_tokens == sum(len(example.ids) - 1 for example in examples)
    assert result.distinct_tokens == count_distinct(examples) < result.computed_tokens


@pytest.mark.parametrize("share_of_norm", [1e-3, 0.5, 2.0])
def test_gradients_are_clipped_as_by_hand(model, share_of_norm):
    examples = ragged_examples(8)
    expected = hand_gradients(model, examples)
    loss = expected.pop("loss").item()
    norm = torch.cat([gradient.flatten() for gradient in expected.values()]).norm().item()
    before = weights_of(model.module)
    # Plain descent, since AdamW hides the size of its first gradient.
    result = optimizer_step(
        model,
        examples,
        torch.optim.SGD(model.module.parameters(), lr=0.5),
        micro_batch_size=2,
        max_grad_norm=share_of_norm * norm,
    )
    assert result.loss == pytest.approx(loss, rel=1e-12)
    assert result.grad_norm == pytest.approx(norm, rel=1e-10)
    moved = {name: before[name] - weight for name, weight in weights_of(model.module).items()}
    scale = 0.5 * min(1.0, share_of_norm)
    by_hand = {name: scale * gradient for name, gradient in expected.items()}
    # torch divides by the norm + 1e-6.
    assert largest_relative_difference(moved, by_hand) < 1e-6


def test_clipping_each_micro_batch_by_itself_is_caught(model):
    examples = ragged_examples(8)
    supervised = sum(example.supervised for example in examples)
    whole = gradients_in_micro_batches(model, examples, 8, normalizer=supervised)
    limit = 1e-3
    accumulated = {name: torch.zeros_like(gradient) for name, gradient in whole.items()}
    for example in examples:
        part = gradients_in_micro_batches(model, [example], 1, normalizer=supervised)
        norm = torch.cat([gradient.flatten() for name, gradient in part.items() if name != "loss"]).norm()
        for name, gradient in part.items():
            accumulated[name] += gradient * (limit / norm / len(examples))
    norm = torch.cat([gradient.flatten() for name, gradient in whole.items() if name != "loss"]).norm()
    clipped = {name: gradient * limit / norm for name, gradient in whole.items()}
    assert largest_relative_difference(accumulated, clipped) > 1e-2


def model_with_a_fault(kind: str) -> CausalModel:
    model = tiny_model("llama")
    if kind == "loss":
        model.module.lm_head.weight.data[3, 3] = float("inf")
    else:
        model.module.model.norm.weight.register_hook(lambda gradient: gradient * float("inf"))
    return model


def step_on_rows_41_to_48(model):
    examples = [replace(example, row=41 + index) for index, example in enumerate(ragged_examples(8))]
    optimizer_step(
        model,
        examples,
        make_optimizer(model.module, SETTINGS),
        micro_batch_size=4,
        max_grad_norm=1.0,
    )


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_a_non_finite_number_stops_before_the_update_and_names_the_rows(kind):
    model = model_with_a_fault(kind)
    before = weights_of(model.module)
    with pytest.raises(NonFiniteError, match=r"rows \[41, 42, 43, 44, 45, 46, 47, 48\]"):
        step_on_rows_41_to_48(model)
    after = weights_of(model.module)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_a_step_that_goes_on_regardless_is_caught(kind, monkeypatch):
    monkeypatch.setattr("tutelage.training.step._require_finite", lambda *_: None)
    model = model_with_a_fault(kind)
    before = weights_of(model.module)
    step_on_rows_41_to_48(model)
    after = weights_of(model.module)
    assert not all(torch.equal(before[name], after[name]) for name in before)


def share_that_moves(model, optimizer) -> float:
    """Return the share of the trainable scalars that differ after 3 steps at the default rate."""
    before = {
        name: parameter.detach().clone()
        for name, parameter in model.module.named_parameters()
        if parameter.requires_grad
    }
    for seed in range(3):
        optimizer_step(
            model,
            ragged_examples(32, seed=seed),
            optimizer,
            micro_batch_size=8,
            max_grad_norm=1.0,
        )
    after = dict(model.module.named_parameters())
    moved = sum((after[name] != weight).sum().item() for name, weight in before.items())
    return moved / sum(weight.numel() for weight in before.values())


def with_adapter(family: str) -> CausalModel:
    base = tiny_model(family, dtype=torch.bfloat16)
    return CausalModel(add_adapter(base.module, AdapterSettings(), seed=0), base.device, torch.bfloat16)


def types_of_state(optimizer) -> set[torch.dtype]:
    return {value.dtype for state in optimizer.state.values() for value in state.values()}


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_on_a_bfloat16_base_is_float32_and_moves_while_the_base_stays(family):
    model = with_adapter(family)
    frozen = {name: weight for name, weight in weights_of(model.module).items() if "lora_" not in name}
    assert {weight.dtype for weight in frozen.values()} == {torch.bfloat16}
    assert {parameter.dtype for parameter in trainable_parameters(model.module)} == {torch.float32}
    optimizer = make_optimizer(model.module, TrainingSettings())
    assert share_that_moves(model, optimizer) >= 0.99
    assert types_of_state(optimizer) == {torch.float32}
    after = dict(model.module.named_parameters())
    assert all(torch.equal(after[name], weight) for name, weight in frozen.items())


def test_an_adapter_whose_first_halves_never_move_is_caught():
    model = with_adapter("llama")
    for name, parameter in model.module.named_parameters():
        if "lora_A" in name:
            parameter.register_hook(torch.zeros_like)
    assert share_that_moves(model, make_optimizer(model.module, TrainingSettings())) < 0.99


def test_full_tuning_keeps_float32_masters_under_bfloat16_products_and_all_of_them_move():
    # Tied, so that rows of the embedding that no input uses move with the output.
    model = tiny_model("qwen2", dtype=torch.float32, compute_dtype=torch.bfloat16)
    optimizer = make_optimizer(model.module, TrainingSettings())
    assert share_that_moves(model, optimizer) >= 0.99
    assert {parameter.dtype for parameter in model.module.parameters()} == {torch.float32}
    assert types_of_state(optimizer) == {torch.float32}


def test_full_tuning_in_bfloat16_without_masters_is_caught():
    model = tiny_model("qwen2", dtype=torch.bfloat16)
    assert share_that_moves(model, torch.optim.AdamW(model.module.parameters(), lr=5e-4)) < 0.99
    with pytest.raises(AssertionError, match="vanish in bfloat16"):
        make_optimizer(model.module, TrainingSettings())
