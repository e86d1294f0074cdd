"""Scores that people or a stronger judge have given, and how well a judge agrees with them."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from tutelage.errors import DataError
from tutelage.evaluation.stats.intervals import CONFIDENCE
from tutelage.run.folder import VARIANTS

PASS_MARK = 50
FEWEST = 3  # pairs, below which a correlation says nothing

# Scores by row and arm.
Scores = Mapping[tuple[int, str], float]

REMEDY = (
    'Write a list of {"row": 3, "variant": "tuned", "score": 85}, or one list of scores for each model in the order of'
    ' the test rows: {"base": [20, …], "tuned": [85, …]}.'
)


@dataclass(frozen=True)
class Agreement:
    """A judge against labels on `n` answers, scores from 0 to 100; None where the answers cannot tell.

    `bias` is judge minus label. `sensitivity` and `specificity` are the shares, from 0 to 1, of answers whose label is
    at least the pass mark, or below it, on which the judge agrees; `kappa` is Cohen's, on passing.
    """

    n: int
    pearson: float | None
    spearman: float | None
    kendall: float | None
    bias: float
    mean_absolute_error: float
    sensitivity: float | None
    specificity: float | None
    kappa: float | None


@dataclass(frozen=True)
class CorrectedDifference:
    """Tuned minus base in the scale of the labels, with its 95 % interval; from `n` rows that have both labels."""

    difference: float
    low: float
    high: float
    n: int


def read_labels(path: Path, rows: Sequence[int]) -> Scores:
    """Read a file of labels, JSON or JSONL; DataError where a label is at fault or belongs to no test row."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(
            "judge.labels_unreadable", f"The labels {path} cannot be read: {fault}. {REMEDY}"
        ) from fault
    found = _parse(text, path)
    if isinstance(found, dict):
        return _in_order(found, rows, path)
    return _by_row(found, rows, path)


def agreement(judge: Scores, labels: Scores) -> Agreement | None:
    """Compare two sets of scores on the answers that have both; None where there are fewer than three."""
    shared = [key for key in labels if key in judge]
    return _agreement([judge[key] for key in shared], [labels[key] for key in shared])


def compare_lists(one: Sequence[float], other: Sequence[float]) -> Agreement | None:
    """Compare two lists of scores without row numbers, `other` being the labels.

    DataError where their lengths differ: one score is missing, and nothing says which, so every pair after it would
    be of two different answers.
    """
    fewer, more = sorted((len(one), len(other)))
    _require_labels_found(fewer, more, "One of the lists holds", "")
    return _agreement(one, other)


def corrected_difference(judge: Scores, labels: Scores) -> CorrectedDifference | None:
    """Return the judge's mean difference, corrected by its error on the rows whose two answers have labels.

    Prediction-powered inference (Angelopoulos et al. 2023, Science 382:669): the judge's mean over all rows, plus
    the mean error over the labelled ones. The labelled rows are among all, so their covariance counts too; where every
    row is labelled, the interval is that of the labels. None where fewer than three rows have both labels.
    """
    judged = _differences(judge)
    labelled = {row: value for row, value in _differences(labels).items() if row in judged}
    if len(labelled) < FEWEST:
        return None
    errors = np.array([value - judged[row] for row, value in labelled.items()])  # (labelled,)
    beside = np.array([judged[row] for row in labelled])  # (labelled,)
    all_judged = np.array(list(judged.values()))  # (rows,)
    difference = float(all_judged.mean() + errors.mean())
    shared = 2 * float(np.cov(beside, errors)[0, 1])
    variance = (all_judged.var(ddof=1) + shared) / len(all_judged) + errors.var(ddof=1) / len(errors)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(errors) - 1) * math.sqrt(max(variance, 0)))
    return CorrectedDifference(difference, difference - half, difference + half, len(labelled))


def _parse(text: str, path: Path) -> Any:
    try:
        if path.suffix.lower() == ".jsonl":
            return [json.loads(line) for line in text.split("\n") if line.strip()]
        return json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise DataError(
            "judge.labels_malformed_json", f"The labels {path} are not valid JSON: {fault}. {REMEDY}"
        ) from fault


