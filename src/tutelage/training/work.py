"""How long work takes: how much there is of each kind, times the seconds that one of each takes. Arithmetic alone."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from tutelage.model.forward import MAX_NODES
from tutelage.tree.batches import examples_within
from tutelage.tree.examples import Example, Unit, examples_of
from tutelage.tree.prefix_tree import count_nodes, merge

# So many answers grow side by side where the pace of a decoding step is measured.
FEW_ANSWERS = 3
ID_BITS = 32  # of a token


@dataclass(frozen=True)
class Pace:
    """The seconds that one of each kind of work takes with one model on one machine; the kinds are those of Work."""

    trained_nodes: float
    updates: float
    nodes: float
    targets: float
    decoding_steps: float
    sample_steps: float


@dataclass(frozen=True)
class Work:
    """How much there is of each kind of work, and the seconds of all other work.

    trained_nodes: of the trees of steps, forward and backward, with their targets; updates: of the optimizer; nodes and
    targets: forward alone, through the body and through the head; decoding_steps: a token for each of FEW_ANSWERS;
    sample_steps: the same of a model that is being trained, whose adapters may be others at every token.
    """

    trained_nodes: float = 0
    updates: float = 0
    nodes: float = 0
    targets: float = 0
    decoding_steps: float = 0
    sample_steps: float = 0
    seconds: float = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(*(getattr(self, kind.name) + getattr(other, kind.name) for kind in fields(self)))

    def times(self, count: float) -> "Work":
        """Return the same work so many times."""
        return Work(*(count * getattr(self, kind.name) for kind in fields(self)))

    def seconds_at(self, pace: Pace) -> float:
        """Return how long all of it takes."""
        return self.seconds + sum(
            getattr(self, kind.name) * getattr(pace, kind.name) for kind in fields(pace)
        )


def count_computed(paths: Sequence[tuple[int, ...]], *, is_padded: bool) -> int:
    """Return how many tokens a pass over some paths computes: the nodes of their tree, or all places of padded rows."""
    return len(paths) * max(map(len, paths)) if is_padded else count_nodes(paths)


def count_targets(examples: Sequence[Example], *, is_padded: bool) -> int:
    """Return how often a pass over some examples asks the head: over a tree once for a token that several share."""
    tree = merge(examples)
    if is_padded:
        return len(tree.target_ids)
    return len(np.unique(tree.target_parents << ID_BITS | tree.target_ids))


def reading_work(units: Sequence[Unit], *, is_padded: bool) -> Work:
    """Return the work of reading examples or pairs without a backward pass, in trees as large as they may be."""
    nodes = targets = 0
    for run in examples_within(units, distinct_tokens=MAX_NODES, padded=is_padded):
        examples = examples_of(run)
        nodes += count_computed(paths_of(examples), is_padded=is_padded)
        targets += count_targets(examples, is_padded=is_padded)
    return Work(nodes=nodes, targets=targets)


def paths_of(examples: Sequence[Example]) -> list[tuple[int, ...]]:
    """Return the ids that a model reads of each example."""
    return [example.read_ids for example in examples]


def decoding_work(slots: Sequence[int]) -> Work:
    """Return the work of decoding steps over so many answers each; one more costs as much as a node and a target."""
    more = sum(max(0, count - FEW_ANSWERS) for count in slots)
    return Work(nodes=more, targets=more, decoding_steps=len(slots))


def untuned_lengths(answers: int, *, longest: int) -> list[int]:
    """Return lengths as a base model's answers have them, in tokens: most are short, and some as long as they may be.

    They are the squares of evenly spread numbers, in no order. On four data sets the steps of such answers took between
    0.88 and 1.20 times as long as those of the default model's own; what it answers is known only when it has answered.
    """
    shares = [(place + 1) / answers for place in range(answers)]
    shares.sort(key=lambda share: share * answers * 0.6180339887 % 1)  # the golden ratio mixes without chance
    return [max(1, round(longest * share**2)) for share in shares]
