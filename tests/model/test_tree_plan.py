"""Plans of trees by themselves: every node is a query once, its keys are its path, and batches are bounded."""

from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tiny_models import CPU
from support.tree_plans import (
    PROMPTS,
    SIZES,
    blocks_forget_what_is_above_them,
    blocks_of,
    case,
    heads_are_grouped_the_other_way_round,
    nodes_do_not_see_themselves,
    nodes_see_the_one_after_them,
    one_use_of_each_key_is_counted,
    padded_queries_count,
    paths_hold_a_siblings_node,
)

from tutelage.model import tree_plan
from tutelage.model.fused_attention import Run
from tutelage.model.tree_plan import BlockBatch, TreePlan, plan_tree
from tutelage.tree.prefix_tree import PrefixTree, merge_prompts


def test_batches_are_bounded_and_hold_paths_of_like_length():
    short = [(row, *range(31)) for row in range(400)]
    long = [(row, *range(320)) for row in range(1000, 1010)]
    needed = 2 * (400 * 8 * 4 * 32 + 10 * sum(4 * 32 * -(-end // 32) for end in range(4, 324, 4)))

    def scores() -> list[int]:
        with blocks_of(4, scores=4_000_000):
            plan = plan_tree(merge_prompts(short + long), heads=2, key_heads=2, device=CPU)
        return [batch.seen.numel() * 2 for batch in plan.batches]

    assert max(scores()) <= 4_000_000
    assert sum(scores()) < 1.6 * needed
    with patch.object(tree_plan, "SMALLEST_BATCH", 1):  # only the bound ends a batch
        assert sum(scores()) > 1.6 * needed


def faults(plan: TreePlan, tree: PrefixTree, *, heads: int, key_heads: int) -> list[str]:
    """Return what of a plan is not as it should be, read off the paths of the tree."""
    nodes, group = len(tree.token_ids), heads // key_heads
    path_to = {node: path[: depth + 1] for path in tree.paths for depth, node in enumerate(path.tolist())}
    attended, found = [], []
    for batch in plan.batches:
        attended += attended_in(batch, key_heads, group)
        found += faults_of_batch(batch, key_heads, group)
    for run in plan.runs:
        attended += attended_by(run, nodes, heads, group)
    wanted = [
        (head * nodes + node, (head // group * nodes + path_to[node]).tolist())
        for head in range(heads)
        for node in range(nodes)
    ]
    if [row for row, _ in sorted(attended)] != list(range(heads * nodes)):
        found.append("not every node is a query once")
    if sorted(attended) != wanted:
        found.append("keys of a node are not its path")
    return found


def attended_in(batch: BlockBatch, key_heads: int, group: int) -> list[tuple[int, list[int]]]:
    """Return the row of each query of a batch, and the rows of the keys that it sees."""
    queries = batch.queries.view(key_heads, batch.blocks, -1, group).numpy()
    keys = batch.keys.view(key_heads, batch.blocks, batch.keys_per_block).numpy()
    is_query, seen = ~batch.is_padding[:, :, 0, 0].numpy(), batch.seen[:, :, 0].numpy()
    return [
        (row, (keys[key_head, block][seen[block, place]]).tolist())
        for key_head in range(key_heads)
        for block, place in np.argwhere(is_query)
        for row in queries[key_head, block, place].tolist()
    ]


def attended_by(run: Run, nodes: int, heads: int, group: int) -> list[tuple[int, list[int]]]:
    """Return the same of a run, whose kernel lets a node see all that is before the run, and of it what is before."""
    own = list(range(run.nodes.start, run.nodes.stop))
    before = [] if run.before is None else run.before.tolist()
    return [
        (
            head * nodes + node,
            [head // group * nodes + seen for seen in before + own[: place + 1]],
        )
        for head in range(heads)
        for place, node in enumerate(own)
    ]


def faults_of_batch(batch: BlockBatch, key_heads: int, group: int) -> list[str]:
    queries = batch.queries.view(key_heads, batch.blocks, -1, group).numpy()
    keys = batch.keys.view(key_heads, batch.blocks, batch.keys_per_block).numpy()
    is_query, seen = ~batch.is_padding[:, :, 0, 0].numpy(), batch.seen[:, :, 0].numpy()
    found = []
    is_query_row = np.broadcast_to(is_query[None, :, :, None], queries.shape).reshape(-1)
    places = batch.places.numpy()
    own = sorted(queries.reshape(-1)[is_query_row].tolist())
    if batch.query_rows.tolist() != own or queries.reshape(-1)[places].tolist() != own:
        found.append("places are not those of the queries")
    if not is_query_row[places].all():
        found.append("a place is padding")
    is_key = (seen & is_query[:, :, None]).any(axis=1)
    used = np.flatnonzero(np.broadcast_to(is_key, keys.shape))
    if sorted(batch.uses.tolist()) != used.tolist():
        found.append("uses are not all the keys that are seen")
    ends = [*batch.first_uses.tolist(), len(batch.uses)]
    uses = [keys.reshape(-1)[batch.uses.numpy()[begin:end]].tolist() for begin, end in pairwise(ends)]
    if [set(rows) for rows in uses] != [{row} for row in batch.key_rows.tolist()]:
        found.append("uses do not stand by node")
    return found


@pytest.mark.parametrize("sizes", [{"queries": 32}, *SIZES], ids=str)
@pytest.mark.parametrize("name", PROMPTS)
def test_in_a_plan_every_node_is_a_query_once_and_its_keys_are_its_path(name, sizes):
    tree = merge_prompts(PROMPTS[name])
    with blocks_of(**sizes):
        plan = plan_tree(tree, heads=4, key_heads=2, device=CPU)
    assert faults(plan, tree, heads=4, key_heads=2) == []


prompt_lists = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), min_size=1, max_size=8)


@given(
    prompt_lists,
    st.sampled_from([1, 2, 3, 32]),
    st.sampled_from([1, 50, 2**22]),
    st.sampled_from([1, 3, 768]),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_so_it_is_in_a_plan_of_any_tree(prompts, queries, scores, fused_run, key_heads, group):  # noqa: PLR0917 - hypothesis hands all of them over by place
    tree, heads = merge_prompts(prompts), key_heads * group
    with blocks_of(queries, scores=scores, long_run=4, fused_run=fused_run):
        plan = plan_tree(tree, heads=heads, key_heads=key_heads, device=CPU)
    assert faults(plan, tree, heads=heads, key_heads=key_heads) == []


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        (paths_hold_a_siblings_node, "path"),
        (blocks_forget_what_is_above_them, "path"),
        (nodes_see_the_one_after_them, "path"),
        (nodes_do_not_see_themselves, "path"),
        (heads_are_grouped_the_other_way_round, "path"),
        (one_use_of_each_key_is_counted, "uses"),
        (padded_queries_count, "query once"),
    ],
)
def test_a_wrong_plan_does_not_pass_as_right(fault, complaint):
    tried = case("ragged")
    found = faults(fault(tried), tried.tree, heads=tried.heads, key_heads=tried.key_heads)
    assert complaint in " ".join(found)
