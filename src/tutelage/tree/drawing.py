"""Draw the prefix tree of a few examples: each run of tokens appears once, at the branch where it starts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, groupby, pairwise

from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import merge

Decode = Callable[[list[int]], str]
LONGEST_LABEL = 60  # characters


@dataclass(frozen=True)
class Branch:
    """A run of nodes without a fork: token ids, supervision mask, names of the examples ending here, and
    subbranches.
    """

    ids: tuple[int, ...]
    supervised: tuple[bool, ...]
    ends: tuple[str, ...]
    branches: tuple["Branch", ...]

    @property
    def tokens(self) -> int:
        """Number of tokens in this branch and its subbranches."""
        return len(self.ids) + sum(branch.tokens for branch in self.branches)

    def parts(self, decode: Decode) -> list[tuple[str, bool]]:
        """Return the decoded text of the run, split wherever supervision starts or stops."""
        places = groupby(zip(self.ids, self.supervised, strict=True), key=lambda token: token[1])
        return [
            (decode([fingerprint for fingerprint, _ in run]), is_supervised) for is_supervised, run in places
        ]


def branches_of(examples: Sequence[Example], names: Sequence[str]) -> list[Branch]:
    """Return the prefix tree that training computes for the named examples; tokens that are only targets are
    left out.
    """
    tree = merge(examples)
    children: dict[int, dict[int, None]] = {}
    ends: dict[int, list[str]] = {}
    supervised: set[int] = set()
    paths = (path.tolist() for path in tree.paths)
    for example, name, path in zip(examples, names, paths, strict=True):
        for parent, child in pairwise([-1, *path]):
            children.setdefault(parent, {})[child] = None
        ends.setdefault(path[-1], []).append(name)
        supervised.update(
            path[place] for begin, end in example.spans for place in range(begin, min(end, len(path)))
        )

    def grow(node: int) -> Branch:
        run = [node]
        while node not in ends and len(children[node]) == 1:
            (node,) = children[node]
            run.append(node)
        return Branch(
            tuple(int(fingerprint) for fingerprint in tree.token_ids[run]),
            tuple(one in supervised for one in run),
            tuple(ends.get(node, ())),
            tuple(grow(child) for child in children.get(node, ())),
        )

    return [grow(root) for root in children[-1]]


def names_of(examples: Sequence[Example], answers: Sequence[str] = ("",)) -> list[str]:
    """Return a name for each example: its row number, plus an entry of `answers` if each row has several."""
    assert len(examples) % len(answers) == 0, "every row has all its answers"
    return [
        " ".join(filter(None, (f"row {one.row}", answer)))
        for one, answer in zip(examples, cycle(answers), strict=False)
    ]


def shortened(text: str) -> str:
    """Shorten a text to a one-line label by cutting out the middle."""
    text = text.replace("\n", "⏎")
    half = LONGEST_LABEL // 2
    return text if len(text) <= LONGEST_LABEL else f"{text[:half]} … {text[-half:]}"
