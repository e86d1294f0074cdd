"""The prefix tree of a few examples as a person can look at it: runs of tokens, each where it branches off, once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, groupby, pairwise

from tutelage.tree.examples import Example
from tutelage.tree.prefix_tree import merge

Decode = Callable[[list[int]], str]
LONGEST_LABEL = 60  # characters


@dataclass(frozen=True)
class Branch:
    """A run of nodes without a fork: its ids, which of them are supervised, whose examples end here, what follows."""

    ids: tuple[int, ...]
    supervised: tuple[bool, ...]
    ends: tuple[str, ...]
    branches: tuple["Branch", ...]

    @property
    def tokens(self) -> int:
        """Tokens of this branch and of all that follow."""
        return len(self.ids) + sum(branch.tokens for branch in self.branches)

    def parts(self, decode: Decode) -> list[tuple[str, bool]]:
        """Return the text of the run, cut where it changes between supervised and not."""
        places = groupby(zip(self.ids, self.supervised, strict=True), key=lambda token: token[1])
        return [
            (decode([fingerprint for fingerprint, _ in run]), is_supervised) for is_supervised, run in places
        ]


def branches_of(examples: Sequence[Example], names: Sequence[str]) -> list[Branch]:
    """Return the tree that training computes for examples of these names; what is only predicted is no node of it."""
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
    """Return how a reader knows examples: by their rows, and those of several `answers` by their names in turn."""
    assert len(examples) % len(answers) == 0, "every row has all its answers"
    return [
        " ".join(filter(None, (f"row {one.row}", answer)))
        for one, answer in zip(examples, cycle(answers), strict=False)
    ]


def shortened(text: str) -> str:
    """Return a text as a label of one line: the middle of a long one is left out."""
    text = text.replace("\n", "⏎")
    half = LONGEST_LABEL // 2
    return text if len(text) <= LONGEST_LABEL else f"{text[:half]} … {text[-half:]}"
