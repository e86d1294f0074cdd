"""Every setting of a run, declared once, with its unit; help, reference page and error texts come from here.

Names are those of Hugging Face and TRL where they have one.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tutelage.config.effects import idle_settings
from tutelage.config.extensions import one_of
from tutelage.config.objectives import DEFAULT, OBJECTIVES, ObjectiveInfo, describe_objectives
from tutelage.config.recipe_adapter import AdapterSettings
from tutelage.config.recipe_evaluation import EvaluationSettings
from tutelage.config.recipe_preference import PreferenceSettings
from tutelage.config.recipe_section import Count, FormatName, Name, Section, Sha256, setting_error

PromptStyle = Literal["alpaca", "alpaca-compact", "phi3", "chat"]
SplitRule = Literal["group", "position", "stratified"]
Objective = Annotated[str, one_of(OBJECTIVES)]
LossOn = Literal["response", "last_response", "everything"]
ClassToken = Literal["last", "first"]
DEFAULT_MODEL = "smollm2-135m-instruct"

Share = Annotated[float, Field(ge=0, le=1)]

# The random numbers of a step come from seed * MOST_STEPS + step, so with more steps two seeds would share some.
MOST_STEPS = 2**24
Steps = Annotated[int, Field(ge=1, le=MOST_STEPS)]

# The loss on fewer examples moves by chance from one validation to the next, and ends no training.
FEWEST_TO_STOP = 8


class DataSettings(Section):
    source: Name = Field(
        "starter",
        description="A JSON, JSONL, CSV or Parquet file (also gzipped), a folder of them, an https address,"
        " `hf:owner/name`, or the name `starter` or `instruction-data`.",
    )
    sha256: Sha256 | None = Field(
        None, description="SHA-256 of the bytes of the source. An https address needs it."
    )
    licence: str = Field("", description="Licence of the data. It is told on the model card, no more.")
    hub_split: str = Field("train", description="Which split of a data set of the hub is read.")
    encoding: str | None = Field(
        None,
        description="Encoding of the files. Default: UTF-8, or UTF-16 where a file begins with its mark.",
    )
    delimiter: Annotated[str, Field(pattern="^(tab|comma|semicolon|pipe|.)$")] | None = Field(
        None,
        description="What parts the cells of a table: `tab`, `comma`, `semicolon`, `pipe` or any one character."
        " Default: what splits its lines alike.",
    )
    quoting: Literal["double", "none"] | None = Field(
        None,
        description="Whether double quotation marks surround cells of a table, or are plain characters (`none`)."
        " Default: what splits its lines alike.",
    )
    header: bool | None = Field(
        None,
        description="Whether the first line of a table names its columns. If not, they are `column1`, `column2` and so"
        " on. Default: found from the first line.",
    )
    format: FormatName | None = Field(None, description="What a row is. Default: found from its fields.")
    map: dict[str, str] = Field(
        {},
        description='Where a row has a field under another name: `instruction = "a.b"` takes b of a as instruction.',
    )
    roles: dict[str, Literal["system", "user", "assistant", "tool"]] = Field(
        {},
        description='What roles of other names are: `roles = { narrator = "user" }` reads the turns of narrator as the'
        " user's.",
    )
    instruction: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="One instruction for all rows, which then need `input` and `output` alone, as `Extract the fields"
        " as JSON`.",
    )
    coerce: bool = Field(
        False, description="Read numbers, true and false as text where text is due, rather than stop."
    )
    keep_empty_output: bool = Field(
        False, description="Keep rows with an empty answer, which teach the model to say nothing."
    )
    max_file_bytes: Count = Field(100 * 2**20, description="Largest file in bytes, once it is unpacked.")
    max_row_bytes: Count = Field(
        2**20, description="Largest row in bytes; larger ones are dropped and listed."
    )
    prompt: PromptStyle = Field("alpaca", description="How a row becomes a prompt.")
    split: SplitRule = Field(
        "group",
        description="`group` splits by a hash of the normalised prompt; `position` by the order of the file;"
        " `stratified`, for labels, gives each split its share of each label and keeps equal texts together.",
    )
    train_share: Share = Field(0.85, description="Share of the rows that is trained on.")
    test_share: Share = Field(0.10, description="Share held back for the evaluation; the rest validates.")
    max_length: Count | None = Field(
        None, description="Longest example in tokens. Default: the model's context."
    )
    overlong: Literal["stop", "drop"] = Field(
        "stop",
        description="What to do when a row is longer than that: stop and name it, or drop and list it.",
    )
    loss_on: LossOn = Field(
        "response",
        description="Which tokens are supervised: every answer of a conversation with its end, the last one alone,"
        " or the prompts too.",
    )
    label_separator: Annotated[str, Field(min_length=1, max_length=1)] | None = Field(
        None,
        description="Several labels for each text, or none: this sign parts them, or they are a list. Default: one.",
    )
    class_token: ClassToken = Field(
        "last",
        description="Which token of a text the head for labels reads; the `first` one has seen nothing of the rest.",
    )

    @model_validator(mode="after")
    def shares_leave_no_negative_rest(self) -> "DataSettings":
        if self.train_share + self.test_share > 1 + 1e-9:
            raise setting_error(
                "settings.shares_exceed_1",
                f"data.train_share ({self.train_share}) and data.test_share ({self.test_share}) sum to more than 1",
            )
        return self


class ModelSettings(Section):
    name_or_path: Name = Field(
        DEFAULT_MODEL,
        description="The default model's name, a Hugging Face folder, a run of yours that was exported with `--to hf`,"
        " a hub id (`owner/name`, or `owner/name@commit` for the same weights at any time), or a GGUF file.",
    )
    adapter: Name | None = Field(
        None,
        description="A LoRA adapter that is trained further: a run of yours (`runs/first`, or `runs/first@120` for a"
        " checkpoint), or a folder in PEFT format. Rank, alpha, target modules and the run's base model are taken from"
        " it. Default: a new adapter.",
    )


class TrainingSettings(Section):
    objective: Objective = Field(
        DEFAULT.name, description=describe_objectives(), json_schema_extra={"enum": list(OBJECTIVES)}
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="`balanced` weighs each row of a classification by the inverse of how often its label is trained,"
        " so that each label weighs the same.",
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(123, description="Seed of order and new weights.")
    num_train_epochs: Steps = Field(2, description="How many times every training row is seen.")
    max_steps: Steps | None = Field(
        None,
        description="Optimiser steps of the run, whatever num_train_epochs says. Default: the epochs decide.",
    )
    per_device_train_batch_size: Count = Field(8, description="Examples in one micro-batch.")
    gradient_accumulation_steps: Count = Field(1, description="Micro-batches in one optimiser step.")
    learning_rate: Annotated[float, Field(gt=0)] = Field(5e-4, description="Highest learning rate.")
    lr_scheduler_type: Literal["constant", "linear", "cosine"] = Field(
        "cosine", description="How the learning rate falls after the warm-up."
    )
    warmup_ratio: Share = Field(
        0.05, description="Share of the steps in which the learning rate rises from 0."
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.0, description="AdamW's decoupled weight decay.")
    adam_beta1: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.9, description="AdamW's decay of the mean gradient."
    )
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.999, description="AdamW's decay of the mean squared gradient."
    )
    adam_epsilon: Annotated[float, Field(gt=0)] = Field(1e-8, description="AdamW's epsilon.")
    max_grad_norm: Annotated[float, Field(ge=0)] = Field(
        1.0, description="Gradients are clipped to this L2 norm; 0 does not clip."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto",
        description="`auto` takes a GPU where there is one, but an Apple one only as `mps`: nothing was run on it yet.",
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Type of the matrix products; `auto` measures which is faster. Trained weights stay float32.",
    )
    eval_steps: Count | None = Field(
        None, description="Steps between two validation losses. Default: four times an epoch."
    )
    early_stopping_patience: Annotated[int, Field(ge=0)] = Field(
        1,
        description="Stop after this many validations in a row without a new lowest loss, but not before the first"
        f" epoch is complete, and only with {FEWEST_TO_STOP} validation rows or more; 0 disables early stopping.",
    )
    save_steps: Count | None = Field(
        None, description="Steps between two checkpoints. Default: with every validation loss."
    )
    save_total_limit: Count = Field(
        2, description="How many of the latest checkpoints are kept beside the best."
    )
    sample_prompts: Annotated[int, Field(ge=0)] = Field(
        3,
        description="How many validation prompts are answered at each validation, to watch the model learn.",
    )


class Recipe(Section):
    """A whole run; the tables are named after the stages."""

    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    adapter: AdapterSettings = AdapterSettings()
    training: TrainingSettings = TrainingSettings()
    preference: PreferenceSettings = PreferenceSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    @property
    def objective(self) -> ObjectiveInfo:
        return OBJECTIVES[self.training.objective]

    @model_validator(mode="after")
    def settings_go_with_the_objective(self) -> "Recipe":
        """Refuse sections and values of other objectives, and values that this one cannot honour."""
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
                    f"{name}={value} cannot be honoured where training.objective is {self.objective.name}",
                )
        return self

    def _of_other_objective(self, what: str, takes: Callable[[ObjectiveInfo], bool]) -> PydanticCustomError:
        takers = " or ".join(one.name for one in OBJECTIVES.values() if takes(one))
        return setting_error(
            "settings.not_for_objective",
            f"{what} is for training.objective={takers}, and the objective is {self.objective.name}",
        )

    @model_validator(mode="after")
    def an_adapter_is_trained_further_as_lora(self) -> "Recipe":
        given = self.model.adapter
        if given and self.adapter.type != "lora":
            told = (
                f"model.adapter is {given}, and adapter.type is {self.adapter.type}, which trains no adapter"
            )
            raise setting_error(
                "settings.adapter_needs_lora",
                f"{told}. Leave one of them out; to train every weight from there, export the run with `--to hf` and"
                " name it as model.name_or_path",
            )
        return self

    @model_validator(mode="after")
    def what_the_objective_cannot_take_is_left_out(self) -> "Recipe":
        for name, reason in self.objective.barred.items():
            if given := _value(self, name):
                raise setting_error("settings.not_for_objective", f"{name} is {given}, and {reason}")
        return self

    def idle(self) -> dict[str, tuple[str, ...]]:
        """Return the names of settings without effect beside the others, by the reason."""
        objective, separator = self.objective, self.data.label_separator
        return idle_settings(
            objective.name,
            objective.inactive,
            self.adapter.type,
            several_labels=separator is not None and "data.label_separator" not in objective.inactive,
        )

    @model_validator(mode="after")
    def what_has_no_effect_is_left_out(self) -> "Recipe":
        defaults = Recipe.model_construct()
        for reason, names in self.idle().items():
            given = " and ".join(name for name in names if _value(self, name) != _value(defaults, name))
            if given:
                raise setting_error(
                    "settings.inactive", f"{reason}, so that {given} would have no effect: leave it out"
                )
        return self


# The tables that a model is made of: all but the one that says how it is evaluated.
TRAINED = tuple(name for name in Recipe.model_fields if name != "evaluation")


def _value(recipe: Recipe, name: str) -> Any:
    section, key = name.split(".")
    return getattr(getattr(recipe, section), key)
