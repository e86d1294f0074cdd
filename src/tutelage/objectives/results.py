"""What an objective prints of its own evaluation, as blocks that a terminal and a page can render."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """A sentence that stands out."""

    text: str


@dataclass(frozen=True)
class Text:
    """A sentence; an empty one is a blank line."""

    text: str


@dataclass(frozen=True)
class Table:
    """Columns by their titles; all but the first are of numbers, unless `numeric` names those that are."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[int] | None = None

    @property
    def number_columns(self) -> set[int]:
        """The places of the columns of numbers."""
        return {*(range(1, len(self.columns)) if self.numeric is None else self.numeric)}


Block = Heading | Text | Table
