"""Assign rows to the training, test and validation splits."""

from array import array
from collections.abc import Iterable, Sequence

import numpy as np

from tutelage.config.recipe import SplitRule
from tutelage.data.quality.prompt_fingerprint import DIGEST_BYTES, prompt_digest, prompts_of
from tutelage.data.rows.conversations import Conversation
from tutelage.run.folder import SPLITS

# A prompt that is continued in more ways than this is a greeting or similar, not an actual question.
BRANCHES_OF_A_QUESTION = 8


def split_rows(
    rows: Sequence[Conversation], *, rule: SplitRule, train_size: float, test_size: float
) -> dict[str, list[Conversation]]:
    """Return the rows of `train`, `test` and `validation`, each in source order."""
    sides = SplitAssigner(rule=rule, train_size=train_size, test_size=test_size)
    for row in rows:
        sides.add_row(row)
    return {
        name: [row for row, side in zip(rows, sides.splits(), strict=True) if side == place]
        for place, name in enumerate(SPLITS)
    }


def find_leaks(splits: dict[str, list[Conversation]]) -> dict[str, list[int]]:
    """Return the rows of `test` and `validation` whose normalized prompt is also trained on."""
    trained: set[bytes] = set()
    for row in splits["train"]:
        prompt, earlier = prompts_of(row)
        trained |= {prompt_digest(prompt), *(digest for digest, is_supervised in earlier if is_supervised)}
    return {
        name: [row.row for row in splits[name] if prompt_digest(prompts_of(row)[0]) in trained]
        for name in ("test", "validation")
    }


