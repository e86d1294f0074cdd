"""A step that the memory does not hold is made in smaller trees, and is the same step."""

import pytest
import torch
from support.tiny_models import largest_relative_difference, ragged_examples, tiny_model, weights_of

from tutelage.config.recipe import TrainingSettings
from tutelage.errors import MemoryExhaustedError
from tutelage.model.forward import target_log_probs
from tutelage.training import step as step_module
from tutelage.training.memory import is_out_of_memory, step_within_memory
from tutelage.training.optimizer import make_optimizer
from tutelage.training.step import accumulate_gradients, optimizer_step
from tutelage.tree.prefix_tree import merge

EXAMPLES = ragged_examples(24)
SETTINGS = TrainingSettings(learning_rate=1e-3)
NO_MEMORY = "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"


def take_step(monkeypatch, fits, *, max_nodes=2048, says=NO_MEMORY):
    """Make one step where `fits(number, nodes)` tells which tree the memory holds; return its weights and more."""
    tried = []

    def log_probs(model, tree):
        tried.append(len(tree.token_ids))
        if not fits(len(tried), len(tree.token_ids)):
            raise RuntimeError(says)
        return target_log_probs(model, tree)

    monkeypatch.setattr(
        step_module,
        "accumulate_gradients",
        lambda model, cut, **given: accumulate_gradients(model, cut, **given, log_probs=log_probs),
    )
    model = tiny_model("llama")
    optimizer = make_optimizer(model.module, SETTINGS)
    result, max_nodes = step_within_memory(
        lambda nodes: optimizer_step(
            model,
            EXAMPLES,
            optimizer,
            micro_batch_size=24,
            max_grad_norm=1.0,
            max_nodes=nodes,
        ),
        optimizer,
        max_nodes=max_nodes,
    )
    return weights_of(model.module), result, max_nodes, tried


def test_the_trees_are_halved_until_they_fit_and_the_step_stays_the_same(monkeypatch):
    whole = len(merge(EXAMPLES).token_ids)
    expected, straight, untouched, _ = take_step(monkeypatch, lambda number, nodes: True)
    assert untouched == 2048
    found, result, max_nodes, tried = take_step(monkeypatch, lambda number, nodes: nodes <= whole // 3)
    assert max_nodes in (1024, 512, 256, 128)
    assert tried[0] == whole
    assert max(tried[-2:]) <= whole // 3
    assert (result.examples, result.supervised_tokens) == (straight.examples, straight.supervised_tokens)
    assert result.loss == pytest.approx(straight.loss, rel=1e-12)
    assert largest_relative_difference(found, expected) < 1e-10


def test_a_failed_try_whose_gradients_stay_is_caught(monkeypatch):
    """The second tree fails when the gradients of the first are there."""
    expected, *_ = take_step(monkeypatch, lambda number, nodes: True)
    found, *_ = take_step(monkeypatch, lambda number, nodes: number != 2, max_nodes=128)
    assert largest_relative_difference(found, expected) < 1e-10
    monkeypatch.setattr(torch.optim.AdamW, "zero_grad", lambda *_, **__: None)
    found, *_ = take_step(monkeypatch, lambda number, nodes: number != 2, max_nodes=128)
    assert largest_relative_difference(found, expected) > 1e-6


def test_where_not_even_the_smallest_tree_fits_advice_is_given(monkeypatch):
    with pytest.raises(MemoryExhaustedError, match="even with trees of 64 tokens .*can't allocate") as fault:
        take_step(monkeypatch, lambda number, nodes: False)
    assert "lower data.max_length" in str(fault.value)
    assert fault.value.exit_code == 2


def test_another_fault_is_not_taken_for_short_memory(monkeypatch):
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        take_step(monkeypatch, lambda number, nodes: False, says="shapes do not fit")


def test_what_torch_says_when_it_really_gets_no_memory_is_known():
    with pytest.raises(RuntimeError) as fault:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(fault.value)
    assert is_out_of_memory(MemoryError())
