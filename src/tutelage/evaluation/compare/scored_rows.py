"""What one run scored on its test rows: by its answers, by its preferences, or by the labels that it gave."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tutelage.config.extensions import ANSWER_METRICS
from tutelage.data.quality.label_sets import labels_in
from tutelage.errors import RunFolderError
from tutelage.evaluation.compare.measures import LabelF1, Measure, RowMean
from tutelage.evaluation.metrics import load_metric
from tutelage.evaluation.metrics.metric import Metric
from tutelage.evaluation.metrics.metrics import read_scores
from tutelage.evaluation.stats.clusters import cluster_rows
from tutelage.evaluation.stats.paired_f1 import macro_f1, micro_f1

Lines = Sequence[Mapping[str, Any]]

ACCURACY = Metric(
    name="accuracy",
    label="Accuracy",
    unit="%",
    higher_is_better=True,
    decimals=1,
    meaning="share of rows that are given their label, or of several exactly theirs",
)
MACRO_F1 = Metric(
    name="macro_f1",
    label="Macro F1",
    unit="F1",
    higher_is_better=True,
    decimals=3,
    meaning="harmonic mean of precision and recall of each label, its mean over the labels; rare labels count alike",
)
MICRO_F1 = Metric(
    name="micro_f1",
    label="Micro F1",
    unit="F1",
    higher_is_better=True,
    decimals=3,
    meaning="harmonic mean of precision and recall of all decisions on all labels together",
)
PREFERENCE_ACCURACY = Metric(
    name="preference_accuracy",
    label="Preference accuracy",
    unit="%",
    higher_is_better=True,
    decimals=1,
    meaning="share of pairs on which the model moved towards the chosen answer; a tie counts as not right",
)
PREFERENCE_MARGIN = Metric(
    name="preference_margin",
    label="Preference margin",
    unit="nats",
    higher_is_better=True,
    decimals=2,
    meaning="what the chosen answer gained in log-probability over the rejected one, whatever beta is",
)


@dataclass(frozen=True)
class ScoredRows:
    """The tuned model's result on every test row: arrays are (rows,), in the order of the rows.

    `answers` holds by row its prompt, reference and response, and whether the model `stopped` by itself. `deciding`
    names metrics: of those that all runs have, the first decides, and rows to read are chosen by the last. `tokens`
    counts those of the answers, None where there are none; `labels` are those that the model tells apart. `references`
    says what the answers are compared with, where those are not the rows' own.
    """

    answers: Mapping[int, Mapping[str, Any]]
    clusters: np.ndarray
    measures: Mapping[str, Measure]
    deciding: tuple[str, ...]
    is_exact: np.ndarray
    tokens: np.ndarray | None = None
    labels: tuple[str, ...] = ()
    references: str = ""


def scored_answers(scores: Lines, base: Lines, tuned: Lines, *, primary: str) -> ScoredRows:
    """Return what a run scored, from the lines of scores.jsonl and of both models' answers."""
    paired = read_scores(scores, base, tuned)
    return ScoredRows(
        answers=_by_row(tuned),
        clusters=paired.clusters,
        measures={
            name: RowMean(load_metric(name), values)
            for name, values in paired.tuned.items()
            if name in ANSWER_METRICS
        },
        deciding=(primary,),
        is_exact=paired.tuned["exact_match"] == 100,
        tokens=paired.tuned_tokens,
    )


def with_preferences(rows: ScoredRows, pairs: Lines) -> ScoredRows:
    """Add what the run scored on its pairs, from the lines of preferences.jsonl; this decides, as in an evaluation.

    The margin is in nats, without beta, so that runs with different betas are on one scale.
    """
    by_row = _by_row(pairs)
    if by_row.keys() != rows.answers.keys():
        raise RunFolderError(
            "run.answers_unpaired",
            f"There are preferences for {len(by_row)} rows but answers to {len(rows.answers)}. Run `tutelage"
            " evaluate` again, so that each answer has its pair.",
        )
    right = np.array([one["margin"] > 0 and not one["is_tie"] for one in by_row.values()])
    margins = np.array([_gain(one, "chosen") - _gain(one, "rejected") for one in by_row.values()])
    own: dict[str, Measure] = {
        PREFERENCE_ACCURACY.name: RowMean(PREFERENCE_ACCURACY, 100.0 * right),
        PREFERENCE_MARGIN.name: RowMean(PREFERENCE_MARGIN, margins),
    }
    return replace(
        rows,
        measures={**own, **rows.measures},
        deciding=(PREFERENCE_ACCURACY.name, *rows.deciding),
        references="the chosen ones",
    )


def _gain(pair: Mapping[str, Any], side: str) -> float:
    return pair["tuned"][side] - pair["base"][side]


def scored_labels(predictions: Lines, *, separator: str | None) -> ScoredRows:
    """Return what a classification scored, from the lines of predictions.jsonl.

    With a `separator` a text has several labels or none, and its row is right where all of them are.
    """
    by_row = _by_row(predictions)
    names = tuple(sorted({name for line in by_row.values() for name in line["probabilities"]}))
    wanted, given = (
        np.array([_is_among(names, line[key], separator) for line in by_row.values()])
        for key in ("label", "predicted")
    )  # (rows, labels)
    is_right = (wanted == given).all(axis=1)
    measures: list[Measure] = [
        RowMean(ACCURACY, 100.0 * is_right),
        LabelF1(MACRO_F1, wanted, given, macro_f1),
    ]
    if separator is not None:
        measures.append(LabelF1(MICRO_F1, wanted, given, micro_f1))
    return ScoredRows(
        answers={
            row: {
                "row": row,
                "prompt": line["text"],
                "reference": line["label"],
                "response": line["predicted"],
                "stopped": True,
            }
            for row, line in by_row.items()
        },
        clusters=cluster_rows([line["text"] for line in by_row.values()]),
        measures={one.metric.name: one for one in measures},
        deciding=(ACCURACY.name,),
        is_exact=is_right,
        labels=names,
    )


def _is_among(names: Sequence[str], label: str, separator: str | None) -> list[bool]:
    own = {label} if separator is None else set(labels_in(label, separator))
    return [name in own for name in names]


def _by_row(lines: Lines) -> dict[int, Mapping[str, Any]]:
    return dict(sorted((line["row"], line) for line in lines))
