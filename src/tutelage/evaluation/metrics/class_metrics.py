"""How well classes are told apart: shares with intervals, by class and over all, and how far probabilities are true."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tutelage.evaluation.stats.intervals import Interval
from tutelage.evaluation.stats.proportions import mcnemar_p, wilson_interval

BINS = 10  # of the probabilities, in the measure of calibration


def class_metrics(
    wanted: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    *,
    majority: int,
    by_words: np.ndarray,
    by_names: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return what metrics.json says of (rows,) wanted classes by number and (rows, classes) probabilities.

    `majority` is the class that most training rows have, which the first base line gives to every text. The others are
    the (rows,) classes that word counts give and those that the base model gives by their names, None where not asked.
    """
    given = probabilities.argmax(axis=1)
    right = given == wanted
    return {
        **label_figures(wanted, given, classes),
        "calibration": calibration(probabilities.max(axis=1), right),
        "baselines": {
            "majority": {"label": classes[majority], **base_line(wanted == majority, right)},
            "tf_idf": base_line(wanted == by_words, right),
            "zero_shot": None if by_names is None else base_line(wanted == by_names, right),
        },
    }


def label_figures(wanted: np.ndarray, given: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Return what can be told of (rows,) wanted and given classes by number alone, over all and by class."""
    return matrix_figures(confusion_matrix(wanted, given, len(classes)), classes)


def matrix_figures(matrix: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Return what a confusion matrix tells: (classes, classes), or a column more for what was given and is no class."""
    by_class = [
        class_proportions(
            name, int(matrix[number, number]), int(matrix[number].sum()), int(matrix[:, number].sum())
        )
        for number, name in enumerate(classes)
    ]
    return {
        "rows": int(matrix.sum()),
        "accuracy": proportion_of(int(matrix.trace()), int(matrix.sum())),
        "macro_f1": float(np.mean([one["f1"] for one in by_class])),
        "classes": by_class,
        "confusion": matrix.tolist(),
    }


def confusion_matrix(wanted: np.ndarray, given: np.ndarray, classes: int) -> np.ndarray:
    """Return how many rows of each wanted class (down) were given each class (across): (classes, classes)."""
    return np.bincount(wanted * classes + given, minlength=classes**2).reshape(classes, classes)


def calibration(sure: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    """Return the expected calibration error of (rows,) probabilities of the given class, and its bins.

    Naeini, Cooper and Hauskrecht 2015, AAAI: in bins of equal width, the mean distance of the share of right rows from
    their mean probability, each bin with the weight of its rows.
    """
    places = np.minimum((sure * BINS).astype(int), BINS - 1)
    bins = []
    for place in range(BINS):
        inside = places == place
        if inside.any():
            share = float(right[inside].mean())
            low, high = wilson_interval(share, int(inside.sum()))
            probability = float(sure[inside].mean())
            bins.append(
                {
                    "rows": int(inside.sum()),
                    "probability": probability,
                    "right": share,
                    "low": low,
                    "high": high,
                }
            )
    error = sum(one["rows"] * abs(one["right"] - one["probability"]) for one in bins) / len(sure)
    return {"ece": error, "bins": bins}


def base_line(base_right: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Return the share of right rows of a base line, (rows,) bool, and McNemar's p of the model against it."""
    share = float(base_right.mean())
    low, high = wilson_interval(share, len(base_right))
    return {"accuracy": share, "low": low, "high": high, "p": mcnemar_p(base_right, right)}


def class_proportions(name: str, hits: int, wanted: int, given: int) -> dict[str, Any]:
    """Return precision and recall of a class with Wilson's intervals; None where no row could tell."""
    return {
        "label": name,
        "rows": wanted,
        "given": given,
        "precision": proportion_of(hits, given),
        "recall": proportion_of(hits, wanted),
        # Harmonic mean of the two, which is 0 where there is no hit.
        "f1": 2 * hits / (wanted + given) if wanted + given else 0.0,
    }


def proportion_of(hits: int, count: int) -> dict[str, float] | None:
    """Return a share of rows with Wilson's interval, None of no rows."""
    if not count:
        return None
    share = hits / count
    interval: Interval = wilson_interval(share, count)
    return {"value": share, "low": interval[0], "high": interval[1]}
