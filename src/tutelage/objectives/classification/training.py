"""The training of a classification: the cross-entropy of the labels, by a head with a row for each."""

from collections.abc import Sequence
from typing import Any

from tutelage.config.recipe import Recipe
from tutelage.objectives.classification.loss import balanced_weights, weighted_classes
from tutelage.objectives.classification.rows import count_classes
from tutelage.objectives.spec import TrainingPart
from tutelage.training.cross_entropy import CROSS_ENTROPY
from tutelage.training.load import as_examples
from tutelage.training.objective import Objective


def choose_loss(recipe: Recipe, units: Sequence[Any]) -> Objective:
    """Return the loss of a training on these examples, whose classes decide what balances them."""
    if recipe.training.class_weights == "balanced":
        return weighted_classes(balanced_weights(units))
    return CROSS_ENTROPY


TRAINING = TrainingPart(objective=choose_loss, units=as_examples, count_classes=count_classes)
