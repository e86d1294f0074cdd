"""How well several labels for each text are told: whole sets, each label, and all decisions together."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tutelage.evaluation.metrics.class_metrics import base_line, calibration, class_proportions, proportion_of
from tutelage.evaluation.metrics.threshold import HALF


def label_set_metrics(
    wanted: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    *,
    separator: str,
    majority: np.ndarray,
    by_words: np.ndarray | None,
) -> dict[str, Any]:
    """Return what metrics.json says of (rows, labels) wanted labels, bool, and the probability of each by itself.

    A row is right where its whole set is. `majority` is the set, (labels,) bool, that most training rows have;
    `by_words` are the (rows, labels) that word counts give, None where nothing could count them.
    """
    given = probabilities >= HALF
    hits = (given & wanted).sum(axis=0)  # (labels,)
    by_class = [
        class_proportions(name, int(hits[label]), int(wanted[:, label].sum()), int(given[:, label].sum()))
        for label, name in enumerate(classes)
    ]
    right = (given == wanted).all(axis=1)
    named = separator.join(sorted(name for name, is_in in zip(classes, majority, strict=True) if is_in))
    return {
        "rows": len(wanted),
        "accuracy": proportion_of(int(right.sum()), len(right)),
        "macro_f1": float(np.mean([one["f1"] for one in by_class])),
        # Of all decisions together: harmonic mean of precision and recall, 1 where no label is wanted or given.
        "micro_f1": 2 * float(hits.sum()) / total if (total := int(wanted.sum() + given.sum())) else 1.0,
        "classes": by_class,
        "confusion": None,
        "calibration": calibration(
            np.maximum(probabilities, 1 - probabilities).ravel(), (given == wanted).ravel()
        ),
        "threshold": None,
        "baselines": {
            "majority": {"label": named, **base_line((wanted == majority).all(axis=1), right)},
            "tf_idf": base_line((wanted == by_words).all(axis=1), right),
            "zero_shot": None,
        },
    }


def set_prediction(probabilities: np.ndarray, classes: Sequence[str], separator: str) -> dict[str, Any]:
    """Return the labels that one text is given, the probability that they are all it has, and that of each."""
    given = [name for name, value in zip(classes, probabilities, strict=True) if value >= HALF]
    return {
        "predicted": separator.join(sorted(given)),
        "probability": float(np.maximum(probabilities, 1 - probabilities).prod()),
        "probabilities": dict(zip(classes, probabilities.tolist(), strict=True)),
    }
