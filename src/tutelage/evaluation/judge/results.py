"""What one judge says of both models: scores, preferences, what is missing, and whether a verdict may rest on it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from tutelage.codes import Message
from tutelage.evaluation.judge.labels import Scores, agreement, corrected_difference
from tutelage.evaluation.judge.protocol import LARGEST_SCORE
from tutelage.evaluation.judge.self_test import SelfTest
from tutelage.evaluation.metrics.judged import SET_METRIC as JUDGED
from tutelage.evaluation.metrics.metric import Metric
from tutelage.evaluation.paired.verdict import verdict
from tutelage.evaluation.stats.proportions import effective_rows, wilson_interval
from tutelage.evaluation.stats.statistics import paired_difference
from tutelage.run.folder import VARIANTS
from tutelage.run.lines import read_json_lines

MAX_MISSING = 0.05  # share of the rows without a pair of scores; above it there is no claim
ORDERS = ("base", "tuned")  # which model's answer stands first

SCORE_FIGURES = (
    "base",
    "tuned",
    "difference",
    "low",
    "high",
    "minimum_detectable_effect",
    "higher",
    "equal",
    "lower",
)

# The score of an answer by row and arm, None where there is none.
RowScores = Mapping[tuple[int, str], int | None]
# Which model a judge prefers by row and order: base, tuned or tie, None where there is no readable reply.
Preferences = Mapping[tuple[int, str], str | None]


@dataclass(frozen=True)
class Outcomes:
    """How many rows the tuned model wins, ties and loses, as each pair was judged in both orders."""

    win: int
    tie: int
    loss: int
    missing: int
    disagreeing: int


def judged_metric(judge: str) -> Metric:
    """Return what people need to know to read a judge's scores."""
    return replace(JUDGED, label=f"score by {judge}")


def read_test_row_judgements(judgements: Path) -> list[dict[str, Any]]:
    """Return the lines of judgements.jsonl that are about the test rows, not about a named set."""
    return [record for record in read_json_lines(judgements) if "set" not in record]


def summarise_judge(
    judge: str,
    rows: Sequence[int],
    scores: RowScores,
    preferences: Preferences,
    self_test: SelfTest,
    *,
    clusters: np.ndarray,
    lengths: Mapping[str, Sequence[int]],
    labels: Scores | None,
    notes: Sequence[Message],
) -> dict[str, Any]:
    """Return what judges.json says of one judge.

    In the order of `rows`, `clusters` (rows,) gives rows that resemble each other the same label, and `lengths` are the
    answers' tokens by arm.
    """
    has_pair = np.array(
        [all(scores[row, variant] is not None for variant in VARIANTS) for row in rows], dtype=bool
    )
    paired = [row for row, is_paired in zip(rows, has_pair, strict=True) if is_paired]
    base, tuned = (
        np.array([scores[row, variant] for row in paired], dtype=np.float64) for variant in VARIANTS
    )  # (paired,)
    difference = paired_difference(base, tuned, clusters[has_pair])
    missing = len(rows) - len(paired)
    doubts = doubts_of(self_test, missing, len(rows))
    judged = verdict(difference, judged_metric(judge))
    readable = {key: float(score) for key, score in scores.items() if score is not None}
    return {
        "trusted": not doubts,
        "verdict": judged.word if not doubts else "no verdict",
        "sentence": judged.sentence if not doubts else f"No verdict by {judge}: {'; '.join(doubts)}.",
        "rows": len(rows),
        "missing_scores": missing,
        "score": {name: getattr(difference, name) for name in SCORE_FIGURES},
        "bounds": _bounds(rows, scores),
        "preference": _preference(rows, preferences, clusters),
        "length": _length(rows, paired, base, tuned, lengths),
        "self_test": self_test.to_record(),
        "labels": _labelled(readable, labels) if labels is not None else None,
        "notes": [note.to_record() for note in notes],
    }


def outcomes(rows: Sequence[int], preferences: Preferences) -> Outcomes:
    """Count wins and losses; one counts only if both orders agree, and a pair with a null is missing altogether."""
    pairs = [tuple(preferences[row, order] for order in ORDERS) for row in rows]
    whole = [pair for pair in pairs if None not in pair]
    win, loss = whole.count(("tuned", "tuned")), whole.count(("base", "base"))
    return Outcomes(
        win=win,
        tie=len(whole) - win - loss,
        loss=loss,
        missing=len(pairs) - len(whole),
        disagreeing=sum(pair[0] != pair[1] for pair in whole),
    )


