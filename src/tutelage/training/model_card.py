"""The README of a tuned model: what it is, what it was made of, and how it is asked."""

from tutelage.model.sources import ModelSource
from tutelage.recipe import Recipe
from tutelage.training.loop import Progress


def model_card(recipe: Recipe, source: ModelSource, result: Progress) -> str:
    """Return the card as Markdown with the metadata block that model hubs read."""
    is_adapter = recipe.adapter.type == "lora"
    kind = f"LoRA adapter (rank {recipe.adapter.r})" if is_adapter else "full weights"
    unit = "per pair" if recipe.training.objective == "dpo" else "nats per token"
    losses = (
        f"The validation loss went from {result.loss_before:.3f} to {result.loss_best:.3f} {unit}"
        f" (best at step {result.kept_step} of {result.step})."
        if result.loss_before is not None and result.loss_best is not None
        else "There were no validation rows."
    )
    return f"""---
base_model: {source.name}
library_name: {"peft" if is_adapter else "transformers"}
license: {source.licence or "other"}
tags: [instruction-tuning, tutelage]
---

# {source.name}, tuned on {recipe.data.source}

{kind.capitalize() if not is_adapter else kind} made with Tutelage.

- Base model: {source.name} (SHA-256 {source.identity})
- Data: {recipe.data.source}, prompt style `{recipe.data.prompt}`
- {losses}

Ask it in the prompt style that it was trained with: `data.prompt = "{recipe.data.prompt}"`. The settings of the whole
run are in `recipe.toml` beside this folder, what came out of it in `report.html`.
"""
