"""How well written answers tell a few labels apart: accuracy, macro F1 and confusion matrix of both models."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tutelage.evaluation.metrics.class_metrics import confusion_matrix, matrix_figures
from tutelage.evaluation.metrics.metric import Answer
from tutelage.evaluation.metrics.words import same_text

MOST_LABELS = 200  # more distinct answers are no closed set


def compare_labels(
    base: Sequence[Answer], tuned: Sequence[Answer], trained: Iterable[str]
) -> dict[str, dict[str, Any]] | None:
    """Return the figures of each model's answers, None with more than MOST_LABELS labels.

    A label is what a reference of the test rows or of the `trained` ones is, compared as exact match does. Those that
    the test rows' references or answers have are counted. An answer that is no label is wrong, and stands in the last
    column of the confusion matrix.
    """
    references = {same_text(row["reference"]) for row in tuned}
    answers = {same_text(row["response"]) for row in (*base, *tuned)}
    labels = sorted(references | (answers & set(map(same_text, trained))))
    if len(labels) > MOST_LABELS:
        return None
    return {"base": label_answer_figures(base, labels), "tuned": label_answer_figures(tuned, labels)}


def label_answer_figures(rows: Sequence[Answer], labels: Sequence[str]) -> dict[str, Any]:
    """Return accuracy, macro F1 and confusion matrix, (labels, labels + 1), of answers.

    As in scikit-learn, macro F1 is the mean over the labels of these references and answers: one that is never right
    counts 0, and one that neither has does not count. Other answers are no label of their own; each lowers the recall
    of the label that it misses (`f1_score` with `average="macro"` and these `labels`).
    """
    numbers = {label: number for number, label in enumerate(labels)}
    other = len(labels)
    wanted = np.array([numbers[same_text(row["reference"])] for row in rows])
    given = np.array([numbers.get(same_text(row["response"]), other) for row in rows])
    figures = matrix_figures(confusion_matrix(wanted, given, other + 1)[:other], labels)
    occurring = [one["f1"] for one in figures["classes"] if one["rows"] or one["given"]]
    return {**figures, "macro_f1": float(np.mean(occurring))}