def doubts_of(self_test: SelfTest, missing: int, rows: int) -> list[str]:
    """Name what forbids a claim."""
    doubts = []
    if self_test.is_hopeless:
        # What was not asked for that reason is no further doubt.
        return [_untrusted(self_test)]
    if self_test.unanswered:
        doubts.append(
            f"the self-test is not finished, because {self_test.unanswered} of its requests have no response"
            " yet"
        )
    elif not self_test.passed:
        doubts.append(_untrusted(self_test))
    if missing > MAX_MISSING * rows:
        doubts.append(f"{missing} of {rows} rows have no pair of scores, which is more than 5 %")
    return doubts


def _untrusted(self_test: SelfTest) -> str:
    failed = ", ".join(self_test.failures)
    return f"the judge is not trustworthy on this data, because its self-test failed ({failed})"


def _bounds(rows: Sequence[int], scores: RowScores) -> dict[str, float | None]:
    """Return the mean difference over all rows if each missing score were worst for the tuned model, or best."""
    if not rows:
        return {"worst": None, "best": None}

    def filled(row: int, variant: str, missing: int) -> int:
        score = scores[row, variant]
        return missing if score is None else score

    worst = [filled(row, "tuned", 0) - filled(row, "base", LARGEST_SCORE) for row in rows]
    best = [filled(row, "tuned", LARGEST_SCORE) - filled(row, "base", 0) for row in rows]
    return {"worst": float(np.mean(worst)), "best": float(np.mean(best))}


def _preference(rows: Sequence[int], preferences: Preferences, clusters: np.ndarray) -> dict[str, Any]:
    counted = outcomes(rows, preferences)
    decided, whole = counted.win + counted.loss, len(rows) - counted.missing
    low, high = _interval_of_wins(rows, preferences, clusters) if decided else (None, None)
    return {
        **asdict(counted),
        # Of the rows that one of the two wins, in %.
        "win_rate": 100 * counted.win / decided if decided else None,
        "low": low,
        "high": high,
        # If every pair that is missing were lost, or won.
        "worst_win_rate": 100 * counted.win / (decided + counted.missing)
        if decided + counted.missing
        else None,
        "best_win_rate": 100 * (counted.win + counted.missing) / (decided + counted.missing)
        if decided + counted.missing
        else None,
        "swaps_agree": 100 * (whole - counted.disagreeing) / whole if whole else None,
    }


def _interval_of_wins(
    rows: Sequence[int], preferences: Preferences, clusters: np.ndarray
) -> tuple[float, float]:
    """Return Wilson's interval, in %, of the share of wins among the rows that one of the two wins."""
    agreed = [{preferences[row, order] for order in ORDERS} for row in rows]
    is_decided = np.array([both in ({"tuned"}, {"base"}) for both in agreed])
    won = np.array([both == {"tuned"} for both in agreed])[is_decided]
    low, high = wilson_interval(float(won.mean()), effective_rows(won.astype(float), clusters[is_decided]))
    return 100 * low, 100 * high


def _length(
    rows: Sequence[int],
    paired: Sequence[int],
    base: np.ndarray,
    tuned: np.ndarray,
    lengths: Mapping[str, Sequence[int]],
) -> dict[str, float | None]:
    """Return the mean lengths, and the difference that would be left between answers of one length.

    It is the intercept of the score's difference on that of the logarithms of the lengths, plus one for empty answers.
    """
    place = {row: index for index, row in enumerate(rows)}
    means = {f"{variant}_tokens": float(np.mean(lengths[variant])) if rows else None for variant in VARIANTS}
    by_arm = {
        variant: np.log1p([lengths[variant][place[row]] for row in paired]) for variant in VARIANTS
    }  # (paired,)
    longer = by_arm["tuned"] - by_arm["base"]
    can_tell = len(paired) > 2 and np.ptp(longer) > 0
    adjusted = float(stats.linregress(longer, tuned - base).intercept) if can_tell else None
    return {**means, "adjusted_difference": adjusted}


def _labelled(scores: Scores, labels: Scores) -> dict[str, Any]:
    agreed, corrected = agreement(scores, labels), corrected_difference(scores, labels)
    return {
        "agreement": asdict(agreed) if agreed else None,
        "corrected": asdict(corrected) if corrected else None,
    }
