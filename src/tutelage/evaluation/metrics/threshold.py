"""From which probability on the rarer of two labels is given: chosen on validation rows, never on test rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tutelage.evaluation.metrics.class_metrics import label_figures
from tutelage.evaluation.stats.proportions import mcnemar_p

HALF = 0.5  # as it was trained: of two labels the more probable one is given, of several each that is likelier than not


def threshold_figures(
    wanted: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    *,
    label: int,
    validation: tuple[np.ndarray, np.ndarray],
) -> dict[str, Any] | None:
    """Return a threshold for the class `label` and what it comes to on the test rows, beside 0.5.

    Test and validation rows are each (rows,) wanted classes by number and (rows, 2) probabilities. None where there are
    not two classes, or not both of them in the validation rows.
    """
    known, of_known = validation
    if len(classes) != 2 or len(set(known.tolist())) < 2:
        return None
    chosen = choose_threshold(known == label, of_known[:, label])
    given = {value: given_at(probabilities, label, value) for value in (HALF, chosen)}
    return {
        "label": classes[label],
        "chosen": chosen,
        "validation_rows": len(known),
        "at_half": _figures(wanted, given[HALF], classes, label),
        "at_chosen": _figures(wanted, given[chosen], classes, label),
        "p": mcnemar_p(given[HALF] == wanted, given[chosen] == wanted),
    }


def rarer_class(trained: np.ndarray) -> int:
    """Return which of two classes fewer of the (rows,) training rows have, the second where they are as many."""
    first, second = np.bincount(trained, minlength=2)[:2]
    return int(second <= first)


def given_at(probabilities: np.ndarray, label: int, threshold: float) -> np.ndarray:
    """Return the class of each row, (rows, 2) to (rows,): `label` from the threshold on, else the other."""
    return np.where(probabilities[:, label] >= threshold, label, 1 - label)


def choose_threshold(is_label: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the threshold of the highest macro F1 on (rows,) rows; of several as good the one nearest to 0.5.

    Between two rows any threshold gives the same labels; the middle is taken. Macro F1 and not accuracy, for a rare
    label can be left out wholly at little cost to accuracy.
    """
    rising = np.unique(probabilities)
    thresholds = np.array([HALF, *((rising[1:] + rising[:-1]) / 2)])
    mine, others = np.sort(probabilities[is_label]), np.sort(probabilities[~is_label])
    missed, left = (np.searchsorted(rows, thresholds) for rows in (mine, others))  # below each threshold
    hits, wrong = len(mine) - missed, len(others) - left + missed
    macro_f1 = (hits / (hits + wrong / 2) + left / (left + wrong / 2)) / 2  # each of both has rows
    best = thresholds[macro_f1 >= macro_f1.max() - 1e-12]
    return float(best[np.abs(best - HALF).argmin()])


def _figures(wanted: np.ndarray, given: np.ndarray, classes: Sequence[str], label: int) -> dict[str, Any]:
    """Return accuracy and macro F1, and precision and recall of the label."""
    figures = label_figures(wanted, given, classes)
    of_label = figures["classes"][label]
    return {
        "accuracy": figures["accuracy"],
        "macro_f1": figures["macro_f1"],
        "precision": of_label["precision"],
        "recall": of_label["recall"],
    }
