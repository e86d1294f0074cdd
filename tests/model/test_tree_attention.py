"""Attention by itself: over a tree and under a mask, against plain loops, and what a node can and cannot see."""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from support.tiny_models import (
    CPU,
    FAMILIES,
    own_attention,
    ragged_examples,
    tiny_model,
)
from support.tree_plans import (
    PROMPTS,
    RESULTS,
    SCALING,
    SIZE,
    SIZES,
    Case,
    a_batch_answers_the_rows_of_another,
    attend,
    blocks_forget_what_is_above_them,
    blocks_of,
    case,
    expected,
    heads_are_grouped_the_other_way_round,
    keys_of_a_batch_are_those_before_them,
    nodes_do_not_see_themselves,
    nodes_see_the_one_after_them,
    one_use_of_each_key_is_counted,
    padded_queries_count,
    padded_queries_count_and_see_all,
    paths_hold_a_siblings_node,
    wrong_results,
)
from transformers.models.llama.modeling_llama import eager_attention_forward

from tutelage.model.forward import run_tree
from tutelage.model.tree_attention import SharedPrefix
from tutelage.model.tree_plan import plan_tree
from tutelage.tree.prefix_tree import merge, merge_prompts


@pytest.mark.parametrize(("heads", "key_heads"), [(2, 2), (4, 2), (6, 2), (8, 2), (3, 1)])
@pytest.mark.parametrize("name", PROMPTS)
def test_attention_over_a_tree_and_its_gradients_are_those_of_loops_over_each_path(name, heads, key_heads):
    tried = case(name, heads, key_heads)
    assert wrong_results(tried, tried.plan()) == set()


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("name", PROMPTS)
def test_attention_over_a_tree_is_the_same_in_blocks_and_batches_of_any_size(name, sizes):
    tried = case(name)
    with blocks_of(**sizes):
        assert wrong_results(tried, tried.plan()) == set()


def test_scores_of_a_long_path_are_never_in_memory_as_a_whole():
    nodes = 3000
    with patch("tutelage.model.tree_plan.has_fused_attention", return_value=False):
        plan = plan_tree(merge_prompts([range(nodes)]), heads=2, key_heads=1, device=CPU)
    assert max(batch.seen.shape[1] for batch in plan.batches) == 128
    assert max(batch.seen.numel() for batch in plan.batches) * 2 <= 2**22
    assert not plan.is_whole
    inputs = [torch.randn(1, heads, nodes, SIZE, requires_grad=True) for heads in (2, 1, 1)]
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda x: x):
        output = attend(*inputs, tree_plan=plan)
    assert max(tensor.numel() for tensor in saved if tensor is not None) == 2 * nodes * SIZE
    output.sum().backward()


def test_weights_of_many_scores_are_not_kept_though_one_batch_has_them():
    def kept(scores: int) -> tuple[bool, bool]:
        with blocks_of(4, kept=scores):
            plan = case("ragged").plan()
            inputs = (part.clone().requires_grad_() for part in case("ragged").inputs)
            output = attend(*inputs, tree_plan=plan)
        return plan.is_whole, output.grad_fn.saved_tensors[-1] is not None

    with blocks_of(4):
        scores = case("ragged").plan().batches[0].scores
    assert kept(scores) == (True, True)
    assert kept(scores - 1) == (True, False)


@pytest.mark.parametrize("fused_run", [768, 1])
def test_the_gradients_over_a_tree_are_those_of_finite_differences(fused_run):
    tree = merge_prompts([(1, 2, 3), (1, 2, 4, 5), (6,)])
    generator = torch.Generator().manual_seed(0)
    inputs = [
        torch.randn(
            1, heads, len(tree.token_ids), 2, generator=generator, dtype=torch.float64, requires_grad=True
        )
        for heads in (2, 1, 1)
    ]
    with blocks_of(2, fused_run=fused_run):
        plan = plan_tree(tree, heads=2, key_heads=1, device=CPU)
    assert torch.autograd.gradcheck(lambda *inputs: attend(*inputs, tree_plan=plan), inputs)


