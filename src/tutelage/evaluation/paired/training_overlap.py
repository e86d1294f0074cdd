"""Test rows that are near-duplicates of training rows, and what the evaluation would find without them."""

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from tutelage.data.quality.cross_duplicates import find_alike
from tutelage.data.quality.near_duplicates import NOTHING, THRESHOLD
from tutelage.data.quality.prompt_fingerprint import compared_prompt
from tutelage.data.quality.sketches import pieces, similarity
from tutelage.data.rows.conversations import ChatMessage, Conversation, messages_of
from tutelage.evaluation.metrics.metric import Metric
from tutelage.evaluation.metrics.metrics import PairedScores
from tutelage.evaluation.paired.verdict import format_change, verdict
from tutelage.evaluation.stats.statistics import paired_difference
from tutelage.run.figures import TrainingOverlap
from tutelage.tree.examples import PreparedRow

PIECES_AT_HAND = 64  # prompts whose pieces are kept


def near_duplicates_of_training(
    test: Sequence[PreparedRow], training: Iterable[PreparedRow]
) -> frozenset[int]:
    """Return the numbers of the test rows whose prompt is a near-duplicate of a training prompt.

    The rule is that of `tutelage check`: the question and what stands before it share four fifths of their
    5-character pieces.
    """
    asked, known = ([_compared(row) for row in rows] for rows in (test, training))

    @lru_cache(PIECES_AT_HAND)
    def pieces_of(prompt: str) -> frozenset[str]:
        return pieces(prompt)

    def is_alike(place: int, other: int) -> bool:
        return similarity(pieces_of(asked[place]), pieces_of(known[other])) >= THRESHOLD

    found = find_alike(asked, known, is_alike)
    return frozenset(row.example.row for row, other in zip(test, found, strict=True) if other != NOTHING)


def _compared(row: PreparedRow) -> str:
    """Return the prompt of a row as `tutelage check` compares it, without what the prompt template adds."""
    answer = ChatMessage("assistant", row.response)
    return compared_prompt(Conversation(row.example.row, (*messages_of(row.messages), answer)))


def training_overlap(
    scores: PairedScores,
    primary: Metric,
    near: Collection[int],
    *,
    training_rows: int,
    baseline: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return what metrics.json says of the test rows, `near` by their numbers, that resemble training rows.

    If there are any, it holds the primary metric on all rows and on the others. `baseline` are the scores, (rows,),
    that the verdict compares with; by default those of the base model.
    """
    is_near = np.array([row in near for row in scores.rows])
    compared = scores.base[primary.name] if baseline is None else baseline

    def group(is_in: np.ndarray) -> dict[str, Any] | None:
        if not is_in.any():
            return None
        base, tuned = compared[is_in], scores.tuned[primary.name][is_in]
        measured = paired_difference(base, tuned, scores.clusters[is_in])
        return {
            "rows": len(base),
            "base": measured.base,
            "tuned": measured.tuned,
            "difference": measured.difference,
            "low": measured.low,
            "high": measured.high,
            "verdict": verdict(measured, primary).word,
        }

    any_near = bool(is_near.any())
    return {
        "rows": int(is_near.sum()),
        "training_rows": training_rows,
        "row_numbers": [row for row in scores.rows if row in near],
        "all": group(np.ones_like(is_near)) if any_near else None,
        "without": group(~is_near) if any_near else None,
    }


def overlap_sentence(found: TrainingOverlap, primary: Metric) -> str:
    """Say how many test rows are near-duplicates of training rows, and whether the verdict rests on them."""
    if not found.rows or found.all is None:
        return f"No test row is a near-duplicate of any of the {found.training_rows:,} training rows."
    total = found.all.rows
    are = "is a near-duplicate" if found.rows == 1 else "are near-duplicates"
    counted = f"{found.rows:,} of {total:,} test rows {are} of training rows."
    if found.without is None:
        return f"{counted} No test row is left without them."
    them = "it" if found.rows == 1 else "them"
    now, then = found.all, found.without
    changes = [
        "unknown" if one.difference is None else format_change(one.difference, primary) for one in (now, then)
    ]
    moved = f"{primary.label} changes by {changes[0]} on all rows and by {changes[1]} without {them}"
    kept = (
        f"the verdict would be the same without {them}"
        if now.verdict == then.verdict
        else f"without {them} the verdict would be “{then.verdict}” instead of “{now.verdict}”"
    )
    return f"{counted} {moved}; {kept}."
