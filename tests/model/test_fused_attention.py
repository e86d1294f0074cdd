"""Attention of long runs by torch's fused kernel: what it takes and keeps, and that a wrong kernel or run is caught."""

from unittest.mock import patch

import pytest
import torch
from support.tiny_models import CPU
from support.tree_plans import (
    RESULTS,
    SIZE,
    attend,
    blocks_of,
    case,
    expected,
    runs_do_not_see_the_first_node,
    runs_forget_what_is_before_them,
    wrong_results,
)

from tutelage.model import fused_attention
from tutelage.model.tree_plan import plan_tree
from tutelage.tree.prefix_tree import merge_prompts


def test_long_runs_on_a_cpu_are_taken_by_the_fused_kernel_and_keep_two_numbers_a_node():
    shared, nodes = tuple(range(40)), 900
    prompts = [(*shared, *[row] * 800) for row in (100, 101)] + [(*shared, 7)]
    plan = plan_tree(merge_prompts(prompts), heads=2, key_heads=1, device=CPU)
    assert [run.nodes.stop - run.nodes.start for run in plan.runs] == [800, 800]
    assert [len(run.before) for run in plan.runs] == [40, 40]
    assert sum(len(batch.query_rows) for batch in plan.batches) == 2 * 41
    with patch("tutelage.model.tree_plan.has_fused_attention", return_value=False):
        assert not plan_tree(merge_prompts(prompts), heads=2, key_heads=1, device=CPU).runs
    tree = merge_prompts([range(nodes)])
    inputs = [torch.randn(1, heads, nodes, SIZE, requires_grad=True) for heads in (2, 1, 1)]
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda x: x):
        attend(*inputs, tree_plan=plan_tree(tree, heads=2, key_heads=1, device=CPU))
    sizes = sorted(tensor.numel() for tensor in saved if tensor is not None)
    assert sizes == sorted([nodes * SIZE * heads for heads in (2, 2, 1, 1)] + [2 * nodes])


def test_a_kernel_that_is_gone_or_gives_something_else_is_not_taken(monkeypatch):
    fused = fused_attention.has_fused_attention.__wrapped__
    assert fused()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert fused()
    right = fused_attention._attend

    def scaled_by(factor: float):
        def attend(*given, **more):
            mixed, log_sums = right(*given, **more)
            return factor * mixed, log_sums

        return attend

    for factor in (1.001, float("nan")):
        with monkeypatch.context() as patched:
            patched.setattr(fused_attention, "_attend", scaled_by(factor))
            assert not fused()

    def gone(*given, **more):
        raise AttributeError("torch.ops.aten has no such operator")

    monkeypatch.setattr(fused_attention, "_slopes", gone)
    assert not fused()


@pytest.mark.parametrize(
    ("fault", "wrong"),
    [(runs_forget_what_is_before_them, set(RESULTS)), (runs_do_not_see_the_first_node, set(RESULTS))],
)
def test_a_wrong_run_is_caught(fault, wrong):
    with blocks_of(4, fused_run=3):
        assert any(run.before is not None for run in case("ragged").plan().runs)
        assert wrong_results(case("ragged"), fault(case("ragged"))) == wrong


def test_a_part_of_a_run_that_is_taken_for_the_whole_is_caught():
    """The broken variant: each part is given its own sums in the backward pass."""
    tried = case("ragged")
    with blocks_of(4, fused_run=3):
        plan = tried.plan()

        def forget_the_sums(output: torch.Tensor) -> None:
            *_, log_sums = output.grad_fn.saved_tensors
            log_sums.data.add_(0.5)

        assert wrong_results(tried, plan, spoil=forget_the_sums) == {"query", "key", "value"}


@pytest.mark.parametrize("apart", range(3))
@pytest.mark.parametrize("fused_run", [768, 3])
def test_queries_keys_and_values_may_lie_in_any_order_of_memory(apart, fused_run):
    def attention(*inputs: torch.Tensor) -> torch.Tensor:
        laid = [part.mT.contiguous().mT if place == apart else part for place, part in enumerate(inputs)]
        return attend(*laid, tree_plan=plan)

    with blocks_of(4, fused_run=fused_run):
        plan = case("ragged").plan()
    for found, one in zip(case("ragged").results(attention), expected(case("ragged")), strict=True):
        torch.testing.assert_close(found, one, rtol=0, atol=1e-12)
