"""The base model with those training rows as examples that are most similar to the question."""

from collections import Counter
from collections.abc import Sequence

from tutelage.evaluation.baselines.baseline import PromptBaseline, TrainingRows
from tutelage.tree.examples import PreparedRow


def nearest_examples(
    training: TrainingRows, asked: Sequence[PreparedRow], count: int
) -> list[list[PreparedRow]]:
    """Return the nearest rows of each question, the nearest last.

    The others stand in the order of how many questions they are near to, so that prompts share long prefixes, which
    are computed once.
    """
    if not count:
        return [[]] * len(asked)
    found = training.nearest(asked, count)
    near_to = Counter(row.example.row for rows in found for row in rows[1:])

    def by_frequency(row: PreparedRow) -> tuple[int, int]:
        return -near_to[row.example.row], row.example.row

    return [[*sorted(others, key=by_frequency), nearest] for nearest, *others in found]


BASELINE = PromptBaseline(
    name="few_shot_nearest",
    label=lambda examples: f"{examples} nearest example{'' if examples == 1 else 's'}",
    style="better",
    examples=nearest_examples,
    is_shared=False,
)
