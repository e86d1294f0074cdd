"""The training of KTO: labelled answers, and what the model gave them and the mismatched ones before its first step."""

from tutelage.objectives.kto.judged import judged_rows
from tutelage.objectives.kto.loss import kto_objective
from tutelage.objectives.reference import reference_damage, with_reference
from tutelage.objectives.spec import Reference, TrainingPart

TRAINING = TrainingPart(
    objective=lambda recipe, units: kto_objective(recipe.preference),
    units=judged_rows,
    reference=Reference(
        label="Scoring each answer and a mismatched one",
        examples_per_unit=2,
        is_needed=lambda recipe: True,
        read=with_reference,
        find_damage=reference_damage,
    ),
)