@pytest.mark.parametrize("name", ["ragged", "a long prefix and many leaves", "a branch at every depth"])
@pytest.mark.parametrize(
    ("fault", "wrong"),
    [
        (paths_hold_a_siblings_node, set(RESULTS)),
        (blocks_forget_what_is_above_them, set(RESULTS)),
        (nodes_see_the_one_after_them, set(RESULTS)),
        (nodes_do_not_see_themselves, set(RESULTS)),
        (heads_are_grouped_the_other_way_round, set(RESULTS)),
        (one_use_of_each_key_is_counted, {"key", "value"}),
        (padded_queries_count, {"value"}),  # they see one key, whose weight is 1 whatever its score
        (padded_queries_count_and_see_all, {"key", "value"}),
    ],
)
def test_a_wrong_plan_is_caught(name, fault, wrong):
    assert wrong_results(case(name), fault(case(name))) == wrong
    with blocks_of(4, scores=3000):
        assert wrong_results(case(name), fault(case(name))) == wrong


@pytest.mark.parametrize(
    ("fault", "wrong"),
    [
        (a_batch_answers_the_rows_of_another, {"output", "query"}),
        (keys_of_a_batch_are_those_before_them, {"key", "value"}),
    ],
)
def test_wrong_rows_of_a_plan_of_several_batches_are_caught(fault, wrong):
    with blocks_of(4, scores=200):
        assert len(case("ragged").plan().batches) > 3
        assert wrong_results(case("ragged"), fault(case("ragged"))) == wrong


def test_a_backward_pass_without_the_scale_is_caught():
    def forget_the_scale(output: torch.Tensor) -> None:
        output.grad_fn.scaling = 1.0

    tried = case("ragged")
    assert wrong_results(tried, tried.plan(), spoil=forget_the_scale) == {"query", "key"}


BFLOAT16 = (torch.bfloat16,) * 3


@pytest.mark.parametrize("name", PROMPTS)
def test_over_a_tree_bfloat16_rounds_by_less_than_its_step(name):
    tried = case(name).rounded()
    plan = tried.plan()
    found = tried.results(lambda *inputs: attend(*inputs, tree_plan=plan), *BFLOAT16)
    assert {tensor.dtype for tensor in found} == {torch.bfloat16}
    for one, exact in zip(found, expected(tried), strict=True):
        assert (one - exact).norm() <= torch.finfo(torch.bfloat16).eps * exact.norm()


