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
        sides.add(row.row, normalised_prompt(row), row.response)
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
    Stratified, each side gets its share of the rows of each label as nearly as whole groups of equal prompts allow.
    """

    def __init__(self, *, rule: SplitRule, train_share: float, test_share: float) -> None:
        self._rule, self._train_share, self._test_share = rule, train_share, test_share
        self._rows = array("q")
        self._prompts = bytearray()
        self._labels, self._numbers = array("q"), dict[str, int]()  # of a stratified split
        self._sides = bytearray()  # where the rule can tell them row by row

    def under(self, rule: SplitRule) -> "Sides":
        """Return the sides on which the rows that were taken in would stand by another rule."""
        other = Sides(rule=rule, train_share=self._train_share, test_share=self._test_share)
        other._rows, other._prompts = self._rows, self._prompts
        for begin in range(0, len(self._prompts) if rule == "group" else 0, FINGERPRINT_BYTES):
            other._sides.append(other._side(self._prompts[begin : begin + FINGERPRINT_BYTES]))
        return other

    def add(self, row: int, prompt: str, label: str) -> int | None:
        """Take in the next row, its normalised prompt, and its label, by which a stratified split goes.

        Returns its side as its place in SPLITS, or None where the end decides it.
        """
        digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).digest()[:FINGERPRINT_BYTES]
        self._rows.append(row)
        self._prompts += digest
        if self._rule == "stratified":
            self._labels.append(self._numbers.setdefault(label, len(self._numbers)))
        if self._rule != "group":
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
        if self._rule == "stratified":
            rest = max(0.0, 1 - self._train_share - self._test_share)
            shares = np.array([self._train_share, self._test_share, rest])
            return stratified_sides(self._fingerprints, np.array(self._labels), shares)
        places = np.arange(len(self._rows))
        train_end = int(len(places) * self._train_share)
        test_end = train_end + int(len(places) * self._test_share)
        return (places >= train_end).astype(np.uint8) + (places >= test_end)

    def leaks(self) -> dict[str, list[int]]:
        """Return the rows of `test` and `validation` whose normalised prompt is also trained on."""
        rows, sides, prompts = self.rows, self.sides(), self._fingerprints
        trained = np.unique(prompts[sides == 0])
        is_leak = np.isin(prompts, trained) & (sides > 0)
        return {name: rows[is_leak & (sides == place)].tolist() for place, name in enumerate(SPLITS) if place}

    @property
    def _fingerprints(self) -> np.ndarray:
        return np.frombuffer(bytes(self._prompts), dtype=f"V{FINGERPRINT_BYTES}")


def stratified_sides(prompts: np.ndarray, labels: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the side of each row, (rows,) uint8, so that each side has its share of each label within one row.

    `prompts` are fingerprints, (rows,), and rows with the same one are a group that stays together; a group with
    several labels counts under that of its first row. The largest groups are placed first, so that single rows even
    out what they left, and groups of one size in the order of their fingerprints.
    """
    _, first, group_of, sizes = np.unique(prompts, return_index=True, return_inverse=True, return_counts=True)
    side_of_group = np.empty(len(first), dtype=np.uint8)
    for label in np.unique(labels):
        groups = np.flatnonzero(labels[first] == label)
        groups = groups[np.argsort(-sizes[groups], kind="stable")]
        side_of_group[groups] = _fill(sizes[groups], shares)
    return side_of_group[group_of]


def _fill(sizes: np.ndarray, shares: np.ndarray) -> list[int]:
    """Return a side for each group, given by its rows: the one with room for it that is furthest behind its share."""
    room = whole_quotas(int(sizes.sum()), shares)
    placed, sides = np.zeros(len(shares)), []
    for size in sizes.tolist():
        behind = shares * (placed.sum() + size) - placed
        has_room = room >= size
        side = int(np.argmax(np.where(has_room, behind, -np.inf)) if has_room.any() else np.argmax(room))
        room[side] -= size
        placed[side] += size
        sides.append(side)
    return sides


def whole_quotas(rows: int, shares: np.ndarray) -> np.ndarray:
    """Return how many of so many rows each share gets, each within one of its part: the largest remainders go up."""
    exact = rows * shares
    quotas = np.floor(exact + 1e-9)
    rest = rows - int(quotas.sum())
    quotas[np.argsort(quotas - exact, kind="stable")[:rest]] += 1
    return quotas
