"""The prefix tree of a few examples as a person can look at it: runs of tokens, each where it branches off, once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from tutelage.data.examples import Example
from tutelage.data.prefix_tree import merge

Decode = Callable[[list[int]], str]
LONGEST_LABEL = 60  # characters


@dataclass(frozen=True)
class Branch:
    """A run of nodes without a fork: its ids, which of them are supervised, the rows that end here, what follows."""

    ids: tuple[int, ...]
    supervised: tuple[bool, ...]
    rows: tuple[int, ...]
    branches: tuple["Branch", ...]

    @property
    def tokens(self) -> int:
        """Tokens of this branch and of all that follow."""
        return len(self.ids) + sum(branch.tokens for branch in self.branches)

    def parts(self, decode: Decode) -> list[tuple[str, bool]]:
        """Return the text of the run, cut where it changes between supervised and not."""
        places = groupby(zip(self.ids, self.supervised, strict=True), key=lambda token: token[1])
        return [(decode([identity for identity, _ in run]), is_supervised) for is_supervised, run in places]


def branches_of(examples: Sequence[Example]) -> list[Branch]:
    """Return the tree that training computes for these examples; their last tokens are no nodes of it."""
    tree = merge(examples)
    children: dict[int, dict[int, None]] = {}
    rows: dict[int, list[int]] = {}
    supervised: set[int] = set()
    for example, path in zip(examples, (path.tolist() for path in tree.paths), strict=True):
        for parent, child in pairwise([-1, *path]):
            children.setdefault(parent, {})[child] = None
        rows.setdefault(path[-1], []).append(example.row)
        supervised.update(
            path[place] for begin, end in example.spans for place in range(begin, min(end, len(path)))
        )

    def grow(node: int) -> Branch:
        run = [node]
        while node not in rows and len(children[node]) == 1:
            (node,) = children[node]
            run.append(node)
        return Branch(
            tuple(int(identity) for identity in tree.token_ids[run]),
            tuple(one in supervised for one in run),
            tuple(rows.get(node, ())),
            tuple(grow(child) for child in children.get(node, ())),
        )

    return [grow(root) for root in children[-1]]


def shortened(text: str) -> str:
    """Return a text as a label of one line: the middle of a long one is left out."""
    text = text.replace("\n", "⏎")
    half = LONGEST_LABEL // 2
    return text if len(text) <= LONGEST_LABEL else f"{text[:half]} … {text[-half:]}"