class SplitAssigner:
    """Assigns rows to splits, storing only row numbers and prompt fingerprints.

    By group, each prompt is placed by its own hash: equal prompts stay together, and appending rows moves none
    of the others. If one row asks what an earlier turn of other rows asks, those rows follow it, except for
    openings (see `_groups`).

    By position, rows are cut in file order, as in the book: int(n * 0.85) train, the next int(n * 0.1) test,
    the rest validation.

    Stratified, each split gets its share of the rows of every label, as closely as whole groups of equal
    prompts allow.
    """

    def __init__(self, *, rule: SplitRule, train_size: float, test_size: float) -> None:
        self._rule, self._train_size, self._test_size = rule, train_size, test_size
        self._rows = array("q")
        self._prompts = bytearray()
        # For the earlier answers in a row: prompts, whether they are supervised, and the row's index.
        self._earlier, self._is_trained, self._owners = bytearray(), bytearray(), array("q")
        self._labels, self._numbers = array("q"), dict[str, int]()  # for stratified splits
        self._sides = bytearray()  # by group: split of each row by its own prompt

    def under(self, rule: SplitRule) -> "SplitAssigner":
        """Return an assigner for the same rows under another rule."""
        other = SplitAssigner(rule=rule, train_size=self._train_size, test_size=self._test_size)
        other._rows, other._prompts = self._rows, self._prompts
        other._earlier, other._is_trained, other._owners = self._earlier, self._is_trained, self._owners
        for begin in range(0, len(self._prompts) if rule == "group" else 0, DIGEST_BYTES):
            other._sides.append(other._side(self._prompts[begin : begin + DIGEST_BYTES]))
        return other

    def add_row(self, row: Conversation, *, trains_all: bool = True) -> int | None:
        """Add the next row; without `trains_all`, only its last answer is trained on."""
        prompt, earlier = prompts_of(row, trains_all=trains_all)
        return self.add(row.row, prompt, row.response, earlier)

    def add(
        self, row: int, prompt: str, label: str, earlier: Iterable[tuple[bytes, bool]] = ()
    ) -> int | None:
        """Add the next row with its normalized prompt, its label (for stratified splits), and its `earlier`
        prompts.

        Return its split as an index into SPLITS, assuming no other row asks one of the earlier prompts; None if
        the split depends on later rows.
        """
        digest = prompt_digest(prompt)
        for one, is_supervised in earlier:
            self._earlier += one
            self._is_trained.append(is_supervised)
            self._owners.append(len(self._rows))
        self._rows.append(row)
        self._prompts += digest
        if self._rule == "stratified":
            self._labels.append(self._numbers.setdefault(label, len(self._numbers)))
        if self._rule != "group":
            return None
        self._sides.append(self._side(digest))
        return self._sides[-1]

    def _side(self, digest: bytes | bytearray) -> int:
        place = int.from_bytes(digest[:6]) / 2**48  # in [0, 1), depends only on the prompt
        return (place >= self._train_size) + (place >= self._train_size + self._test_size)

    @property
    def rows(self) -> np.ndarray:
        """Row numbers: (rows,)."""
        return np.array(self._rows, dtype=np.int64)

    def splits(self) -> np.ndarray:
        """Return the split of each row as an index into SPLITS: (rows,) uint8."""
        if self._rule == "position":
            places = np.arange(len(self._rows))
            train_end = int(len(places) * self._train_size)
            test_end = train_end + int(len(places) * self._test_size)
            return (places >= train_end).astype(np.uint8) + (places >= test_end)
        groups, followers, is_opening = self._groups()
        if self._rule == "group":
            sides = self.first_splits()
            sides[followers] = [self._side(group.tobytes()) for group in groups[followers]]
        else:
            rest = max(0.0, 1 - self._train_size - self._test_size)
            shares = np.array([self._train_size, self._test_size, rest])
            sides = stratified_splits(groups, np.array(self._labels), shares)
        sides[is_opening] = 0
        return sides

    def first_splits(self) -> np.ndarray:
        """Return what `add` returned for each row under the group rule: (rows,) uint8."""
        return np.frombuffer(bytes(self._sides), dtype=np.uint8).copy()

    def groups(self) -> np.ndarray:
        """Return the size of each group of rows that must stay together, largest first: (groups,)."""
        groups = np.arange(len(self._rows)) if self._rule == "position" else self._groups()[0]
        return np.sort(np.unique(groups, return_counts=True)[1])[::-1]

    def leaks(self) -> dict[str, list[int]]:
        """Return the rows of `test` and `validation` whose normalized prompt is also trained on."""
        rows, sides, prompts = self.rows, self.splits(), self._fingerprints
        is_trained = np.frombuffer(bytes(self._is_trained), dtype=bool)
        earlier = self._earlier_fingerprints[
            is_trained & (sides[np.array(self._owners, dtype=np.int64)] == 0)
        ]
        trained = np.unique(np.concatenate([prompts[sides == 0], earlier]))
        is_leak = np.isin(prompts, trained) & (sides > 0)
        return {name: rows[is_leak & (sides == place)].tolist() for place, name in enumerate(SPLITS) if place}

    def _groups(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the group of each row, the indices of rows that follow another row's prompt, and those of
        openings.

        A row follows the shortest of its prompts that is the whole prompt of another row, so that no test
        prompt is answered in training. No row follows an opening; rows that ask only an opening are trained on,
        so nothing leaks.
        """
        prompts, earlier = self._fingerprints, self._earlier_fingerprints
        hits = np.flatnonzero(np.isin(earlier, prompts))
        nothing = np.zeros(0, dtype=np.int64)
        if not len(hits):
            return prompts, nothing, nothing
        owners = np.array(self._owners, dtype=np.int64)
        # What follows each earlier prompt in its conversation: the next earlier prompt, or the row's own.
        following = np.append(earlier[1:], prompts[:1])
        is_last = np.append(owners[1:] != owners[:-1], True)
        following[is_last] = prompts[owners[is_last]]
        steps = np.unique(_pairs(earlier[hits], following[hits]))
        asked, branches = np.unique(_firsts(steps), return_counts=True)
        openings = asked[branches > BRANCHES_OF_A_QUESTION]
        hits = hits[~np.isin(earlier[hits], openings)]
        followers, first = np.unique(owners[hits], return_index=True)
        groups = prompts.copy()
        groups[followers] = earlier[hits[first]]
        return groups, followers, np.flatnonzero(np.isin(prompts, openings))

    @property
    def _fingerprints(self) -> np.ndarray:
        return np.frombuffer(bytes(self._prompts), dtype=f"V{DIGEST_BYTES}")

    @property
    def _earlier_fingerprints(self) -> np.ndarray:
        return np.frombuffer(bytes(self._earlier), dtype=f"V{DIGEST_BYTES}")


def _pairs(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    columns = [digests.view(np.uint8).reshape(-1, DIGEST_BYTES) for digests in (one, other)]
    return np.concatenate(columns, axis=1).view(f"V{2 * DIGEST_BYTES}").ravel()


def _firsts(pairs: np.ndarray) -> np.ndarray:
    columns = pairs.view(np.uint8).reshape(-1, 2 * DIGEST_BYTES)[:, :DIGEST_BYTES]
    return np.ascontiguousarray(columns).view(f"V{DIGEST_BYTES}").ravel()


def stratified_splits(prompts: np.ndarray, labels: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the split of each row, (rows,) uint8, so that each split gets its share of every label within one
    row.

    `prompts` are fingerprints, (rows,); rows with the same one form a group that stays together and counts
    under the label of its first row. Larger groups are placed first so that smaller ones can balance them; ties
    are ordered by fingerprint.
    """
    _, first, group_of, sizes = np.unique(prompts, return_index=True, return_inverse=True, return_counts=True)
    side_of_group = np.empty(len(first), dtype=np.uint8)
    for label in np.unique(labels):
        groups = np.flatnonzero(labels[first] == label)
        groups = groups[np.argsort(-sizes[groups], kind="stable")]
        side_of_group[groups] = _fill(sizes[groups], shares)
    return side_of_group[group_of]


def _fill(sizes: np.ndarray, shares: np.ndarray) -> list[int]:
    """Return a split for each group, given the group sizes: the one with room that is furthest below its share."""
    room = whole_quotas(int(sizes.sum()), shares)
    placed, sides = np.zeros(len(shares)), []
    for size in sizes.tolist():
        behind = shares * (placed.sum() + size) - placed
        has_budget = room >= size
        side = int(np.argmax(np.where(has_budget, behind, -np.inf)) if has_budget.any() else np.argmax(room))
        room[side] -= size
        placed[side] += size
        sides.append(side)
    return sides


def whole_quotas(rows: int, shares: np.ndarray) -> np.ndarray:
    """Divide `rows` by `shares` into whole numbers; the largest remainders are rounded up."""
    exact = rows * shares
    quotas = np.floor(exact + 1e-9)
    rest = rows - int(quotas.sum())
    quotas[np.argsort(quotas - exact, kind="stable")[:rest]] += 1
    return quotas
