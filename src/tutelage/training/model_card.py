"""The README of a tuned model: what it is, what it was made of, and how it is asked."""

from pathlib import PurePath

from tutelage.config.recipe import Recipe
from tutelage.model.sources import ModelSource
from tutelage.training.loop import TrainState


def model_card(recipe: Recipe, source: ModelSource, result: TrainState) -> str:
    """Return the card as Markdown with the metadata block that model hubs read."""
    is_adapter = recipe.tuning.is_lora
    objective, prompt = recipe.objective, recipe.data.prompt_template
    library = objective.library if recipe.training.method == "full" else "tutelage"
    made = {
        "lora": f"LoRA adapter (rank {recipe.adapter.r})",
        "full": "Full weights",
        "last-block": "Weights of the last block",
        "last-two-blocks": "Weights of the last two blocks",
        "head": "Classification head",
    }
    losses = (
        f"The validation loss went from {result.loss_before:.3f} to {result.loss_best:.3f} {objective.loss_unit}"
        f" (best at step {result.kept_step} of {result.step})."
        if result.loss_before is not None and result.loss_best is not None
        else "There were no validation rows."
    )
    return f"""---
base_model: {source.name}
library_name: {"peft" if is_adapter else library}
license: {source.license or "other"}
tags: [{objective.tag}, tutelage]
---

# {source.name}, fine-tuned on {recipe.data.source}

{made[recipe.training.method]} made with Tutelage.

- Base model: {source.name} (SHA-256 {source.fingerprint}){trained_further(source)}
- Data: {recipe.data.source}, license {recipe.data.license or "not stated"}
- Prompted with {objective.prompted_with.format(prompt=prompt)}
- {losses}

{objective.usage.format(prompt=prompt)} The settings of the run
are in `recipe.toml` next to this folder, and its results are in `report.html`.
"""


def trained_further(source: ModelSource) -> str:
    """Return the line about the adapter that a training started from; nothing where it began with a new one."""
    if source.adapter is None:
        return ""
    name = PurePath(source.adapter.name).name
    return (
        f"\n- Started from: the adapter {name} (SHA-256 {source.adapter.sha256}), called base in comparisons"
    )
