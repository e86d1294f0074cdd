"""Which examples make which optimiser step: a pure function of (seed, epoch) and of the step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tutelage.data.examples import Example
from tutelage.data.prefix_tree import common_prefix_length


@dataclass(frozen=True)
class BatchPlan:
    """The order of a whole run: every example exactly once an epoch, the last step of an epoch may be smaller."""

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
        """Return the indices of the examples of a step, counted from 0."""
        epoch, place = divmod(step, self.steps_per_epoch)
        begin = place * self.examples_per_step
        order = epoch_order(self.examples, seed=self.seed, epoch=epoch)
        return order[begin : begin + self.examples_per_step].tolist()


@lru_cache(maxsize=2)  # every step of an epoch asks for it
def epoch_order(examples: int, *, seed: int, epoch: int) -> np.ndarray:
    """Return the indices 0..examples-1 in the order of one epoch; the same on every machine."""
    order = np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(examples)
    order.setflags(write=False)
    return order


def micro_batches(
    examples: Sequence[Example], *, size: int, distinct_tokens: int, padded: bool = False
) -> list[list[Example]]:
    """Cut the examples of a step into micro-batches of at most `size` examples and so many distinct tokens.

    Neighbours share prefixes; which example stands in which micro-batch changes nothing but the work.
    """
    return list(examples_within(examples, distinct_tokens=distinct_tokens, padded=padded, at_most=size))


def examples_within(
    examples: Sequence[Example], *, distinct_tokens: int, padded: bool = False, at_most: int | None = None
) -> Iterator[list[Example]]:
    """Cut examples, sorted so that neighbours share prefixes, into runs of at most so many distinct tokens."""
    paths = [example.ids[:-1] for example in examples]
    for indices in runs_within(paths, distinct_tokens=distinct_tokens, padded=padded, at_most=at_most):
        yield [examples[index] for index in indices]


def runs_within(
    paths: Sequence[tuple[int, ...]],
    *,
    distinct_tokens: int,
    padded: bool = False,
    at_most: int | None = None,
) -> Iterator[list[int]]:
    """Yield the indices of sorted paths in runs of at most so many distinct tokens and paths.

    Where the runs are to be `padded`, each path counts for as many tokens as the longest of its run. A path longer
    than the budget stands alone.
    """
    run: list[int] = []
    used = longest = 0
    previous: tuple[int, ...] = ()
    for index in sorted(range(len(paths)), key=lambda index: paths[index]):
        path = paths[index]
        longest = max(longest, len(path))
        new = len(path) - common_prefix_length(previous, path)
        grown = longest * (len(run) + 1) if padded else used + new
        if run and (grown > distinct_tokens or len(run) == at_most):
            yield run
            run, grown, longest = [], len(path), len(path)
        run.append(index)
        used = grown
        previous = path
    if run:
        yield run
