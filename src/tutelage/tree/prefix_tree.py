"""Merge examples into a tree of their distinct prefixes, so that each prefix is computed once.

    "Give the plural of" ── "cat" ── "cats"
                         └─ "dog" ── "dogs"

Nodes are in depth-first order: node numbers increase along a path, and the new nodes of each path are
contiguous.
"""

import mmap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tutelage.tree.examples import Example

RUNS_AT_ONCE = 2**16


@dataclass(frozen=True)
class PrefixTree:
    """The distinct tokens of a micro-batch, and the targets that each of them predicts.

    Targets are ordered by example, then by position. If two examples share a target, it is listed twice.
    """

    token_ids: np.ndarray  # (nodes,)
    depths: np.ndarray  # (nodes,) position of the token in its example, counted from 0
    target_parents: np.ndarray  # (targets,) node whose output predicts the target
    target_ids: np.ndarray  # (targets,)
    target_examples: np.ndarray  # (targets,) index of the example
    paths: list[np.ndarray]  # for each example, its nodes, starting at the root


def merge(examples: Sequence[Example]) -> PrefixTree:
    """Merge examples into a prefix tree: the tokens that the model reads become nodes, and those it predicts
    targets.
    """
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
    """Merge prompts into a tree without targets; its leaves predict the next tokens."""
    token_ids, depths, paths = _build_nodes([tuple(prompt) for prompt in prompts])
    nothing = _joined([])
    return PrefixTree(token_ids, depths, nothing, nothing, nothing, paths)


def _build_nodes(paths: Sequence[tuple[int, ...]]) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Insert the paths in sorted order, so that each one shares its longest common prefix with the one before
    it.
    """
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
    """Return the length of the common prefix of two sequences."""
    shared = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        shared += 1
    return shared


def count_distinct(examples: Sequence[Example]) -> int:
    """Return the number of nodes in the prefix tree of `examples` without building it."""
    return count_nodes([example.read_ids for example in examples])


def count_nodes(paths: Sequence[tuple[int, ...]]) -> int:
    """Return the number of nodes in the prefix tree of `paths` without building it."""
    ordered = sorted(paths)
    return sum(
        len(path) - common_prefix_length(previous, path)
        for previous, path in zip([(), *ordered], ordered, strict=False)
    )


def count_distinct_runs(ids: np.ndarray, begins: np.ndarray, lengths: np.ndarray) -> int:
    """Return the number of nodes in the prefix tree of many runs of token ids.

    All runs descend the tree together, one token at a time; runs that are still equal form groups. A run that
    is alone in its group shares nothing more, so its remaining tokens all count as nodes and it is dropped. If
    `ids` is a mapped file, only part of it is in memory at a time.
    """
    ids_at = begins.copy()  # (runs,) position of the next token of each run
    left = lengths.copy()
    groups = np.zeros(len(ids_at), dtype=np.int64)  # ascending
    nodes = 0
    while len(ids_at):
        goes_on = left > 0
        ids_at, left, groups = ids_at[goes_on], left[goes_on], groups[goes_on]
        tokens = _ids_at(ids, ids_at).astype(np.int64)
        order = np.argsort((groups << 32) | tokens, kind="stable")  # ids have at most 32 bits
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
    """Return the ids at `places`, and release the pages of a mapped file that were read for it."""
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
