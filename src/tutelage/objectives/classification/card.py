"""The README of an exported classification: the facts of the run, its limits, and how it is loaded."""

from tutelage.export.model_card import describe_losses, describe_recipe, hub_name
from tutelage.model.trained import TrainedModel
from tutelage.run.evaluation import Evaluation


def class_card(trained: TrainedModel, evaluation: Evaluation | None) -> str:
    """Return the card as Markdown with the metadata block that model hubs read."""
    recipe, source, preparation = trained.recipe, trained.source, trained.preparation
    rows, labels = preparation.rows, ", ".join(f"`{label}`" for label in preparation.classes)
    several = recipe.data.label_separator is not None
    gives = "every label with a probability of at least 0.5" if several else "one label per text"
    return f"""---
base_model: {hub_name(source)}
library_name: transformers
pipeline_tag: text-classification
license: {(source.license or "other").lower()}
tags: [text-classification, tutelage]
---

# {source.name}, fine-tuned on {preparation.source}

## Training

- Base model: {source.name} (SHA-256 {source.fingerprint}), license {source.license or "not stated"}
- Data: {preparation.source} (SHA-256 {preparation.sha256}), license {recipe.data.license or "not stated"}
- Rows: {rows.train:,} train, {rows.test:,} test, {rows.validation:,} validation
- Labels: {labels}
- Recipe: {describe_recipe(recipe)}
- {describe_losses(trained)}

## Evaluation

{evaluation.sentence if evaluation else "This model was not evaluated."}

## Limitations

It was fine-tuned on one data set, and the figures above apply to similar rows. It knows only the labels above, gives
{gives}, and can be confidently wrong. Give it the text alone, without a prompt around it.

## Usage

```python
from transformers import pipeline
classify = pipeline("text-classification", model=".")
print(classify("A text of yours."{", top_k=None" if several else ""}))
```
"""
