"""What a preference tuning takes of prepared rows: the pairs of their two answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np

from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.errors import RunFolderError
from tutelage.objectives.preference.rows import REJECTED
from tutelage.tree.examples import Example, Pair, examples_of


def pairs_of(rows: PreparedRows) -> "Pairs":
    """Return the pairs of prepared rows; RunFolderError where their rejected answers are gone."""
    return Pairs(rows, rejected_of(rows))


def rejected_of(rows: PreparedRows) -> PreparedRows:
    """Return the rows with the rejected answers; RunFolderError where they are gone."""
    if REJECTED not in rows.answers:
        raise RunFolderError(
            "run.file_missing",
            "The rejected answers of the prepared rows are missing. Prepare the run again with --overwrite.",
        )
    return rows.answers[REJECTED]


@dataclass(frozen=True)
class Pairs(Sequence[Pair]):
    """The pairs of prepared rows, each read when it is asked for; `reference` (rows, 2) is what a model gave before."""

    chosen: PreparedRows
    rejected: PreparedRows
    reference: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.chosen)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> "Pairs": ...
    def __getitem__(self, index: int | slice) -> "Pair | Pairs":
        known = None if self.reference is None else self.reference[index]
        if isinstance(index, slice):
            return Pairs(self.chosen[index], self.rejected[index], known)
        pair = Pair(self.chosen.example(index), self.rejected.example(index))
        return pair if known is None else replace(pair, reference=(float(known[0]), float(known[1])))

    def arrays(self) -> Iterator[np.ndarray]:
        """Yield what decides all pairs."""
        for rows in (self.chosen, self.rejected):
            yield from (rows.ids, rows.begins, rows.tokens, rows.supervised)

    def answers(self, begin: int, end: int) -> list[Example]:
        """Return both answers of each of some pairs."""
        return examples_of(self[begin:end])

    def with_reference(self, reference: np.ndarray) -> "Pairs":
        """Return the pairs with what a model gave their answers before."""
        return replace(self, reference=reference)
