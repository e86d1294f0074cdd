"""What the page says of an objective: what its losses are measured in, and what a training row is to it."""

from dataclasses import dataclass

from tutelage.config.recipe import Objective, Recipe
from tutelage.run.artifacts import Preparation

PAIR_LOSSES = {
    "sigmoid": "DPO loss, nats per pair",
    "ipo": "IPO loss, squared nats per pair",
    "orpo": "ORPO loss, nats per pair",
    "simpo": "SimPO loss, nats per pair",
}


@dataclass(frozen=True)
class ObjectiveWords:
    """`loss_axis` stands beside the losses; `loss_of` says what a validation loss is a mean of; `lengths` is the axis
    of the drawn lengths, and `counted` the axis of how many there are."""

    kind: Objective
    loss_axis: str
    loss_of: str
    lengths: str
    counted: str


def objective_words(preparation: Preparation, recipe: Recipe | None) -> ObjectiveWords:
    """Return the words for the objective that rows were prepared for; without a recipe the loss has no name."""
    kind = preparation.objective
    if kind == "classification":
        what = "label set" if preparation.label_sets else "label"
        is_weighted = recipe is not None and recipe.training.class_weights == "balanced"
        per_row = f"{'weighted ' if is_weighted else ''}nats per row"
        return ObjectiveWords(
            kind,
            f"loss of the {what}, {per_row}",
            f"{per_row} held back, of its {what}",
            "tokens in a text",
            "texts",
        )
    if kind == "dpo":
        axis = PAIR_LOSSES[recipe.preference.loss] if recipe else "loss of a pair"
        return ObjectiveWords(
            kind, axis, f"{axis} held back", "tokens in a prompt with one of its answers", "answers"
        )
    return ObjectiveWords(
        "instruction",
        "loss, nats per token",
        "nats per supervised token of the rows held back",
        "tokens in an example",
        "examples",
    )
