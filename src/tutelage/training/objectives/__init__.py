"""What training can make smaller, by the names that training.objective has for it; each stands in a file of its own."""

from collections.abc import Sequence

from tutelage.data.examples import Example
from tutelage.recipe import TrainingSettings
from tutelage.training.objectives.classification import balanced_weights, weighted_classes
from tutelage.training.objectives.instruction import INSTRUCTION
from tutelage.training.objectives.objective import Objective

OBJECTIVES: dict[str, Objective] = {
    "instruction": INSTRUCTION,
    # The same loss: a row has one target, and the head has a row for each class in place of each token.
    "classification": INSTRUCTION,
}


def choose_objective(settings: TrainingSettings, examples: Sequence[Example]) -> Objective:
    """Return the objective of a training on these examples, whose classes decide what balances them."""
    if settings.class_weights == "balanced":
        return weighted_classes(balanced_weights(examples))
    return OBJECTIVES[settings.objective]
