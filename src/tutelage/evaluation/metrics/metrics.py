"""Scores answers by every metric, and pairs the scores of two models by row."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tutelage.config.extensions import ANSWER_METRICS
from tutelage.errors import RunFolderError
from tutelage.evaluation.metrics import load_metric, load_metrics
from tutelage.evaluation.metrics.metric import Answer, Metric
from tutelage.evaluation.stats.clusters import cluster_rows
from tutelage.run.functions import FunctionSource


@dataclass(frozen=True)
class OwnMetric:
    """A metric that is a function of the user's own; it scores an answer, a line of base.jsonl."""

    name: str
    source: FunctionSource
    score: Callable[[Mapping[str, Any]], float]


def metric_named(name: str) -> Metric:
    """Return a metric by its name; one that is not ours is a function of the user's own."""
    if name in ANSWER_METRICS:
        return load_metric(name)
    return Metric(
        name, label=name, unit="", higher_is_better=True, decimals=3, meaning="a function of your own"
    )


@dataclass(frozen=True)
class PairedScores:
    """The scores of both models on the same rows: each array is (rows,), in the order of `rows`.

    `clusters` gives rows whose prompts resemble each other the same label; the tokens are those of the answers.
    """

    rows: tuple[int, ...]
    base: Mapping[str, np.ndarray]
    tuned: Mapping[str, np.ndarray]
    clusters: np.ndarray
    base_tokens: np.ndarray
    tuned_tokens: np.ndarray

    def to_records(self) -> list[dict[str, Any]]:
        """Return a line for each row as scores.jsonl has it."""
        return [
            {
                "row": row,
                "cluster": self.rows[self.clusters[index]],
                **{
                    variant: {name: float(values[name][index]) for name in values}
                    for variant, values in (("base", self.base), ("tuned", self.tuned))
                },
            }
            for index, row in enumerate(self.rows)
        ]


def read_scores(
    lines: Sequence[Mapping[str, Any]],
    base: Sequence[Mapping[str, Any]],
    tuned: Sequence[Mapping[str, Any]],
) -> PairedScores:
    """Return what `score_rows` found, from the lines of scores.jsonl; nothing is scored again.

    RunFolderError where the answers are not those of the same rows.
    """
    base_by_row, tuned_by_row = _by_row(base, "base"), _by_row(tuned, "tuned")
    _require_paired(base_by_row, tuned_by_row)
    by_row = {line["row"]: line for line in lines}
    rows = tuple(sorted(base_by_row))
    if by_row.keys() != base_by_row.keys():
        raise RunFolderError(
            "run.answers_unpaired",
            f"There are scores for {len(by_row)} rows but answers to {len(rows)}. Run `tutelage evaluate`"
            " again, so that each answer has its score.",
        )
    names = dict.fromkeys(name for line in lines for name in line["tuned"])
    scores = {
        variant: {
            name: np.array([by_row[row][variant][name] for row in rows], dtype=np.float64) for name in names
        }
        for variant in ("base", "tuned")
    }
    places = {row: place for place, row in enumerate(rows)}
    clusters = np.array([places[by_row[row]["cluster"]] for row in rows])
    lengths = (_lengths(base_by_row, rows), _lengths(tuned_by_row, rows))
    return PairedScores(rows, scores["base"], scores["tuned"], clusters, *lengths)


def score_rows(
    base: Sequence[Mapping[str, Any]],
    tuned: Sequence[Mapping[str, Any]],
    own: Sequence[OwnMetric] = (),
    *,
    optional: Sequence[str] = (),
) -> PairedScores:
    """Score the answers of both models, by `optional` and `own` metrics too, and pair them by row id."""
    base_by_row, tuned_by_row = _by_row(base, "base"), _by_row(tuned, "tuned")
    _require_paired(base_by_row, tuned_by_row)
    rows = tuple(sorted(base_by_row))
    return PairedScores(
        rows,
        score_answers([base_by_row[row] for row in rows], own, optional=optional),
        score_answers([tuned_by_row[row] for row in rows], own, optional=optional),
        cluster_rows([tuned_by_row[row]["prompt"] for row in rows]),
        _lengths(base_by_row, rows),
        _lengths(tuned_by_row, rows),
    )


def _by_row(answers: Sequence[Mapping[str, Any]], variant: str) -> dict[int, Mapping[str, Any]]:
    repeated = [row for row, count in Counter(answer["row"] for answer in answers).items() if count > 1]
    if repeated:
        raise RunFolderError(
            "run.answers_repeated",
            f"The {variant} model's answers hold row {min(repeated)} more than once. Run `tutelage evaluate`"
            " again to generate them again.",
        )
    return {answer["row"]: answer for answer in answers}


def _require_paired(base: Mapping[int, Any], tuned: Mapping[int, Any]) -> None:
    unpaired = sorted(base.keys() ^ tuned.keys())
    if unpaired:
        raise RunFolderError(
            "run.answers_unpaired",
            f"The base model answered {len(base)} rows and the tuned model {len(tuned)}, and"
            f" {len(unpaired)} of them have only one answer, row {unpaired[0]} for one."
            " Run `tutelage evaluate` again, so that both answer the same rows.",
        )


def _lengths(answers: Mapping[int, Mapping[str, Any]], rows: Sequence[int]) -> np.ndarray:
    return np.array([answers[row]["response_tokens"] for row in rows], dtype=np.float64)  # (rows,)


def score_answers(
    answers: Sequence[Mapping[str, Any]], own: Sequence[OwnMetric] = (), *, optional: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Score answers by every metric: arrays (rows,) in the order given."""
    metrics = [*load_metrics(optional).values(), *own]
    return {
        metric.name: np.array([metric.score(answer) for answer in answers], dtype=np.float64)  # (rows,)
        for metric in metrics
    }


def score(answer: Answer) -> dict[str, float]:
    """Score one answer with every metric that is not optional, each in its unit."""
    return {name: metric.score(answer) for name, metric in load_metrics().items()}