def _in_order(found: Mapping[str, Any], rows: Sequence[int], path: Path) -> Scores:
    if (
        not found
        or not set(found) <= set(VARIANTS)
        or not all(isinstance(part, list) for part in found.values())
    ):
        raise DataError(
            "judge.labels_invalid",
            f"The labels {path} hold an object without a list for each model. {REMEDY}",
        )
    labels: dict[tuple[int, str], float] = {}
    for variant, scores in found.items():
        _require_labels_found(len(scores), len(rows), f"The labels {path} hold", f" of the {variant} model")
        for row, score in zip(rows, scores, strict=True):
            labels[row, variant] = _score(score, f"of row {row}", path)
    return labels


def _require_labels_found(found: int, wanted: int, who_holds: str, of_whom: str) -> None:
    if found != wanted:
        raise DataError(
            "judge.labels_unpaired",
            f"{who_holds} {found} of {wanted} scores{of_whom}, and no row numbers say which are missing, so they"
            f" cannot be paired. {REMEDY}",
        )


def _by_row(found: Any, rows: Sequence[int], path: Path) -> Scores:
    if not isinstance(found, list):
        raise DataError("judge.labels_invalid", f"The labels {path} hold no list of labels. {REMEDY}")
    known = set(rows)
    labels: dict[tuple[int, str], float] = {}
    for number, label in enumerate(found, start=1):
        if (
            not isinstance(label, dict)
            or set(label) != {"row", "variant", "score"}
            or label["variant"] not in VARIANTS
        ):
            raise DataError(
                "judge.labels_invalid", f"Label {number} of {path} is {str(label)[:80]!r}. {REMEDY}"
            )
        row, variant = label["row"], label["variant"]
        if type(row) is not int or row not in known:
            raise DataError(
                "judge.label_row_unknown",
                f"Label {number} of {path} is for row {row!r}, which is not a test row of this run."
                " evaluation/base.jsonl lists the test rows.",
            )
        if (row, variant) in labels:
            raise DataError(
                "judge.label_duplicate",
                f"Label {number} of {path} is the second one for row {row}, {variant}. Keep one of them.",
            )
        labels[row, variant] = _score(label["score"], f"number {number}", path)
    return labels


def _score(value: Any, which: str, path: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise DataError(
            "judge.label_score_invalid",
            f"The score {which} in {path} is {value!r}, which is not a number from 0 to 100. {REMEDY}",
        )
    return float(value)


def _agreement(judge: Sequence[float], labels: Sequence[float]) -> Agreement | None:
    if len(judge) < FEWEST:
        return None
    given, wanted = np.array(judge, dtype=float), np.array(labels, dtype=float)  # (answers,)
    passes, should = given >= PASS_MARK, wanted >= PASS_MARK
    varies = np.ptp(given) > 0 and np.ptp(wanted) > 0
    return Agreement(
        n=len(given),
        pearson=float(stats.pearsonr(given, wanted).statistic) if varies else None,
        spearman=float(stats.spearmanr(given, wanted).statistic) if varies else None,
        kendall=float(stats.kendalltau(given, wanted).statistic) if varies else None,
        bias=float((given - wanted).mean()),
        mean_absolute_error=float(np.abs(given - wanted).mean()),
        sensitivity=float(passes[should].mean()) if should.any() else None,
        specificity=float((~passes)[~should].mean()) if (~should).any() else None,
        kappa=_kappa(passes, should),
    )


def _kappa(one: np.ndarray, other: np.ndarray) -> float | None:
    """Return Cohen's kappa of two boolean (answers,): agreement beyond what chance would give."""
    by_chance = one.mean() * other.mean() + (~one).mean() * (~other).mean()
    return float(((one == other).mean() - by_chance) / (1 - by_chance)) if by_chance < 1 else None


def _differences(scores: Scores) -> dict[int, float]:
    rows = {row for row, _ in scores}
    return {
        row: scores[row, "tuned"] - scores[row, "base"]
        for row in sorted(rows)
        if (row, "base") in scores and (row, "tuned") in scores
    }
