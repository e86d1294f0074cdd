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

from tutelage.model import fused_attention, tree_attention
from tutelage.model.tree_attention import attend_under_mask
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

    monkeypatch.setattr(fused_attention, "_gradients", gone)
    assert not fused()


ROWS, COLUMNS, SHARED, WIDTH = 5, 9, 4, 8


def rows_of_a_cache(heads: int, key_heads: int, *, dtype=torch.float64):
    """One new token a row, and what each sees: the last row does not follow the prefix of the others."""
    generator = torch.Generator().manual_seed(3)
    query = torch.randn(heads, ROWS, WIDTH, generator=generator, dtype=torch.float64).transpose(0, 1)
    key, value = (
        torch.randn(ROWS, key_heads, COLUMNS, WIDTH, generator=generator, dtype=torch.float64)
        for _ in range(2)
    )
    key[:, :, :SHARED], value[:, :, :SHARED] = key[:1, :, :SHARED], value[:1, :, :SHARED]
    seen = torch.arange(COLUMNS) < torch.tensor([5, 9, 7, 6, 8])[:, None]
    seen[-1, :SHARED] = False
    return query.to(dtype), key.to(dtype), value.to(dtype), seen


def over_seen_columns(query, key, value, seen) -> torch.Tensor:
    """One row and head at a time, over nothing but what it sees."""
    group = query.shape[1] // key.shape[1]
    mixed = torch.zeros(query.shape, dtype=query.dtype)
    for row, kept in enumerate(seen):
        for head in range(query.shape[1]):
            scores = 0.3 * key[row, head // group][kept] @ query[row, head]
            mixed[row, head] = scores.softmax(-1) @ value[row, head // group][kept]
    return mixed


def behind_shared(query, key, value, seen) -> torch.Tensor:
    shared = key[0, :, :SHARED], value[0, :, :SHARED]
    own = key[:, :, SHARED:], value[:, :, SHARED:]
    return fused_attention.attend_to_rows(query, *own, seen, scaling=0.3, shared=shared)


@pytest.mark.parametrize(("heads", "key_heads"), [(4, 4), (4, 2), (6, 2), (4, 1)])
def test_a_new_token_mixes_what_its_row_and_the_shared_prefix_hold(heads, key_heads):
    query, key, value, seen = rows_of_a_cache(heads, key_heads)
    expected = over_seen_columns(query, key, value, seen)
    alone = fused_attention.attend_to_rows(query, key, value, seen, scaling=0.3)
    torch.testing.assert_close(alone, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(behind_shared(query, key, value, seen), expected, rtol=0, atol=1e-12)
    follows = seen.clone()  # the broken variant: a row that sees a prefix that is not its own
    follows[-1, :SHARED] = True
    wrong = behind_shared(query, key, value, follows) - expected
    assert wrong[-1].abs().max() > 1e-2
    assert wrong[:-1].abs().max() <= 1e-12


def test_a_new_token_in_bfloat16_is_as_near_as_by_plain_products():
    exact = over_seen_columns(*rows_of_a_cache(6, 2))
    given = rows_of_a_cache(6, 2, dtype=torch.bfloat16)
    with patch("tutelage.model.tree_attention.has_fused_attention", return_value=False), torch.no_grad():
        query, key, value, seen = given
        plain = attend_under_mask(query[:, :, None], key, value, seen[:, None, None], scaling=0.3)[:, 0]
    ours = (behind_shared(*given) - exact).abs().mean()
    assert ours < 1.2 * (plain - exact).abs().mean()


@pytest.mark.parametrize("is_asked", [True, False])
def test_only_new_tokens_without_gradients_go_through_the_kernel(is_asked, monkeypatch):
    query, key, value, seen = rows_of_a_cache(4, 2)
    calls = []
    kernel = fused_attention.attend_to_rows
    monkeypatch.setattr(
        tree_attention, "attend_to_rows", lambda *given, **more: calls.append(1) or kernel(*given, **more)
    )
    with torch.set_grad_enabled(not is_asked):
        found = attend_under_mask(query[:, :, None], key, value, seen[:, None, None], scaling=0.3)
    torch.testing.assert_close(found[:, 0], over_seen_columns(query, key, value, seen), rtol=0, atol=1e-12)
    assert len(calls) == int(is_asked)


def test_a_kernel_that_ignores_its_mask_is_not_taken(monkeypatch):
    right = fused_attention.attend_to_rows

    def sees_all(query, key, value, seen, **more):
        return right(query, key, value, torch.ones_like(seen), **more)

    monkeypatch.setattr(fused_attention, "attend_to_rows", sees_all)
    assert not fused_attention.has_fused_attention.__wrapped__()


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
