"""Options shared by several commands."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter, Token

from tutelage.cli.run_names import is_there
from tutelage.config.built_in_data import built_in_names
from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import load
from tutelage.config.recipes import shipped_path
from tutelage.errors import RecipeError

# Listed after the command's own options.
TRAINING = Group("Training", sort_key=1)
SHARED = Group("Shared options", sort_key=2)


def as_path(_: type, tokens: Sequence[Token]) -> Path:
    """Return the given path; reject an empty one, which pathlib would take as the current folder."""
    if not tokens[0].value:
        raise ValueError("An empty path was given. Name a file or folder, or leave it out.")
    return Path(tokens[0].value)


def as_recipe(kind: type, tokens: Sequence[Token]) -> Path:
    """Return the path if it exists, or else the built-in recipe of that name."""
    path = as_path(kind, tokens)
    return path if is_there(path) else shipped_path(tokens[0].value) or path


Data = Annotated[
    str | None,
    Parameter(
        help="Your rows: a JSON, JSONL, CSV or Parquet file, a folder of such files, an https URL, hf:owner/name, or a"
        f" built-in data set ({', '.join(built_in_names())}). Default: the recipe's data, or starter."
    ),
]
Model = Annotated[
    str | None,
    Parameter(
        help="Base model: a name, a Hugging Face folder, a hub id (owner/name) or a GGUF file.",
        show_default=False,
    ),
]
PromptTemplate = Annotated[
    str | None, Parameter(help="Prompt template: alpaca, alpaca-compact, phi3, or chat (the model's own).")
]
Split = Annotated[
    str | None, Parameter(help="How to split the rows: group, position, or (for labels) stratified.")
]
Map = Annotated[
    tuple[str, ...],
    Parameter(
        help="Read a field from another column: FIELD=COLUMN; a.b for nested values. Repeatable.",
        negative="",
        show_default=False,
    ),
]
Instruction = Annotated[str | None, Parameter(help="Use this instruction for every row.", show_default=False)]
Assignments = Annotated[
    tuple[str, ...],
    Parameter(
        group=SHARED,
        help="Change any setting: section.name=value. Repeatable; --dry-run lists all settings.",
        negative="",
        show_default=False,
    ),
]
FailIfWorse = Annotated[
    bool,
    Parameter(help="Exit with code 7 if the verdict is worse.", negative="", show_default=False),
]
AllowChanges = Annotated[
    bool,
    Parameter(
        help="Resume even if the data, the model or settings have changed. The change is recorded.",
        negative="",
        show_default=False,
    ),
]
DryRun = Annotated[
    bool,
    Parameter(
        group=SHARED,
        help="Print all settings, the files that would be written and an estimate of the time; change nothing.",
        negative="",
        show_default=False,
    ),
]
SkipChecksums = Annotated[
    bool,
    Parameter(
        group=SHARED,
        help="Do not verify the base model's files. This is recorded in the results.",
        negative="",
        show_default=False,
    ),
]
Debug = Annotated[
    bool,
    Parameter(group=SHARED, help="Show the traceback if an error occurs.", negative="", show_default=False),
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RowsOptions:
    """Options that select the rows and how they are read."""

    data: Data = None
    model: Model = None
    prompt_template: PromptTemplate = None
    split: Split = None
    map: Map = ()
    instruction: Instruction = None

    def of_rows(self, source: str) -> dict[str, Any]:
        """Return the settings from these options; `source` is the name of the option for the rows."""
        given = {
            f"{source} data.source": self.data,
            "--model model.name_or_path": self.model,
            "--prompt-template data.prompt_template": self.prompt_template,
            "--split data.split": self.split,
            "--map data.column_map": column_map(self.map),
            "--instruction data.instruction": self.instruction,
        }
        return _without_none(given)


@Parameter(name="*")
@dataclass(frozen=True)
class RunOptions:
    """The options of every command that works on a run."""

    target: Annotated[
        Path | None,
        Parameter(
            help="A recipe file (.toml), a recipe's name (`tutelage recipes list`), or a run folder.",
            converter=as_recipe,
        ),
    ] = None
    _: KW_ONLY
    output: Annotated[
        Path | None,
        Parameter(
            group=SHARED,
            help="Run folder. Default: runs/, followed by the name of the recipe or data file.",
            converter=as_path,
        ),
    ] = None
    set: Assignments = ()
    skip_checksums: SkipChecksums = False
    debug: Debug = False

    def overrides(self) -> dict[str, Any]:
        """Return the settings from a command's own options, by option and setting."""
        return {}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DryRunOptions(RunOptions):
    """The options of commands with a dry run."""

    dry_run: DryRun = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class StageOptions(DryRunOptions):
    """The options of commands that can replace earlier results."""

    overwrite: Annotated[
        bool,
        Parameter(
            group=SHARED,
            help="Replace the existing results of this stage.",
            negative="",
            show_default=False,
        ),
    ] = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TrainingOptions(StageOptions):
    """The options of commands that use training settings; each option stands for a setting."""

    method: Annotated[
        str | None,
        Parameter(
            group=TRAINING,
            help="Weights to train: lora (an adapter), full (all weights), or for labels last-block, last-two-blocks or"
            " head.",
            show_default=False,
        ),
    ] = None
    epochs: Annotated[
        int | None,
        Parameter(group=TRAINING, help="Number of passes over the training rows.", show_default=False),
    ] = None
    max_steps: Annotated[
        int | None,
        Parameter(
            group=TRAINING, help="Number of optimizer steps; overrides the epochs.", show_default=False
        ),
    ] = None
    batch_size: Annotated[
        int | None, Parameter(group=TRAINING, help="Examples per optimizer step.", show_default=False)
    ] = None
    learning_rate: Annotated[
        float | None, Parameter(group=TRAINING, help="Peak learning rate.", show_default=False)
    ] = None

    def overrides(self) -> dict[str, Any]:
        given = {
            "--method training.method": self.method,
            "--epochs training.num_train_epochs": self.epochs,
            "--max-steps training.max_steps": self.max_steps,
            "--batch-size training.per_device_train_batch_size": self.batch_size,
            "--batch-size training.gradient_accumulation_steps": 1 if self.batch_size is not None else None,
            "--learning-rate training.learning_rate": self.learning_rate,
        }
        return _without_none(given)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class NewRunOptions(RowsOptions, TrainingOptions):
    """The options of commands that read the data."""

    def overrides(self) -> dict[str, Any]:
        return {**super().overrides(), **self.of_rows("--data")}


@Parameter(name="*")
@dataclass(frozen=True)
class DataOptions(RowsOptions):
    """The options of commands that only work on data and need no run."""

    data: Data = field(default=None, kw_only=False)
    _: KW_ONLY
    recipe: Annotated[
        Path | None,
        Parameter(
            help="Take the data and model settings from this recipe (a file or a name).",
            converter=as_recipe,
            show_default=False,
        ),
    ] = None
    set: Assignments = ()
    debug: Debug = False

    def load(self) -> Recipe:
        return load(self.recipe, self.of_rows("DATA"), self.set).recipe


def _without_none(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def column_map(given: tuple[str, ...]) -> dict[str, str] | None:
    """Parse `field=path` texts; return None if there are none, so that a recipe's map is kept."""
    for text in given:
        if not all(text.partition("=")):
            raise RecipeError(
                "cli.map_malformed",
                f"--map {text!r} does not have the form FIELD=COLUMN, for example --map instruction=a.b.",
            )
    return {field: path for field, _, path in (text.partition("=") for text in given)} or None
