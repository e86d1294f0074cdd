"""What one run scored on its test rows, whatever it gives them: answers, or labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tutelage.evaluation.compare.measures import RowMean
from tutelage.evaluation.metrics.metrics import METRICS, read_scores

Lines = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class ScoredRows:
    """The tuned model's result on every test row: arrays are (rows,), in the order of the rows.

    `answers` holds by row its prompt, reference and response, and whether the model `stopped` by itself. `deciding`
    names metrics, the one that decides first, and behind it the one that decides where other runs do not have it;
    rows to read are chosen by `reading`. `tokens` counts those of the answers.
    """

    answers: Mapping[int, Mapping[str, Any]]
    clusters: np.ndarray
    measures: Mapping[str, RowMean]
    deciding: tuple[str, ...]
    reading: str
    is_exact: np.ndarray
    tokens: np.ndarray


def scored_answers(scores: Lines, base: Lines, tuned: Lines, *, primary: str) -> ScoredRows:
    """Return what a run scored, from the lines of scores.jsonl and of both models' answers."""
    paired = read_scores(scores, base, tuned)
    return ScoredRows(
        answers=dict(sorted((answer["row"], answer) for answer in tuned)),
        clusters=paired.clusters,
        measures={name: RowMean(METRICS[name], values) for name, values in paired.tuned.items()},
        deciding=(primary,),
        reading=primary,
        is_exact=paired.tuned["exact_match"] == 100,
        tokens=paired.tuned_tokens,
    )
