"""Names that a recipe can use, with the modules that implement them.

A recipe is validated before anything is loaded, so the names are listed here, and each module is imported on
first use.
"""

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BeforeValidator
from pydantic_core import PydanticKnownError

METRICS: dict[str, str] = {
    "exact_match": "tutelage.evaluation.metrics.exact_match",
    "token_f1": "tutelage.evaluation.metrics.token_f1",
    "rouge_l": "tutelage.evaluation.metrics.rouge_l",
    "chrf": "tutelage.evaluation.metrics.chrf",
    "stopped": "tutelage.evaluation.metrics.stopped",
    "bits_per_byte": "tutelage.evaluation.metrics.bits_per_byte",
}

# Computed only for suitable answers, or if a recipe names them.
OPTIONAL_METRICS: dict[str, str] = {
    "json_fields": "tutelage.evaluation.metrics.json_fields",
    "json_exact": "tutelage.evaluation.metrics.json_exact",
    "json": "tutelage.evaluation.metrics.valid_json",
    "numeric": "tutelage.evaluation.metrics.numeric",
}
ANSWER_METRICS: Mapping[str, str] = ChainMap(OPTIONAL_METRICS, METRICS)  # the usual ones come first

# What the fine-tuned model has to beat beside its base model in the run's own prompt, the plainest first.
BASELINES: dict[str, str] = {
    "chat_template": "tutelage.evaluation.baselines.chat_template",
    "few_shot": "tutelage.evaluation.baselines.few_shot",
    "few_shot_nearest": "tutelage.evaluation.baselines.few_shot_nearest",
    "most_frequent_answer": "tutelage.evaluation.baselines.most_frequent_answer",
    "input_copy": "tutelage.evaluation.baselines.input_copy",
    "nearest_answer": "tutelage.evaluation.baselines.nearest_answer",
}

AUTO = "auto"  # choose by the kind of task, see evaluation/task/choice.py

SET_METRICS: dict[str, str] = {
    "exact_match": "tutelage.evaluation.metrics.exact_match",
    "numeric": "tutelage.evaluation.metrics.numeric",
    "contains": "tutelage.evaluation.metrics.contains",
    "regex": "tutelage.evaluation.metrics.pattern_match",
    "json": "tutelage.evaluation.metrics.valid_json",
    "json_fields": "tutelage.evaluation.metrics.json_fields",
    "json_exact": "tutelage.evaluation.metrics.json_exact",
    "multiple_choice": "tutelage.evaluation.metrics.multiple_choice",
    "token_f1": "tutelage.evaluation.metrics.token_f1",
    "rouge_l": "tutelage.evaluation.metrics.rouge_l",
    "chrf": "tutelage.evaluation.metrics.chrf",
    "bits_per_byte": "tutelage.evaluation.metrics.bits_per_byte",
    "judge": "tutelage.evaluation.metrics.judged",
}


@dataclass(frozen=True)
class LossEntry:
    """The module of a preference loss, and the optional settings that it uses."""

    module: str
    parameters: tuple[str, ...] = ()


PREFERENCE_LOSSES: dict[str, LossEntry] = {
    "sigmoid": LossEntry("tutelage.objectives.preference.losses.sigmoid", ("label_smoothing",)),
    "ipo": LossEntry("tutelage.objectives.preference.losses.ipo"),
    "orpo": LossEntry("tutelage.objectives.preference.losses.orpo"),
    "simpo": LossEntry("tutelage.objectives.preference.losses.simpo", ("label_smoothing", "gamma")),
}

ROW_FORMATS: dict[str, str] = {
    "alpaca": "tutelage.data.formats.row_formats.alpaca",
    "sharegpt": "tutelage.data.formats.row_formats.sharegpt",
    "messages": "tutelage.data.formats.row_formats.messages",
    "prompt-completion": "tutelage.data.formats.row_formats.prompt_completion",
    "question-answer": "tutelage.data.formats.row_formats.question_answer",
    "text": "tutelage.data.formats.row_formats.text",
    "preference": "tutelage.data.formats.row_formats.preference",
    "text-label": "tutelage.data.formats.row_formats.text_label",
}

# By file extension. A file is recognized by its content, and written according to its extension.
FILE_FORMATS: dict[str, str] = {
    ".json": "tutelage.data.sources.file_formats.json_file",
    ".jsonl": "tutelage.data.sources.file_formats.json_lines_file",
    ".ndjson": "tutelage.data.sources.file_formats.json_lines_file",
    ".csv": "tutelage.data.sources.file_formats.csv_file",
    ".tsv": "tutelage.data.sources.file_formats.tsv_file",
    ".parquet": "tutelage.data.sources.file_formats.parquet_file",
}


@dataclass(frozen=True)
class TargetEntry:
    """The module of an export target, and a description of its output for help texts."""

    module: str
    help: str
    takes_quantization: bool = False


EXPORT_TARGETS: dict[str, TargetEntry] = {
    "peft": TargetEntry("tutelage.export.targets.peft_folder", "the adapter"),
    "hf": TargetEntry("tutelage.export.targets.hf_folder", "merged weights"),
    "gguf": TargetEntry("tutelage.export.targets.gguf_folder", "a GGUF file", takes_quantization=True),
    "ollama": TargetEntry(
        "tutelage.export.targets.ollama_folder", "an Ollama folder", takes_quantization=True
    ),
}


def in_words(names: Sequence[str], word: str = "and") -> str:
    """Join names for use in a sentence."""
    *others, last = names
    return f"{', '.join(others)} {word} {last}" if others else last


def one_of(table: Mapping[str, Any]) -> BeforeValidator:
    """Return a validator for settings whose value is a key of `table`; its error is the same as for a Literal."""

    def require_known(name: Any) -> Any:
        if not isinstance(name, str) or name not in table:
            raise PydanticKnownError("literal_error", {"expected": in_words([*map(repr, table)], "or")})
        return name

    return BeforeValidator(require_known)
