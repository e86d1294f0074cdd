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
    """Columns by their titles, the first of names and the others of numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


Block = Heading | Text | Table
