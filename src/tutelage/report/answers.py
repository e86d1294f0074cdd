"""Chooses the test rows worth reading side by side: most improved, most harmed, and some at random."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from tutelage.evaluation.metrics.metric import Metric
from tutelage.evaluation.metrics.metrics import PairedScores
from tutelage.evaluation.stats.clusters import shared_frame

ROWS_EACH = 5
ROWS_IN_ALL = 1000
LONGEST_HINT = 160  # characters
SEED = 123

# Which rows a reader can ask for: the first word is theirs in the page.
FILTERS = {
    "all": "all",
    "improved": "improved",
    "worsened": "got worse",
    "changed": "different answer",
    "same": "same answer",
    "exact": "newly exact",
    "inexact": "no longer exact",
    "cut": "cut off at the token limit",
    "unscored": "no judge score",
}


@dataclass(frozen=True)
class ScoredAnswer:
    """One model's answer, with its value of the primary metric."""

    text: str
    value: float
    is_exact: bool
    stopped: bool


@dataclass(frozen=True)
class AnsweredRow:
    """One test row with the answers of both models; `gain` is positive where the tuned one is better."""

    row: int
    prompt: str
    reference: str
    base: ScoredAnswer
    tuned: ScoredAnswer
    gain: float
    is_unscored: bool

    @property
    def kinds(self) -> list[str]:
        """The keys of FILTERS that show this row."""
        held = {
            "improved": self.gain > 0,
            "worsened": self.gain < 0,
            "changed": self.base.text != self.tuned.text,
            "same": self.base.text == self.tuned.text,
            "exact": self.tuned.is_exact and not self.base.is_exact,
            "inexact": self.base.is_exact and not self.tuned.is_exact,
            "cut": not self.tuned.stopped,
            "unscored": self.is_unscored,
        }
        return [kind for kind, holds in held.items() if holds]

    def hint(self, opening: str, ending: str) -> str:
        """Return the beginning of what is asked, on one line."""
        return " ".join(self.prompt.removeprefix(opening).removesuffix(ending).split())[:LONGEST_HINT]


@dataclass(frozen=True)
class Filter:
    """A choice of rows, and how many of those in the page it shows."""

    kind: str
    label: str
    rows: int


@dataclass(frozen=True)
class Selection:
    """Rows to read, none of them twice, then all of them, and the opening and ending that all test prompts share."""

    best: list[AnsweredRow]
    worst: list[AnsweredRow]
    chance: list[AnsweredRow]
    every: list[AnsweredRow]
    filters: list[Filter]
    omitted: int
    opening: str
    ending: str


def select(
    base: Sequence[Mapping[str, Any]],
    tuned: Sequence[Mapping[str, Any]],
    scores: PairedScores,
    metric: Metric,
    *,
    unscored: Set[int] = frozenset(),
) -> Selection:
    """Choose rows by their gain in the primary metric, and the random ones with a fixed seed.

    `unscored` are the rows of which a judge gave no readable score.
    """
    opening, ending = shared_frame([answer["prompt"] for answer in tuned])
    rows = sorted(_rows(base, tuned, scores, metric, unscored), key=lambda row: (-row.gain, row.row))
    best = [row for row in rows[:ROWS_EACH] if row.gain > 0]
    worst = [row for row in rows[::-1][:ROWS_EACH] if row.gain < 0]
    rest = sorted((row for row in rows if row not in best and row not in worst), key=lambda row: row.row)
    chance = random.Random(SEED).sample(rest, min(ROWS_EACH, len(rest)))
    # What changed most stands at both ends, so an enormous test set is cut in its middle.
    half = ROWS_IN_ALL // 2
    every = rows if len(rows) <= ROWS_IN_ALL else [*rows[:half], *rows[-half:]]
    return Selection(best, worst, chance, every, _filters(every), len(rows) - len(every), opening, ending)


def _filters(rows: Sequence[AnsweredRow]) -> list[Filter]:
    """Return the choices that show something, all rows first."""
    counted = Counter(kind for row in rows for kind in ("all", *row.kinds))
    return [Filter(kind, label, counted[kind]) for kind, label in FILTERS.items() if counted[kind]]


def _rows(
    base: Sequence[Mapping[str, Any]],
    tuned: Sequence[Mapping[str, Any]],
    scores: PairedScores,
    metric: Metric,
    unscored: Set[int],
) -> list[AnsweredRow]:
    base_by_row = {answer["row"]: answer for answer in base}
    tuned_by_row = {answer["row"]: answer for answer in tuned}
    rows = []
    for index, row in enumerate(scores.rows):
        before = _answer(base_by_row[row], scores.base, metric, index)
        after = _answer(tuned_by_row[row], scores.tuned, metric, index)
        gain = metric.gain(after.value - before.value)
        prompt, reference = tuned_by_row[row]["prompt"], tuned_by_row[row]["reference"]
        rows.append(AnsweredRow(row, prompt, reference, before, after, gain, row in unscored))
    return rows


def _answer(answer: Mapping[str, Any], values: Mapping[str, Any], metric: Metric, index: int) -> ScoredAnswer:
    return ScoredAnswer(
        text=answer["response"],
        value=float(values[metric.name][index]),
        is_exact=bool(values["exact_match"][index]),
        stopped=bool(answer["stopped"]),
    )
