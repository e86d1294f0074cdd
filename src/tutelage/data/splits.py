"""Which row trains, which tests and which validates."""

import hashlib
from collections.abc import Sequence

from tutelage.data.checks import normalised_prompt
from tutelage.data.conversations import Conversation
from tutelage.recipe import SplitRule


def split_rows(
    rows: Sequence[Conversation], *, rule: SplitRule, train_share: float, test_share: float
) -> dict[str, list[Conversation]]:
    """Return the rows of `train`, `test` and `validation`, each in the order of the source."""
    if rule == "position":
        return _split_by_position(rows, train_share, test_share)
    return _split_by_group(rows, train_share, test_share)


def find_leaks(splits: dict[str, list[Conversation]]) -> dict[str, list[int]]:
    """Return the rows of `test` and `validation` whose normalised prompt is also trained on."""
    trained = {normalised_prompt(row) for row in splits["train"]}
    return {
        name: [row.row for row in splits[name] if normalised_prompt(row) in trained]
        for name in ("test", "validation")
    }


def _split_by_position(
    rows: Sequence[Conversation], train_share: float, test_share: float
) -> dict[str, list[Conversation]]:
    """Cut in file order, as the book does: int(n * 0.85) train, the next int(n * 0.1) test, the rest validation."""
    train_end = int(len(rows) * train_share)
    test_end = train_end + int(len(rows) * test_share)
    return {
        "train": list(rows[:train_end]),
        "test": list(rows[train_end:test_end]),
        "validation": list(rows[test_end:]),
    }


def _split_by_group(
    rows: Sequence[Conversation], train_share: float, test_share: float
) -> dict[str, list[Conversation]]:
    """Place each prompt by its own hash: equal prompts stay together, and a growing file moves no row."""
    splits: dict[str, list[Conversation]] = {"train": [], "test": [], "validation": []}
    for row in rows:
        place = _unit_interval(normalised_prompt(row))
        if place < train_share:
            splits["train"].append(row)
        elif place < train_share + test_share:
            splits["test"].append(row)
        else:
            splits["validation"].append(row)
    return splits


def _unit_interval(text: str) -> float:
    """Return a number in [0, 1) that depends on nothing but the text."""
    digest = hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
