"""Trees with their tensors, loops that attend over them, plans in blocks of any size, and plans wrong in one way."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from types import SimpleNamespace
from unittest.mock import patch

import torch
from support.tiny_models import CPU, ragged_examples, siblings_see_each_other
from transformers import AttentionInterface

from tutelage.model import tree_plan
from tutelage.model.tree_attention import ATTENTION
from tutelage.model.tree_plan import BlockBatch, TreePlan, plan_tree
from tutelage.tree.prefix_tree import PrefixTree, merge_prompts

SIZE = 8
SCALING = 0.3
RESULTS = ("output", "query", "key", "value")
LONG = tuple(range(100))
PROMPTS = {
    "one path": [tuple(range(70))],
    "ragged": [example.ids for example in ragged_examples(24)],
    "a path that begins another": [(1, 2, 3), (1, 2, 3, 4, 5), (1, 2)],
    "the same path three times": [(1, 2, 3)] * 3,
    "a long prefix and many leaves": [(*LONG, 200 + leaf, *range(leaf % 4)) for leaf in range(40)],
    "a branch at every depth": [(*range(depth), 200, 201) for depth in range(1, 40)],
    "one node": [(7,)],
}
SIZES = [
    {"queries": 1},
    {"queries": 2},
    {"queries": 1, "scores": 1},
    {"queries": 4, "scores": 500},
    {"queries": 4, "scores": 3000, "long_run": 20},
    {"queries": 32, "scores": 20_000, "long_run": 1},
    {"queries": 4, "scores": 500, "fused_run": 3},
    {"queries": 4, "fused_run": 1},
    {"queries": 4, "kept": 0},
]


def blocks_of(
    queries: int, *, long_run: int = 512, scores: int = 2**22, fused_run: int = 768, kept: int = 2**20
):
    """Cut trees into blocks of so many queries, batches of so many scores, and runs of at least so many nodes.

    The weights of at most `kept` scores are kept.
    """
    return patch.multiple(
        tree_plan,
        QUERIES_PER_BLOCK=queries,
        LONG_RUN=long_run,
        QUERIES_PER_LONG_BLOCK=2 * queries,
        SCORES_PER_BATCH=scores,
        FUSED_RUN=fused_run,
        SCORES_KEPT=kept,
    )


def of_every_batch(plan: TreePlan, change: Callable[[BlockBatch], dict]) -> TreePlan:
    return replace(plan, batches=tuple(replace(batch, **change(batch)) for batch in plan.batches))


@dataclass(frozen=True, eq=False)
class Case:
    """Tensors for the attention over a tree, and the gradient that reaches its output."""

    tree: PrefixTree
    inputs: tuple[torch.Tensor, ...]  # query, key, value
    gradient: torch.Tensor

    @property
    def heads(self) -> int:
        return self.inputs[0].shape[1]

    @property
    def key_heads(self) -> int:
        return self.inputs[1].shape[1]

    def plan(self) -> TreePlan:
        return plan_tree(self.tree, heads=self.heads, key_heads=self.key_heads, device=CPU)

    def rounded(self) -> "Case":
        """The same with all numbers rounded to bfloat16, still as float64."""
        inputs = tuple(tensor.bfloat16().double() for tensor in self.inputs)
        return replace(self, inputs=inputs, gradient=self.gradient.bfloat16().double())

    def results(self, attention: Callable[..., torch.Tensor], *dtypes: torch.dtype) -> list[torch.Tensor]:
        """Return what the attention gives and the gradients of its inputs, which go in as the types given."""
        dtypes = dtypes or (torch.float64,) * 3
        leaves = [
            tensor.to(dtype, copy=True).requires_grad_()
            for tensor, dtype in zip(self.inputs, dtypes, strict=True)
        ]
        output = attention(*leaves)
        output.backward(self.gradient.to(output.dtype))
        return [output.detach(), *(leaf.grad for leaf in leaves)]


@cache
def case(name: str, heads: int = 4, key_heads: int = 2) -> Case:
    tree = merge_prompts(PROMPTS[name])
    nodes = len(tree.token_ids)
    generator = torch.Generator().manual_seed(heads * key_heads)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    inputs = (normal(1, heads, nodes, SIZE), *(normal(1, key_heads, nodes, SIZE) for _ in range(2)))
    return Case(tree, inputs, normal(1, nodes, heads, SIZE))


def attend(query, key, value, mask=None, *, training=False, **options) -> torch.Tensor:
    module = SimpleNamespace(training=training, layer_idx=0)
    return AttentionInterface()[ATTENTION](module, query, key, value, mask, **{"scaling": SCALING} | options)[
        0
    ]


def by_paths(tree: PrefixTree, query, key, value) -> torch.Tensor:
    """One path, node and head at a time, over nothing but the nodes of the path so far."""
    _, heads, nodes, _ = query.shape
    group = heads // key.shape[1]
    mixed: dict[tuple[int, int], torch.Tensor] = {}
    for path in tree.paths:
        for depth, node in enumerate(path):
            so_far = torch.from_numpy(path[: depth + 1])
            for head in range(heads):
                if (node, head) not in mixed:
                    weights = (SCALING * key[0, head // group][so_far] @ query[0, head, node]).softmax(-1)
                    mixed[node, head] = weights @ value[0, head // group][so_far]
    return torch.stack([torch.stack([mixed[node, head] for head in range(heads)]) for node in range(nodes)])[
        None
    ]


@cache
def expected(case: Case) -> list[torch.Tensor]:
    return case.results(lambda *inputs: by_paths(case.tree, *inputs))


def wrong_results(case: Case, plan: TreePlan, *, spoil=lambda output: None) -> set[str]:
    """Return which of the results over the plan are not those of the loops."""

    def attention(*inputs: torch.Tensor) -> torch.Tensor:
        output = attend(*inputs, tree_plan=plan)
        spoil(output)
        return output

    found = case.results(attention)
    differences = {
        name: (one - other).abs().max().item()
        for name, one, other in zip(RESULTS, found, expected(case), strict=True)
    }
    wrong = {name for name, difference in differences.items() if not difference <= 1e-12}
    assert not any(differences[name] < 1e-3 for name in wrong)  # a fault is large or there is none
    return wrong


def paths_hold_a_siblings_node(case: Case) -> TreePlan:
    return replace(case, tree=siblings_see_each_other(case.tree)).plan()


def blocks_forget_what_is_above_them(case: Case) -> TreePlan:
    def change(batch: BlockBatch) -> dict:
        first_depth = batch.seen[:, :1].sum(dim=-1, keepdim=True) - 1
        of_the_block = torch.arange(batch.keys_per_block) >= first_depth
        return {"seen": batch.seen & of_the_block | batch.is_padding}

    return of_every_batch(case.plan(), change)


def runs_forget_what_is_before_them(case: Case) -> TreePlan:
    plan = case.plan()
    return replace(plan, runs=tuple(replace(run, before=None) for run in plan.runs))


def runs_do_not_see_the_first_node(case: Case) -> TreePlan:
    plan = case.plan()
    return replace(
        plan,
        runs=tuple(run if run.before is None else replace(run, before=run.before[1:]) for run in plan.runs),
    )


def one_use_of_each_key_is_counted(case: Case) -> TreePlan:
    return of_every_batch(
        case.plan(),
        lambda batch: {
            "uses": batch.uses[batch.first_uses],
            "first_uses": torch.arange(len(batch.first_uses)),
        },
    )


def _seen_moved(batch: BlockBatch, places: int) -> dict:
    seen = batch.seen.roll(places, dims=-1)
    if places < 0:
        seen[..., -1] = False
    seen[..., 0] = True
    return {"seen": seen}


def nodes_see_the_one_after_them(case: Case) -> TreePlan:
    return of_every_batch(case.plan(), lambda batch: _seen_moved(batch, 1))


def nodes_do_not_see_themselves(case: Case) -> TreePlan:
    return of_every_batch(case.plan(), lambda batch: _seen_moved(batch, -1))


def padded_queries_count(case: Case) -> TreePlan:
    return of_every_batch(case.plan(), lambda batch: {"is_padding": torch.zeros_like(batch.is_padding)})


def padded_queries_count_and_see_all(case: Case) -> TreePlan:
    return of_every_batch(
        case.plan(),
        lambda batch: {
            "seen": batch.seen | batch.is_padding,
            "is_padding": torch.zeros_like(batch.is_padding),
        },
    )


def heads_are_grouped_the_other_way_round(case: Case) -> TreePlan:
    return of_every_batch(
        case.plan(), lambda batch: {"keys": batch.keys.view(case.key_heads, -1).flip(0).flatten()}
    )


def a_batch_answers_the_rows_of_another(case: Case) -> TreePlan:
    plan = case.plan()
    rows = torch.cat([batch.query_rows for batch in plan.batches]).roll(1)
    parts = rows.split([len(batch.query_rows) for batch in plan.batches])
    changed = [replace(batch, query_rows=part) for batch, part in zip(plan.batches, parts, strict=True)]
    return replace(plan, batches=tuple(changed))


def keys_of_a_batch_are_those_before_them(case: Case) -> TreePlan:
    return of_every_batch(case.plan(), lambda batch: {"key_rows": (batch.key_rows - 1).clamp(min=0)})
