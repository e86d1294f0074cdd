"""Merge examples into a tree of their distinct prefixes, so that each is computed once.

    "Give the plural of" ── "cat" ── "cats"
                         └─ "dog" ── "dogs"

Nodes stand in depth-first order: along a path their numbers rise, and what a path adds to those before it is one run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tutelage.data.examples import Example


@dataclass(frozen=True)
class PrefixTree:
    """The distinct tokens of a micro-batch, and which of them predict which supervised token.

    Targets are in the order of the examples and, within one, of its tokens; equal targets of two examples stand twice.
    """

    token_ids: np.ndarray  # (nodes,)
    depths: np.ndarray  # (nodes,) position of the token in its example, from 0
    target_parents: np.ndarray  # (targets,) the node whose output predicts the target
    target_ids: np.ndarray  # (targets,)
    target_examples: np.ndarray  # (targets,) index of the example
    paths: list[np.ndarray]  # of each example, its nodes from the root on


def merge(examples: Sequence[Example]) -> PrefixTree:
    """Merge examples into their prefix tree; the last token of one is a target only, since nothing follows it."""
    nodes_of, columns = _build_nodes([example.ids[:-1] for example in examples])
    parents: list[int] = []
    ids: list[int] = []
    owners: list[int] = []
    for index, example in enumerate(examples):
        for begin, end in example.spans:
            parents += nodes_of[index][begin - 1 : end - 1]
            ids += example.ids[begin:end]
        owners += [index] * example.supervised
    return _tree(nodes_of, columns, (parents, ids, owners))


def merge_prompts(prompts: Sequence[Sequence[int]]) -> PrefixTree:
    """Merge prompts into a tree without targets, whose leaves predict what comes next."""
    nodes_of, columns = _build_nodes([tuple(prompt) for prompt in prompts])
    return _tree(nodes_of, columns, ([], [], []))


def _tree(
    nodes_of: list[list[int]], columns: tuple[list[int], ...], targets: tuple[list[int], ...]
) -> PrefixTree:
    arrays = (np.asarray(column, dtype=np.int64) for column in (*columns, *targets))
    return PrefixTree(*arrays, paths=[np.asarray(nodes, dtype=np.int64) for nodes in nodes_of])


def _build_nodes(
    paths: Sequence[tuple[int, ...]],
) -> tuple[list[list[int]], tuple[list[int], list[int]]]:
    """Insert paths in sorted order, so that each shares its longest common prefix with the one before it."""
    nodes_of: list[list[int]] = [[] for _ in paths]
    token_ids: list[int] = []
    depths: list[int] = []
    open_nodes: list[int] = []
    previous: tuple[int, ...] = ()
    for index in sorted(range(len(paths)), key=lambda index: paths[index]):
        path = paths[index]
        shared = common_prefix_length(previous, path)
        del open_nodes[shared:]
        for depth in range(shared, len(path)):
            open_nodes.append(len(token_ids))
            token_ids.append(path[depth])
            depths.append(depth)
        nodes_of[index] = list(open_nodes)
        previous = path
    return nodes_of, (token_ids, depths)


def common_prefix_length(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens two sequences share from the start."""
    shared = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        shared += 1
    return shared


def count_distinct(examples: Sequence[Example]) -> int:
    """Return how many nodes the tree of these examples has, without building it."""
    paths = sorted(example.ids[:-1] for example in examples)
    return sum(
        len(path) - common_prefix_length(previous, path)
        for previous, path in zip([(), *paths], paths, strict=False)
    )
