"""Find settings without effect, and describe training methods."""

Names = tuple[str, ...]

# They control scoring by judges and its cost, but do not change answers.
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
# Classification only reads the text, and generates no answers to sample, score or judge.
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
# A label set has no class frequency, and no name that the base model could generate.
BESIDE_SEVERAL_LABELS: Names = ("training.class_weights", "evaluation.zero_shot")
OF_LABELS: Names = ("data.label_separator", "data.pooling", *BESIDE_SEVERAL_LABELS)
WITHOUT_LORA: Names = ("adapter.r", "adapter.lora_alpha", "adapter.lora_dropout", "adapter.target_modules")


def inactive_settings(
    objective: str, inactive: Names, method: str, *, several_labels: bool
) -> dict[str, Names]:
    """Return the settings without effect, by reason; a recipe must leave them at their defaults.

    `inactive` are those without effect under the objective.
    """
    idle = {f"training.objective is {objective}": inactive}
    if several_labels:
        idle["data.label_separator is set"] = BESIDE_SEVERAL_LABELS
    if method != "lora":
        idle[f"training.method is {method}"] = WITHOUT_LORA
    return idle


def describe_method(method: str, rank: int) -> str:
    """Describe a training method."""
    return {
        "lora": f"LoRA, rank {rank}",
        "full": "full fine-tuning",
        "last-block": "the last block",
        "last-two-blocks": "the last two blocks",
        "head": "the head alone",
    }[method]
