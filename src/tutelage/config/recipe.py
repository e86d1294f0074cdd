"""Declare every setting of a run once; help, reference page and error messages are generated from it.

Names follow Hugging Face and TRL where they exist there.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tutelage.config.built_in_data import STARTER, built_in_names
from tutelage.config.extensions import in_words, one_of
from tutelage.config.inactive_settings import inactive_settings
from tutelage.config.objectives import DEFAULT, OBJECTIVES, ObjectiveInfo, describe_objectives
from tutelage.config.recipe_adapter import AdapterSettings, Method, Tuning
from tutelage.config.recipe_evaluation import EvaluationSettings
from tutelage.config.recipe_preference import PreferenceSettings
from tutelage.config.recipe_section import Count, FormatName, Name, Section, Sha256, setting_error

PromptStyle = Literal["auto", "alpaca", "alpaca-compact", "phi3", "chat"]
SplitRule = Literal["group", "position", "stratified"]
Objective = Annotated[str, one_of(OBJECTIVES)]
# What a run may record where its recipe has the default; a recorded value is not one that somebody gave.
RECORDED: dict[str, tuple[PromptStyle, ...]] = {"data.prompt_template": ("chat", "alpaca")}
TrainOn = Literal["assistant", "last", "all"]
Pooling = Literal["last", "first"]
DEFAULT_MODEL = "smollm2-135m-instruct"

Share = Annotated[float, Field(ge=0, le=1)]

# Steps are seeded with seed * MOST_STEPS + step, so more steps would make two seeds overlap.
MOST_STEPS = 2**24
Steps = Annotated[int, Field(ge=1, le=MOST_STEPS)]

# With fewer examples, the validation loss fluctuates too much for early stopping.
FEWEST_TO_STOP = 8


class DataSettings(Section):
    source: Name = Field(
        STARTER,
        description="Your rows: a JSON, JSONL, CSV or Parquet file (also gzipped), a folder of such files, an https"
        f" URL, `hf:owner/name`, or the built-in {in_words([f'`{name}`' for name in built_in_names()], 'or')}.",
    )
    sha256: Sha256 | None = Field(None, description="SHA-256 of the source file. Required for an https URL.")
    license: str = Field("", description="License of the data, for the model card only.")
    hub_split: str = Field("train", description="Split of a hub data set to read.")
    encoding: str | None = Field(
        None,
        description="Encoding of the files. Default: UTF-8, or UTF-16 if the file starts with its byte order mark.",
    )
    delimiter: Annotated[str, Field(pattern="^(tab|comma|semicolon|pipe|.)$")] | None = Field(
        None,
        description="Column separator of CSV files: `tab`, `comma`, `semicolon`, `pipe` or any single character."
        " Default: detected.",
    )
    quoting: Literal["double", "none"] | None = Field(
        None,
        description="Whether double quotes enclose CSV cells (`double`) or are ordinary characters (`none`)."
        " Default: detected.",
    )
    header: bool | None = Field(
        None,
        description="Whether the first line of a CSV file holds column names; if not, columns are named `column1`,"
        " `column2` and so on. Default: detected.",
    )
    format: FormatName | None = Field(
        None, description="Format of the rows. Default: detected from their fields."
    )
    column_map: dict[str, str] = Field(
        {},
        description='Fields that have another name in your data: `instruction = "a.b"` reads the instruction from'
        " `b` inside `a`.",
    )
    roles: dict[str, Literal["system", "user", "assistant", "tool"]] = Field(
        {},
        description='Roles that have another name in your data: `roles = { narrator = "user" }` reads messages of'
        " `narrator` as user messages.",
    )
    instruction: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="One instruction for all rows, e.g. `Extract the fields as JSON`; rows then need only `input`"
        " and `output`.",
    )
    coerce: bool = Field(
        False,
        description="Convert numbers, true and false to text where text is expected, instead of stopping.",
    )
    keep_empty_output: bool = Field(
        False, description="Keep rows with an empty answer; they teach the model to say nothing."
    )
    max_file_bytes: Count = Field(
        100 * 2**20, description="Maximum size of a file in bytes, after decompression."
    )
    max_row_bytes: Count = Field(
        2**20, description="Maximum size of a row in bytes; larger rows are dropped and listed."
    )
    prompt_template: PromptStyle = Field(
        "auto",
        description="Prompt template; `chat` is the model's own, and `auto` is `chat` if the model has one that can be"
        " used, otherwise `alpaca`. The run records which one it is.",
    )
    split: SplitRule = Field(
        "group",
        description="`group` splits by a hash of the normalized prompt, `position` by the order in the file;"
        " `stratified` (for labels) keeps the share of each label and never separates equal texts.",
    )
    train_size: Share = Field(0.85, description="Share of training rows.")
    test_size: Share = Field(0.10, description="Share of test rows; the remaining rows are for validation.")
    max_length: Count | None = Field(
        None, description="Maximum length of an example in tokens. Default: the model's context length."
    )
    overlong: Literal["error", "drop"] = Field(
        "error",
        description="What to do with a longer row: stop with an `error` that names it, or `drop` it and list it.",
    )
    train_on: TrainOn = Field(
        "assistant",
        description="Supervised tokens: every answer of a conversation including its end token, only the last"
        " answer, or everything including the prompts.",
    )
    label_separator: Annotated[str, Field(min_length=1, max_length=1)] | None = Field(
        None,
        description="For rows with several labels or none: the character that separates them in a cell; a list works"
        " too. Default: one label per row.",
    )
    pooling: Pooling = Field(
        "last",
        description="Token that the classification head reads; with causal attention, the `first` token has seen"
        " nothing but itself.",
    )

    @model_validator(mode="after")
    def sizes_leave_no_negative_rest(self) -> "DataSettings":
        if self.train_size + self.test_size > 1 + 1e-9:
            raise setting_error(
                "settings.shares_exceed_1",
                f"data.train_size ({self.train_size}) and data.test_size ({self.test_size}) sum to more than 1",
            )
        return self


class ModelSettings(Section):
    name_or_path: Name = Field(
        DEFAULT_MODEL,
        description="Base model: the default model's name, a Hugging Face folder, a run exported with `--to hf`, a"
        " hub id (`owner/name`, or `owner/name@commit` to pin the weights) or a GGUF file.",
    )
    adapter: Name | None = Field(
        None,
        description="Train an existing LoRA adapter further: a run (`runs/first`, or `runs/first@120` for a"
        " checkpoint) or a PEFT folder. Rank, alpha, target modules and a run's base model are taken from it."
        " Default: a new adapter.",
    )


class TrainingSettings(Section):
    objective: Objective = Field(
        DEFAULT.name, description=describe_objectives(), json_schema_extra={"enum": list(OBJECTIVES)}
    )
    method: Method = Field(
        "lora",
        description="`lora` trains an adapter; `full` trains all weights. For classification, `last-block` and"
        " `last-two-blocks` train that many transformer blocks and the final norm, and `head` only the"
        " classification head, which is always trained.",
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="`balanced` weights each row by the inverse frequency of its label, so that all labels count the"
        " same.",
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        123, description="Random seed of the row order and of new weights."
    )
    num_train_epochs: Steps = Field(2, description="Number of passes over the training rows.")
    max_steps: Steps | None = Field(
        None,
        description="Number of optimizer steps; overrides num_train_epochs. Default: set by the epochs.",
    )
    per_device_train_batch_size: Count = Field(8, description="Examples per micro-batch.")
    gradient_accumulation_steps: Count = Field(1, description="Micro-batches per optimizer step.")
    learning_rate: Annotated[float, Field(gt=0)] = Field(5e-4, description="Peak learning rate.")
    lr_scheduler_type: Literal["constant", "linear", "cosine"] = Field(
        "cosine", description="Learning rate schedule after the warmup."
    )
    warmup_ratio: Share = Field(
        0.05, description="Share of the steps over which the learning rate rises from 0 to its peak."
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.0, description="Decoupled weight decay of AdamW.")
    adam_beta1: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.9, description="Decay rate of AdamW's first moment."
    )
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.999, description="Decay rate of AdamW's second moment."
    )
    adam_epsilon: Annotated[float, Field(gt=0)] = Field(1e-8, description="Epsilon of AdamW.")
    max_grad_norm: Annotated[float, Field(ge=0)] = Field(
        1.0, description="Maximum L2 norm of the gradients (clipping); 0 disables clipping."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto",
        description="Device; `auto` uses a CUDA GPU if there is one. Request an Apple GPU with `mps`; it has"
        " not been tested yet.",
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Data type of the matrix products; `auto` measures which one is faster. Trained weights are"
        " always float32.",
    )
    eval_steps: Count | None = Field(
        None,
        description="Steps between two evaluations of the validation loss. Default: four times per epoch.",
    )
    early_stopping_patience: Annotated[int, Field(ge=0)] = Field(
        1,
        description="Stop after this many validations in a row without a new best loss, but not before the end of"
        f" the first epoch and only with {FEWEST_TO_STOP} or more validation rows; 0 disables early stopping.",
    )
    save_steps: Count | None = Field(
        None, description="Steps between two checkpoints. Default: a checkpoint at every validation."
    )
    save_total_limit: Count = Field(
        2, description="Number of recent checkpoints to keep, in addition to the best one."
    )
    sample_prompts: Annotated[int, Field(ge=0)] = Field(
        3,
        description="Number of validation prompts to answer at every validation, so that you can watch the model"
        " learn.",
    )


class Recipe(Section):
    """A complete run; the tables are named after the stages."""

    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    adapter: AdapterSettings = AdapterSettings()
    training: TrainingSettings = TrainingSettings()
    preference: PreferenceSettings = PreferenceSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    @property
    def objective(self) -> ObjectiveInfo:
        return OBJECTIVES[self.training.objective]

    @property
    def tuning(self) -> Tuning:
        return Tuning(self.training.method, self.adapter)

    @model_validator(mode="after")
    def settings_go_with_the_objective(self) -> "Recipe":
        """Reject sections and values of other objectives, and values that this objective does not support."""
        defaults = Recipe.model_construct()
        for other in OBJECTIVES.values():
            for section in {*other.sections} - {*self.objective.sections}:
                if getattr(self, section) != getattr(defaults, section):
                    raise self._of_other_objective(
                        f"[{section}]", lambda one, name=section: name in one.sections
                    )
            for name, values in other.values.items():
                value = _value(self, name)
                if value in values and value not in self.objective.values.get(name, ()):
                    raise self._of_other_objective(
                        f"{name}={value}",
                        lambda one, name=name, value=value: value in one.values.get(name, ()),
                    )
        for name, values in self.objective.refused.items():
            if (value := _value(self, name)) in values:
                raise setting_error(
                    "settings.not_for_objective",
                    f"{name}={value} cannot be used with training.objective={self.objective.name}",
                )
        return self

    def _of_other_objective(self, what: str, takes: Callable[[ObjectiveInfo], bool]) -> PydanticCustomError:
        takers = " or ".join(one.name for one in OBJECTIVES.values() if takes(one))
        return setting_error(
            "settings.not_for_objective",
            f"{what} needs training.objective={takers}, but the objective is {self.objective.name}",
        )

    @model_validator(mode="after")
    def an_adapter_is_trained_further_as_lora(self) -> "Recipe":
        given = self.model.adapter
        if given and self.training.method != "lora":
            told = (
                f"model.adapter is {given}, but training.method is {self.training.method}, which trains no"
                " adapter"
            )
            raise setting_error(
                "settings.adapter_needs_lora",
                f"{told}. Leave one of them out; to train all weights from there, export the run with `--to"
                " hf` and set model.name_or_path to it",
            )
        return self

    @model_validator(mode="after")
    def what_the_objective_cannot_take_is_left_out(self) -> "Recipe":
        for name, reason in self.objective.barred.items():
            if given := _value(self, name):
                raise setting_error("settings.not_for_objective", f"{name} is {given}, but {reason}")
        return self

    def inactive_settings(self) -> dict[str, tuple[str, ...]]:
        """Return the settings that have no effect because of others, by reason."""
        objective, separator = self.objective, self.data.label_separator
        return inactive_settings(
            objective.name,
            objective.inactive,
            self.training.method,
            several_labels=separator is not None and "data.label_separator" not in objective.inactive,
        )

    @model_validator(mode="after")
    def what_has_no_effect_is_left_out(self) -> "Recipe":
        defaults = Recipe.model_construct()
        for reason, names in self.inactive_settings().items():
            given = " and ".join(
                name
                for name in names
                if _value(self, name) not in (_value(defaults, name), *RECORDED.get(name, ()))
            )
            if given:
                raise setting_error("settings.inactive", f"{reason}, so {given} has no effect: leave it out")
        return self


# The tables that affect the model: all except evaluation.
TRAINED = tuple(name for name in Recipe.model_fields if name != "evaluation")


def _value(recipe: Recipe, name: str) -> Any:
    section, key = name.split(".")
    return getattr(getattr(recipe, section), key)
