"""Which row trains, which tests and which validates."""

import hashlib
from array import array
from collections.abc import Sequence

import numpy as np

from tutelage.data.checks import FINGERPRINT_BYTES, normalised_prompt
from tutelage.data.conversations import Conversation
from tutelage.recipe import SplitRule
from tutelage.run_folder import SPLITS


def split_rows(
    rows: Sequence[Conversation], *, rule: SplitRule, train_share: float, test_share: float
) -> dict[str, list[Conversation]]:
    """Return the rows of `train`, `test` and `validation`, each in the order of the source."""
    sides = Sides(rule=rule, train_share=train_share, test_share=test_share)
    for row in rows:
        sides.add(row.row, normalised_prompt(row))
    return {
        name: [row for row, side in zip(rows, sides.sides(), strict=True) if side == place]
        for place, name in enumerate(SPLITS)
    }


def find_leaks(splits: dict[str, list[Conversation]]) -> dict[str, list[int]]:
    """Return the rows of `test` and `validation` whose normalised prompt is also trained on."""
    trained = {normalised_prompt(row) for row in splits["train"]}
    return {
        name: [row.row for row in splits[name] if normalised_prompt(row) in trained]
        for name in ("test", "validation")
    }


class Sides:
    """Decides which side each row stands on, and keeps of a row its number and a fingerprint of its prompt.

    By group each prompt is placed by its own hash: equal prompts stay together, and a growing file moves no row.
    By position the rows are cut in file order, as the book does: int(n * 0.85) train, the next int(n * 0.1) test,
    the rest validation.
    """

    def __init__(self, *, rule: SplitRule, train_share: float, test_share: float) -> None:
        self._rule, self._train_share, self._test_share = rule, train_share, test_share
        self._rows = array("q")
        self._prompts = bytearray()
        self._sides = bytearray()  # where the rule can tell them row by row

    def under(self, rule: SplitRule) -> "Sides":
        """Return the sides on which the rows that were taken in would stand by another rule."""
        other = Sides(rule=rule, train_share=self._train_share, test_share=self._test_share)
        other._rows, other._prompts = self._rows, self._prompts
        for begin in range(0, len(self._prompts) if rule == "group" else 0, FINGERPRINT_BYTES):
            other._sides.append(other._side(self._prompts[begin : begin + FINGERPRINT_BYTES]))
        return other

    def add(self, row: int, prompt: str) -> int | None:
        """Take in the next row and its normalised prompt.

        Returns its side as its place in SPLITS, or None where the end decides it.
        """
        digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).digest()[:FINGERPRINT_BYTES]
        self._rows.append(row)
        self._prompts += digest
        if self._rule == "position":
            return None
        self._sides.append(self._side(digest))
        return self._sides[-1]

    def _side(self, digest: bytes | bytearray) -> int:
        place = int.from_bytes(digest[:6]) / 2**48  # in [0, 1), and it depends on nothing but the prompt
        return (place >= self._train_share) + (place >= self._train_share + self._test_share)

    @property
    def rows(self) -> np.ndarray:
        """The numbers of the rows: (rows,)."""
        return np.array(self._rows, dtype=np.int64)

    def sides(self) -> np.ndarray:
        """Return the side of each row as its place in SPLITS: (rows,) uint8."""
        if self._rule == "group":
            return np.frombuffer(bytes(self._sides), dtype=np.uint8)
        places = np.arange(len(self._rows))
        train_end = int(len(places) * self._train_share)
        test_end = train_end + int(len(places) * self._test_share)
        return (places >= train_end).astype(np.uint8) + (places >= test_end)

    def leaks(self) -> dict[str, list[int]]:
        """Return the rows of `test` and `validation` whose normalised prompt is also trained on."""
        rows, sides = self.rows, self.sides()
        prompts = np.frombuffer(self._prompts, dtype=f"V{FINGERPRINT_BYTES}")
        trained = np.unique(prompts[sides == 0])
        is_leak = np.isin(prompts, trained) & (sides > 0)
        return {name: rows[is_leak & (sides == place)].tolist() for place, name in enumerate(SPLITS) if place}
