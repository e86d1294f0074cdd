"""Merge examples into a tree of their distinct prefixes, so that each is computed once.

    "Give the plural of" ── "cat" ── "cats"
                         └─ "dog" ── "dogs"

Nodes stand in depth-first order: along a path their numbers rise, and what a path adds to those before it is one run.
"""

import mmap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tutelage.tree.examples import Example

RUNS_AT_ONCE = 2**16


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
    """Merge examples into their prefix tree: what a model reads of them are nodes, and what it predicts are targets."""
    token_ids, depths, paths = _build_nodes([example.read_ids for example in examples])
    spans = [(index, begin, end) for index, example in enumerate(examples) for begin, end in example.spans]
    return PrefixTree(
        token_ids,
        depths,
        target_parents=_joined([paths[index][begin - 1 : end - 1] for index, begin, end in spans]),
        target_ids=_joined([example.target_ids for example in examples]),
        target_examples=np.repeat(
            np.arange(len(examples)), np.array([example.supervised for example in examples], dtype=np.int64)
        ),
        paths=paths,
    )


def merge_prompts(prompts: Sequence[Sequence[int]]) -> PrefixTree:
    """Merge prompts into a tree without targets, whose leaves predict what comes next."""
    token_ids, depths, paths = _build_nodes([tuple(prompt) for prompt in prompts])
    nothing = _joined([])
    return PrefixTree(token_ids, depths, nothing, nothing, nothing, paths)


def _build_nodes(paths: Sequence[tuple[int, ...]]) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Insert paths in sorted order, so that each shares its longest common prefix with the one before it."""
    nodes_of: list[np.ndarray] = [np.empty(0, dtype=np.int64)] * len(paths)
    new_ids: list[tuple[int, ...]] = []
    depths: list[np.ndarray] = []
    count = 0
    previous: tuple[int, ...] = ()
    nodes = np.empty(0, dtype=np.int64)
    for index in sorted(range(len(paths)), key=lambda index: paths[index]):
        path = paths[index]
        shared = common_prefix_length(previous, path)
        new = len(path) - shared
        nodes = np.concatenate([nodes[:shared], np.arange(count, count + new)])
        nodes_of[index] = nodes
        new_ids.append(path[shared:])
        depths.append(np.arange(shared, len(path)))
        count += new
        previous = path
    return _joined(new_ids), _joined(depths), nodes_of


def _joined(parts: Sequence[Sequence[int] | np.ndarray]) -> np.ndarray:
    arrays = [np.asarray(part, dtype=np.int64) for part in parts]
    return np.concatenate(arrays) if arrays else np.empty(0, dtype=np.int64)


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
    return count_nodes([example.read_ids for example in examples])


def count_nodes(paths: Sequence[tuple[int, ...]]) -> int:
    """Return how many nodes the tree of some paths has, without building it."""
    ordered = sorted(paths)
    return sum(
        len(path) - common_prefix_length(previous, path)
        for previous, path in zip([(), *ordered], ordered, strict=False)
    )


def count_distinct_runs(ids: np.ndarray, begins: np.ndarray, lengths: np.ndarray) -> int:
    """Return how many nodes the tree of runs of ids has, for as many runs as there may be.

    All runs go down the tree together, a token at a time: those that are still alike stand side by side in groups. A
    run that is alone in its group shares no more, so that all its further tokens are nodes, and it leaves. Of ids
    that are mapped from a file a part at a time is in memory.
    """
    ids_at = begins.copy()  # (runs,) where the next token of each stands
    left = lengths.copy()
    groups = np.zeros(len(ids_at), dtype=np.int64)  # rising from run to run
    nodes = 0
    while len(ids_at):
        goes_on = left > 0
        ids_at, left, groups = ids_at[goes_on], left[goes_on], groups[goes_on]
        tokens = _ids_at(ids, ids_at).astype(np.int64)
        order = np.argsort((groups << 32) | tokens, kind="stable")  # ids have 32 bits at most
        ids_at, left, tokens, groups = ids_at[order], left[order], tokens[order], groups[order]
        begins_group = np.ones(len(tokens), dtype=bool)
        begins_group[1:] = (tokens[1:] != tokens[:-1]) | (groups[1:] != groups[:-1])
        nodes += int(begins_group.sum())
        is_alone = begins_group & np.append(begins_group[1:], True)[: len(begins_group)]
        nodes += int((left[is_alone] - 1).sum())
        groups = np.cumsum(begins_group)[~is_alone]
        ids_at, left = ids_at[~is_alone] + 1, left[~is_alone] - 1
    return nodes


def _ids_at(ids: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the ids at some places, letting go of the pages of a mapped file that were read for them."""
    mapped = ids.base
    if not isinstance(mapped, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED"):
        return ids[places]
    found = np.empty(len(places), dtype=ids.dtype)
    in_file = np.argsort(places)
    for begin in range(0, len(places), RUNS_AT_ONCE):
        chosen = in_file[begin : begin + RUNS_AT_ONCE]
        found[chosen] = ids[places[chosen]]
        mapped.madvise(mmap.MADV_DONTNEED)
    return found
