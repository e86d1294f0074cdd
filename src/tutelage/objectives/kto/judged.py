"""What KTO takes of prepared rows: each answer with its label, and a mismatched answer to the same prompt.

Which answer is mismatched to a row depends on the rows alone. The seed and the step say which rows a step has, and so
which mismatched answers, however the step is cut. What the model gave them before is read once for a whole run.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import overload

import numpy as np

from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.objectives.kto.loss import Judged
from tutelage.tree.examples import Example

SHUFFLE_SEED = 0  # of no run: equal rows have equal mismatched answers


@dataclass(frozen=True)
class JudgedRows(Sequence[Judged]):
    """The answers of prepared rows, each read when it is asked for.

    `mismatched` (rows,) is the row whose answer is mismatched to each; `reference` (rows, 2) is what a model gave the
    row's own answer and the mismatched one before.
    """

    rows: PreparedRows
    mismatched: np.ndarray
    most_tokens: int
    reference: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.mismatched)

    @overload
    def __getitem__(self, index: int) -> Judged: ...
    @overload
    def __getitem__(self, index: slice) -> list[Judged]: ...
    def __getitem__(self, index: int | slice) -> Judged | list[Judged]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        own, other = self.rows.example(index), self.rows.example(int(self.mismatched[index]))
        judged = Judged(own, mismatched_example(own, other, most_tokens=self.most_tokens))
        if self.reference is None:
            return judged
        reference, mismatched_reference = self.reference[index].tolist()
        return replace(judged, reference=reference, mismatched_reference=mismatched_reference)

    def arrays(self) -> Iterator[np.ndarray]:
        """Yield what decides all answers and the mismatched ones."""
        rows = self.rows
        yield from (rows.ids, rows.begins, rows.tokens, rows.supervised, rows.prompt_tokens, self.mismatched)

    def answers(self, begin: int, end: int) -> list[Example]:
        """Return the own and the mismatched answer of each of some rows."""
        return [answer for unit in self[begin:end] for answer in (unit.example, unit.mismatched)]

    def with_reference(self, reference: np.ndarray) -> "JudgedRows":
        """Return the same with what a model gave the answers before."""
        return replace(self, reference=reference)


def judged_rows(rows: PreparedRows) -> JudgedRows:
    """Return the answers of prepared rows, without references."""
    prompts = prompt_numbers(example.prompt_ids for example in rows.examples)
    most_tokens = int(rows.tokens.max(initial=0))  # so that a mismatched answer fits wherever the rows do
    return JudgedRows(rows, mismatch(prompts), most_tokens)


def prompt_numbers(prompts: Iterable[tuple[int, ...]]) -> np.ndarray:
    """Return the same number for rows with equal prompts, from 0 on: (rows,)."""
    numbers: dict[bytes, int] = {}
    hashes = (blake2b(array("q", prompt).tobytes(), digest_size=16).digest() for prompt in prompts)
    return np.array([numbers.setdefault(one, len(numbers)) for one in hashes], dtype=np.int64)


def mismatch(prompts: np.ndarray) -> np.ndarray:
    """Return for each row, given the number of its prompt, another row to whose prompt its own is unequal: (rows,).

    Every row is taken once, so that the mismatched answers are all answers. Rows in random order, those of one prompt
    side by side, are shifted by as many as the most frequent prompt has. A row keeps its own prompt only if more than
    half of all rows have that prompt.
    """
    if not len(prompts):
        return np.empty(0, dtype=np.int64)
    chance = np.random.Generator(np.random.Philox(key=SHUFFLE_SEED))
    counts = np.bincount(prompts)
    order = chance.permutation(len(prompts))
    ranks = chance.permutation(len(counts))
    order = order[np.argsort(ranks[prompts[order]], kind="stable")]
    others = np.empty_like(order)
    others[order] = np.roll(order, -min(counts.max(), len(order) - 1))
    return others


def mismatched_example(own: Example, other: Example, *, most_tokens: int) -> Example:
    """Return the prompt of one row with the answer of another, cut to at most so many tokens."""
    ids = (own.prompt_ids + other.response_ids)[:most_tokens]
    return Example(own.row, ids, own.prompt_tokens, len(ids) - own.prompt_tokens)
