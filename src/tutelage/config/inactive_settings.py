"""Which settings have no effect beside some others, and what of a model is trained, in words."""

Names = tuple[str, ...]

# They say who scores the answers and at what price, and change no answer.
OF_JUDGES: Names = (
    "evaluation.judges",
    "evaluation.labels",
    "evaluation.judge_aliases",
    "evaluation.judge_max_tokens",
    "evaluation.judge_limit",
    "evaluation.judge_price_in",
    "evaluation.judge_price_out",
    "evaluation.judge_budget",
    "evaluation.judge_concurrency",
    "evaluation.judge_timeout",
)
# Only answers to instructions are compared with prompts for the base model.
OF_BASELINES: Names = ("evaluation.baselines", "evaluation.few_shot")
# A classification reads the text alone, and writes no answer that could be sampled, scored or judged.
IN_CLASSIFICATION: Names = (
    "data.prompt_template",
    "data.train_on",
    "data.instruction",
    "training.sample_prompts",
    "evaluation.max_new_tokens",
    "evaluation.batch_size",
    "evaluation.primary_metric",
    "evaluation.sets",
    "evaluation.general_text",
    "evaluation.general_text_margin",
    "evaluation.general_text_kl_margin",
    *OF_JUDGES,
)
# A set of labels has no rarity of its own, and no name that the base model could write.
BESIDE_SEVERAL_LABELS: Names = ("training.class_weights", "evaluation.zero_shot")
OF_LABELS: Names = ("data.label_separator", "data.pooling", *BESIDE_SEVERAL_LABELS)
WITHOUT_LORA: Names = ("adapter.r", "adapter.lora_alpha", "adapter.lora_dropout", "adapter.target_modules")


def inactive_settings(
    objective: str, inactive: Names, method: str, *, several_labels: bool
) -> dict[str, Names]:
    """Return the names of settings that a recipe has no use for, by the reason; they stand at their defaults.

    `inactive` are those without effect under the objective.
    """
    idle = {f"training.objective is {objective}": inactive}
    if several_labels:
        idle["data.label_separator is set"] = BESIDE_SEVERAL_LABELS
    if method != "lora":
        idle[f"training.method is {method}"] = WITHOUT_LORA
    return idle


def describe_method(method: str, rank: int) -> str:
    """Say for a person what an adapter of this kind trains."""
    return {
        "lora": f"LoRA, rank {rank}",
        "full": "full fine-tuning",
        "last-block": "the last block",
        "last-two-blocks": "the last two blocks",
        "head": "the head alone",
    }[method]
