"""Assign examples to optimizer steps, as a pure function of (seed, epoch, step)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

import numpy as np

from tutelage.tree.examples import Unit
from tutelage.tree.prefix_tree import common_prefix_length

Path = tuple[int, ...]  # token ids, starting at the root of a tree
U = TypeVar("U", bound=Unit)


@dataclass(frozen=True)
class BatchPlan:
    """The order of examples in a run: each occurs once per epoch, and the last step of an epoch may be smaller."""

    examples: int
    examples_per_step: int
    epochs: int
    seed: int
    max_steps: int | None = None

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.examples // self.examples_per_step)

    @property
    def steps(self) -> int:
        return self.steps_per_epoch * self.epochs if self.max_steps is None else self.max_steps

    def examples_of_step(self, step: int) -> list[int]:
        """Return the indices of the examples in a step; steps count from 0."""
        epoch, place = divmod(step, self.steps_per_epoch)
        begin = place * self.examples_per_step
        order = epoch_order(self.examples, seed=self.seed, epoch=epoch)
        return order[begin : begin + self.examples_per_step].tolist()


@lru_cache(maxsize=2)  # called for every step of an epoch
def epoch_order(examples: int, *, seed: int, epoch: int) -> np.ndarray:
    """Return a permutation of 0..examples-1 for one epoch; it is the same on every machine."""
    order = np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(examples)
    order.setflags(write=False)
    return order


def micro_batches(
    units: Sequence[U], *, size: int, distinct_tokens: int, padded: bool = False
) -> list[list[U]]:
    """Split the examples or pairs of a step into micro-batches of at most `size` units and `distinct_tokens`
    tokens.

    Neighbors share prefixes. The split affects speed and memory but not the result.
    """
    return list(examples_within(units, distinct_tokens=distinct_tokens, padded=padded, at_most=size))


def examples_within(
    units: Sequence[U], *, distinct_tokens: int, padded: bool = False, at_most: int | None = None
) -> Iterator[list[U]]:
    """Split examples or pairs into groups of at most `distinct_tokens` tokens, sorted so that neighbors share
    prefixes.
    """
    bundles = [tuple(example.read_ids for example in unit.examples) for unit in units]
    for indices in _runs(bundles, distinct_tokens=distinct_tokens, padded=padded, at_most=at_most):
        yield [units[index] for index in indices]


def runs_within(
    paths: Sequence[Path], *, distinct_tokens: int, padded: bool = False, at_most: int | None = None
) -> Iterator[list[int]]:
    """Yield the indices of sorted paths in groups of at most `distinct_tokens` tokens and `at_most` paths.

    If `padded`, each path counts as many tokens as the longest path in its group. A path longer than the budget
    forms a group of its own.
    """
    bundles = [(path,) for path in paths]
    return _runs(bundles, distinct_tokens=distinct_tokens, padded=padded, at_most=at_most)


def _runs(
    bundles: Sequence[tuple[Path, ...]], *, distinct_tokens: int, padded: bool, at_most: int | None
) -> Iterator[list[int]]:
    """Yield the indices of bundles of paths in such groups; a bundle is never split."""
    run: list[int] = []
    used = longest = rows = 0
    previous: Path = ()
    for index in sorted(range(len(bundles)), key=lambda index: bundles[index]):
        bundle = bundles[index]
        own_longest = max(map(len, bundle))
        longest, rows = max(longest, own_longest), rows + len(bundle)
        grown = longest * rows if padded else used + _new_tokens(previous, bundle)
        if run and (grown > distinct_tokens or len(run) == at_most):
            yield run
            run, longest, rows = [], own_longest, len(bundle)
            grown = longest * rows if padded else _new_tokens((), bundle)
        run.append(index)
        used = grown
        previous = bundle[-1]
    if run:
        yield run


def _new_tokens(previous: Path, bundle: tuple[Path, ...]) -> int:
    return sum(
        len(path) - common_prefix_length(before, path) for before, path in pairwise((previous, *bundle))
    )
