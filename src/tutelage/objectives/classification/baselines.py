"""What a classification has to beat without fine-tuning, and which of it is the strongest on validation rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tutelage.codes import Message
from tutelage.evaluation.baselines.baseline import MOST_ROWS, spread
from tutelage.evaluation.baselines.nearest import NearestTexts
from tutelage.evaluation.baselines.strongest import FEWEST_TO_CHOOSE

MOST_TO_CHOOSE = 200  # validation rows; only the base model takes long on them
PLAINEST = "majority"

# In words that follow "the strongest baseline"; from the plainest on, which is taken where several are equal.
IN_WORDS: dict[str, str] = {
    PLAINEST: "the most frequent label",
    "nearest": "the label of the nearest training text",
    "tf_idf": "TF-IDF and logistic regression",
    "zero_shot": "the base model, given the label names",
}


@dataclass(frozen=True)
class Choice:
    """The strongest baseline, with the share of right validation rows of each, and why no choice was made if so."""

    strongest: str
    validation: Mapping[str, float]
    validation_rows: int
    left_out: Mapping[str, Message]

    def to_record(self) -> dict[str, Any]:
        """Return what metrics.json says of the choice."""
        return {
            "strongest": self.strongest,
            "validation": dict(self.validation),
            "validation_rows": self.validation_rows,
            "left_out": {name: left.to_record() for name, left in self.left_out.items()},
        }


def places_to_choose(count: int) -> list[int]:
    """Return which of so many validation rows the choice is made on; none where there are too few."""
    return spread(count, MOST_TO_CHOOSE) if count >= FEWEST_TO_CHOOSE else []


def choose_strongest(wanted: np.ndarray, given: Mapping[str, np.ndarray], *, available: int) -> Choice:
    """Choose by the share of right rows among validation rows; no row of the test split is seen here.

    Args:
        wanted: The classes of the rows to choose on, (rows,), or their labels, (rows, labels) bool.
        given: What each baseline gives these rows, in the same shape, by its name.
        available: How many validation rows there are.
    """
    if not len(wanted):
        few = Message(
            "evaluate.too_few_validation_rows",
            f"there are {available} validation rows, but {FEWEST_TO_CHOOSE} are needed to choose the strongest"
            " baseline. The verdict compares with the most frequent label.",
        )
        return Choice(PLAINEST, {}, 0, {PLAINEST: few})
    shares = {name: float(right_rows(wanted, given[name]).mean()) for name in IN_WORDS if name in given}
    return Choice(max(shares, key=lambda name: shares[name]), shares, len(wanted), {})


def right_rows(wanted: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Return which rows have the right class, or exactly the right labels, (rows,) bool."""
    same = wanted == given
    return same if same.ndim == 1 else same.all(axis=1)


def labels_of_nearest(texts: Sequence[str], learnt: np.ndarray, asked: Sequence[str]) -> np.ndarray:
    """Return for each asked text what the most similar text has in `learnt`, whose first axis are the texts."""
    known = spread(len(texts), MOST_ROWS)
    found = NearestTexts([texts[place] for place in known]).nearest(asked, 1)[:, 0]  # (asked,)
    return learnt[np.array(known)[found]]
