"""The README of an exported classification: the facts of the run, its limits, and how it is loaded."""

from tutelage.export.model_card import describe_losses, describe_recipe, hub_name
from tutelage.model.trained import TrainedModel
from tutelage.run.evaluation import Evaluation


def class_card(trained: TrainedModel, evaluation: Evaluation | None) -> str:
    """Return the card as Markdown with the metadata block that model hubs read."""
    recipe, source, preparation = trained.recipe, trained.source, trained.preparation
    rows, labels = preparation.rows, ", ".join(f"`{label}`" for label in preparation.classes)
    several = recipe.data.label_separator is not None
    gives = "each label from a probability of 0.5 on" if several else "one to every text"
    return f"""---
base_model: {hub_name(source)}
library_name: transformers
pipeline_tag: text-classification
license: {(source.license or "other").lower()}
tags: [text-classification, tutelage]
---

# {source.name}, tuned to label {preparation.source}

## What it was made of

- Base model: {source.name} (SHA-256 {source.fingerprint}), license {source.license or "not stated"}
- Data: {preparation.source} (SHA-256 {preparation.sha256}), license {recipe.data.license or "not stated"}
- Rows: {rows.train:,} to train, {rows.test:,} to test, {rows.validation:,} to validate
- Labels: {labels}
- Recipe: {describe_recipe(recipe)}
- {describe_losses(trained)}

## How good it is

{evaluation.sentence if evaluation else "It was not evaluated."}

## Limits

It was tuned on one set of rows, and the figures above are of rows like them. It knows no labels but those above, gives
{gives}, and can be wrong with confidence. Give it the text alone, without a prompt around it.

## How to load it

```python
from transformers import pipeline
classify = pipeline("text-classification", model=".")
print(classify("A text of yours."{", top_k=None" if several else ""}))
```
"""
