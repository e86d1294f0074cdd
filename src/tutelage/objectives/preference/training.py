"""The training of preferences: pairs of answers, and what the model gave them before its first step."""

from tutelage.config.recipe import Recipe
from tutelage.objectives.preference.loss import preference_objective
from tutelage.objectives.preference.losses import load_loss
from tutelage.objectives.preference.pairs import pairs_of
from tutelage.objectives.reference import reference_damage, with_reference
from tutelage.objectives.spec import Reference, TrainingPart


def needs_reference(recipe: Recipe) -> bool:
    """Tell whether the loss of a recipe asks what the model gave the answers before."""
    return load_loss(recipe.preference.loss).needs_reference


TRAINING = TrainingPart(
    objective=lambda recipe, units: preference_objective(recipe.preference),
    units=pairs_of,
    reference=Reference(
        label="Scoring both answers of each pair",
        examples_per_unit=2,
        is_needed=needs_reference,
        read=with_reference,
        find_damage=reference_damage,
    ),
)
