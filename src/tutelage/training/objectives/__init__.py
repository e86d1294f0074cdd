"""What training can make smaller, by the names that training.objective has for it; each stands in a file of its own."""

from collections.abc import Sequence
from typing import Any

from tutelage.config.recipe import Recipe
from tutelage.training.objectives.classification import balanced_weights, weighted_classes
from tutelage.training.objectives.dpo import preference_objective
from tutelage.training.objectives.instruction import INSTRUCTION
from tutelage.training.objectives.objective import Objective

OBJECTIVES: dict[str, Objective] = {
    "instruction": INSTRUCTION,
    # The same loss: a row has one target, and the head has a row for each class in place of each token.
    "classification": INSTRUCTION,
}


def choose_objective(recipe: Recipe, units: Sequence[Any]) -> Objective:
    """Return the objective of a training on these examples or pairs; classes decide what balances them."""
    if recipe.training.class_weights == "balanced":
        return weighted_classes(balanced_weights(units))
    if recipe.training.objective == "dpo":
        return preference_objective(recipe.preference)
    return OBJECTIVES[recipe.training.objective]