@pytest.mark.parametrize("name", PROMPTS)
def test_queries_and_keys_that_autocast_left_in_float32_are_attended_with_values_in_bfloat16(name):
    tried = case(name).rounded()
    plan = tried.plan()

    def attention(*inputs: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return attend(*inputs, tree_plan=plan)

    found = tried.results(attention, torch.float32, torch.float32, torch.bfloat16)
    assert [tensor.dtype for tensor in found] == [
        torch.bfloat16,
        torch.float32,
        torch.float32,
        torch.bfloat16,
    ]
    again = tried.results(lambda *inputs: attend(*inputs, tree_plan=plan), *BFLOAT16)
    assert all(torch.equal(one, other) for one, other in zip(found, again, strict=True))


def summed_in_bfloat16(uses, gradient, first_uses, mode) -> torch.Tensor:
    assert mode == "sum"
    sums = []
    for begin, end in pairwise([*first_uses.tolist(), len(uses)]):
        total = torch.zeros_like(gradient[0])
        for use in uses[begin:end]:
            total = total + gradient[use]
        sums.append(total)
    return torch.stack(sums)


def test_the_gradients_of_a_key_are_summed_over_its_uses_in_float32():
    prefix = tuple(range(8))
    tree = merge_prompts([(*prefix, 200 + row) for row in range(64)])
    nodes = len(tree.token_ids)
    generator = torch.Generator().manual_seed(0)

    def of_one_sign(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64) + 0.5

    inputs = (of_one_sign(1, 4, nodes, SIZE), *(of_one_sign(1, 2, nodes, SIZE) for _ in range(2)))
    tried = Case(tree, inputs, of_one_sign(1, nodes, 4, SIZE)).rounded()
    plan = tried.plan()

    def errors_of_the_prefix() -> list[float]:
        found = tried.results(lambda *inputs: attend(*inputs, tree_plan=plan), *BFLOAT16)
        both = [
            (one[:, :, : len(prefix)], exact[:, :, : len(prefix)])
            for one, exact in zip(found[2:], expected(tried)[2:], strict=True)
        ]
        return [((one - exact).norm() / exact.norm()).item() for one, exact in both]

    half_a_step = torch.finfo(torch.bfloat16).eps / 2
    assert max(errors_of_the_prefix()) < half_a_step
    with patch("tutelage.model.tree_attention.embedding_bag", summed_in_bfloat16):
        assert min(errors_of_the_prefix()) > half_a_step


BATCH, QUERIES, KEYS = 3, 5, 9


def masked_tensors(heads: int, key_heads: int, dtype=torch.float64) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(heads * key_heads)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    seen = torch.rand(BATCH, 1, QUERIES, KEYS, generator=generator) < 0.6
    seen[..., 0] = True  # no query is blind
    return (
        normal(BATCH, heads, QUERIES, SIZE),
        normal(BATCH, key_heads, KEYS, SIZE),
        normal(BATCH, key_heads, KEYS, SIZE),
        seen,
    )


def by_loops(query, key, value, seen) -> torch.Tensor:
    """One row, head and query at a time, over nothing but the keys that it sees."""
    batch, heads, queries, size = query.shape
    group = heads // key.shape[1]
    mixed = torch.zeros(batch, queries, heads, size, dtype=query.dtype)
    for row in range(batch):
        for head in range(heads):
            for place in range(queries):
                kept = seen[row, 0, place]
                scores = SCALING * key[row, head // group][kept] @ query[row, head, place]
                mixed[row, place, head] = scores.softmax(-1) @ value[row, head // group][kept]
    return mixed


@pytest.mark.parametrize(("heads", "key_heads"), [(4, 4), (4, 2), (6, 2), (4, 1)])
def test_attention_under_a_mask_is_that_of_loops_over_the_seen_keys(heads, key_heads):
    tensors = masked_tensors(heads, key_heads)
    torch.testing.assert_close(attend(*tensors), by_loops(*tensors), rtol=0, atol=1e-12)


SHARED = 4


def behind_shared(query, key, value, seen) -> torch.Tensor:
    """Attend where the first keys and values are those of the first row, held once for all rows."""
    shared = SharedPrefix([(key[0, :, :SHARED], value[0, :, :SHARED])])
    return attend(query, key[:, :, SHARED:], value[:, :, SHARED:], seen, shared_prefix=shared)


@pytest.mark.parametrize(("heads", "key_heads"), [(4, 4), (4, 2), (6, 2), (4, 1)])
def test_keys_that_rows_share_are_as_if_each_row_had_them(heads, key_heads):
    query, key, value, seen = masked_tensors(heads, key_heads)
    for part in (key, value):
        part[:, :, :SHARED] = part[:1, :, :SHARED]
    torch.testing.assert_close(
        behind_shared(query, key, value, seen), by_loops(query, key, value, seen), rtol=0, atol=1e-12
    )
    other = key.clone()
    other[1:, :, 0] += 1  # the broken variant: rows that do not share what is held for all
    assert (behind_shared(query, key, value, seen) - by_loops(query, other, value, seen)).abs().max() > 1e-2


def test_under_a_mask_heads_grouped_the_other_way_round_are_caught():
    query, key, value, seen = masked_tensors(4, 2)
    swapped = attend(query, key.flip(1), value.flip(1), seen)
    assert (swapped - by_loops(query, key, value, seen)).abs().max() > 0.1


def test_under_a_mask_bfloat16_is_as_near_as_that_of_transformers():
    exact = by_loops(*masked_tensors(4, 2))
    query, key, value, seen = masked_tensors(4, 2, dtype=torch.bfloat16)
    module = SimpleNamespace(num_key_value_groups=2, training=False)
    added = torch.zeros(seen.shape, dtype=torch.bfloat16).masked_fill(~seen, torch.finfo(torch.bfloat16).min)
    theirs, _ = eager_attention_forward(module, query, key, value, added, scaling=SCALING)
    our_error = (attend(query, key, value, seen) - exact).abs().mean()
    assert our_error < 1.2 * (theirs - exact).abs().mean()


@pytest.mark.parametrize("over", ["a mask", "a tree"])
def test_weights_in_bfloat16_are_rounded_once_after_a_softmax_in_float32(over):
    size = 64
    scores = torch.randn(size, generator=torch.Generator().manual_seed(0)).mul(3).bfloat16()
    # A product with a unit vector is exact, and values of the identity give the weights themselves.
    query, key = torch.zeros(1, 1, size, size).bfloat16(), torch.zeros(1, 1, size, size).bfloat16()
    query[..., 0], key[0, 0, :, 0] = 1, scores
    value = torch.eye(size).bfloat16()[None, None]
    if over == "a tree":
        plan = plan_tree(merge_prompts([range(size)]), heads=1, key_heads=1, device=CPU)
        found = attend(query, key, value, scaling=0.7, tree_plan=plan)
    else:
        found = attend(query, key, value, torch.ones(1, 1, size, size, dtype=torch.bool).tril(), scaling=0.7)
    last = found[0, -1, 0]
    # Over a tree the product itself is scaled before it is rounded, under a mask after.
    scaled = (0.7 * scores.float()).bfloat16().float() if over == "a tree" else 0.7 * scores.float()
    assert torch.equal(last, scaled.softmax(-1).bfloat16())
    in_bfloat16 = (0.7 * scores).exp() / (0.7 * scores).exp().sum()
    assert not torch.equal(last, in_bfloat16)


def test_unseen_values_have_no_weight_at_all():
    query, key, value, seen = masked_tensors(4, 2)
    seen[..., -1] = False
    huge = value.clone()
    huge[:, :, -1] = 1e300
    assert torch.equal(attend(query, key, huge, seen), attend(query, key, value, seen))


def test_without_a_scale_it_is_that_of_the_size_of_a_head():
    tensors = masked_tensors(4, 2)
    assert torch.equal(attend(*tensors, scaling=None), attend(*tensors, scaling=SIZE**-0.5))


def over_a_tree(**options) -> torch.Tensor:
    tried = case("ragged")
    return attend(*tried.inputs, tree_plan=tried.plan(), **options)


def under_a_mask(**options) -> torch.Tensor:
    return attend(*masked_tensors(4, 2), **options)


@pytest.mark.parametrize("attention", [over_a_tree, under_a_mask])
def test_dropout_of_the_attention_is_never_asked_for_in_training(attention):
    with pytest.raises(AssertionError, match="without its own dropout"):
        attention(dropout=0.5, training=True)
    assert torch.equal(attention(dropout=0.5), attention())
    assert torch.equal(attention(training=True), attention())


@pytest.mark.parametrize("attention", [over_a_tree, under_a_mask])
@pytest.mark.parametrize("option", [{"softcap": 2.0}, {"s_aux": torch.zeros(4)}])
def test_soft_caps_and_sinks_are_refused(attention, option):
    with pytest.raises(ValueError, match="soft caps and sinks"):
        attention(**option)


def test_attention_with_neither_tree_nor_mask_is_refused():
    query, key, value, _ = masked_tensors(4, 2)
    with pytest.raises(ValueError, match="does not pass the tree"):
        attend(query, key, value)


def logits_of(model, tree) -> torch.Tensor:
    """Return the logits of every node, (nodes, vocabulary)."""
    with torch.no_grad():
        return run_tree(
            model, tree, logits_to_keep=torch.arange(len(tree.token_ids)), use_cache=False
        ).logits[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_node_depends_on_itself_and_those_above_it_alone(family):
    model = tiny_model(family)
    tree = merge(ragged_examples(8))
    before = logits_of(model, tree)
    for changed in range(len(tree.token_ids)):
        ids = tree.token_ids.copy()
        ids[changed] = (ids[changed] + 1) % 130
        after = logits_of(model, replace(tree, token_ids=ids))
        moved = set((before != after).any(dim=1).nonzero()[:, 0].tolist())
        below = {node for path in tree.paths if changed in path for node in path.tolist() if node >= changed}
        assert moved == below


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tree_of_one_path_is_ordinary_causal_attention(family):
    model = tiny_model(family)
    path = ragged_examples(8)[0].ids
    with torch.no_grad(), own_attention(model.module):
        expected = model.module(torch.tensor([path]), use_cache=False).logits[0]
    found = logits_of(model, merge_prompts([path]))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
