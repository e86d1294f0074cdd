"""The README of an export: the facts of the run, its limits, and how each runtime loads what stands beside it."""

from tutelage.config.inactive_settings import describe_method
from tutelage.config.recipe import Recipe
from tutelage.export.style import TEMPLATE
from tutelage.model.sources import ModelSource
from tutelage.model.trained import TrainedModel
from tutelage.run.evaluation import AnswerEvaluation
from tutelage.run.folder import gguf_name
from tutelage.training.model_card import trained_further


def model_card(
    trained: TrainedModel,
    evaluation: AnswerEvaluation | None,
    loading: str,
    quantization: str,
    *,
    library: str,
) -> str:
    """Return the card as Markdown with the metadata block that model hubs read; `loading` has fields to be filled."""
    recipe, source, preparation = trained.recipe, trained.source, trained.preparation
    rows = preparation.rows
    told = loading.format(
        gguf=gguf_name(quantization),
        rank=_rank_of_vllm(recipe.adapter.r),
        template=TEMPLATE,
        **_base_words(source),
    )
    further = trained_further(source)
    return f"""---
base_model: {hub_name(source)}
library_name: {library}
license: {(source.license or "other").lower()}
tags: [{recipe.objective.tag}, tutelage]
---

# {source.name}, fine-tuned on {preparation.source}

## Training

- Base model: {source.name} (SHA-256 {source.fingerprint}), license {source.license or "not stated"}{further}
- Data: {preparation.source} (SHA-256 {preparation.sha256}), license {recipe.data.license or "not stated"}
- Rows: {rows.train:,} train, {rows.test:,} test, {rows.validation:,} validation
- Prompt template: `{recipe.data.prompt_template}`; an answer ends with `{preparation.end_of_turn}`
- Recipe: {describe_recipe(recipe)}
- {describe_losses(trained)}

## Evaluation

{_evaluation(evaluation)}

## Limitations

It was fine-tuned on one data set, and the figures above apply to similar rows. It can be confidently wrong, and
nothing was done to make it safe. Prompt it with the template above, which every file here includes. Its longest
row has {preparation.tokens.longest:,} tokens; longer inputs were not tested.

## Usage

{told}
"""


def hub_name(source: ModelSource) -> str:
    """Return how a hub names the base model."""
    return source.name if source.original is None else source.original.name


def _base_words(source: ModelSource) -> dict[str, str]:
    """Return how the base model is named in Python and to vLLM, and where it can be had."""
    if source.original is None:
        kind = "GGUF file" if source.gguf else "model folder"
        told = f"`BASE` stands for the {kind} {source.name}, whose weights have the SHA-256 {source.fingerprint}."
        return {"base": '"BASE"', "vllm_base": "BASE", "where": told}
    hub = source.original
    told = f"The base is `{hub.name}` on the Hugging Face Hub" + (
        f", revision `{hub.revision}`." if hub.revision else "."
    )
    if source.gguf:
        told += (
            f" The adapter was trained and verified on a dequantised 4-bit version of it ({source.name}); on"
            " the original weights, answers can differ slightly. `tutelage export RUN --to hf` writes the"
            " weights that it was verified with, including the merged adapter."
        )
    at = f', revision="{hub.revision}"' if hub.revision else ""
    vllm = f"{hub.name} --revision {hub.revision}" if hub.revision else hub.name
    return {"base": f'"{hub.name}"{at}', "vllm_base": vllm, "where": told}


def _rank_of_vllm(rank: int) -> int:
    """Return the least bound on ranks that vLLM takes and that holds this one."""
    return next((bound for bound in RANKS_OF_VLLM if bound >= rank), RANKS_OF_VLLM[-1])


def describe_recipe(recipe: Recipe) -> str:
    """Say what was trained, how long and how."""
    adapter = recipe.adapter
    kind = describe_method(recipe.training.method, adapter.r)
    if recipe.tuning.is_lora:
        kind += f", alpha {adapter.lora_alpha}"
    training = recipe.training
    length = f"{training.max_steps:,} steps" if training.max_steps else f"{training.num_train_epochs} epochs"
    return (
        f"{kind}, {length}, {training.per_device_train_batch_size} rows per step, learning rate"
        f" {training.learning_rate}, seed {training.seed}"
    )


def describe_losses(trained: TrainedModel) -> str:
    """Say how the validation loss fell."""
    loss = trained.training.loss
    if loss.before is None or loss.best is None:
        return "There were no validation rows."
    unit = trained.recipe.objective.loss_unit
    return f"Validation loss: {loss.before:.3f} before, {loss.best:.3f} after ({unit})"


def _evaluation(found: AnswerEvaluation | None) -> str:
    if found is None:
        return "This model was not evaluated."
    lines = ["| metric | base | tuned | difference | 95 % interval |", "| --- | ---: | ---: | ---: | --- |"]
    for name, value in found.metrics.items():
        low, high = ("—" if bound is None else f"{bound:+.2f}" for bound in (value.low, value.high))
        lines.append(
            f"| {name} | {value.base:.2f} | {value.tuned:.2f} | {value.difference:+.2f} | {low} to {high} |"
        )
    told = (
        found.general_text.sentence
        if found.general_text
        else ("Regression on general text was not measured.")
    )
    return "\n".join([found.sentence, "", *lines, "", told])


# Its --max-lora-rank takes these alone.
RANKS_OF_VLLM = (1, 8, 16, 32, 64, 128, 256, 320, 512)
