"""The base model with the same training rows as examples before each question, which a prefix tree computes once."""

from collections.abc import Sequence

import numpy as np

from tutelage.evaluation.baselines.baseline import PromptBaseline, TrainingRows
from tutelage.tree.examples import PreparedRow


def shared_examples(
    training: TrainingRows, asked: Sequence[PreparedRow], count: int
) -> list[list[PreparedRow]]:
    """Return the same rows for each question: chosen at random, with as many different answers as there are."""
    order = np.random.default_rng(training.seed).permutation(len(training.rows)).tolist()
    first_of_answer: dict[str, int] = {}
    for place in order:
        first_of_answer.setdefault(training.rows[place].response, place)
    varied = set(first_of_answer.values())
    chosen = sorted(order, key=lambda place: place not in varied)[:count]
    return [[training.rows[place] for place in chosen]] * len(asked)


BASELINE = PromptBaseline(
    name="few_shot",
    label=lambda examples: f"{examples} example{'' if examples == 1 else 's'}",
    style="better",
    examples=shared_examples,
)
