"""What training can make smaller, by the names that training.objective has for it; each stands in a file of its own."""

from collections.abc import Callable

from tutelage.recipe import Recipe
from tutelage.training.objectives.dpo import preference_objective
from tutelage.training.objectives.instruction import INSTRUCTION
from tutelage.training.objectives.objective import Objective

OBJECTIVES: dict[str, Callable[[Recipe], Objective]] = {
    "instruction": lambda recipe: INSTRUCTION,
    # The same loss: a row has one target, and the head has a row for each class in place of each token.
    "classification": lambda recipe: INSTRUCTION,
    "dpo": lambda recipe: preference_objective(recipe.preference),
}


def objective_of(recipe: Recipe) -> Objective:
    """Return what the training of a recipe makes smaller."""
    return OBJECTIVES[recipe.training.objective](recipe)
