"""The options that several verbs understand."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter, Token

from tutelage.cli.run_names import is_there
from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import load
from tutelage.config.recipes import shipped_path
from tutelage.errors import RecipeError

# Listed behind the options that a verb has of its own.
SHARED = Group("Shared options", sort_key=1)


def as_path(_: type, tokens: Sequence[Token]) -> Path:
    """Return the path that was given; pathlib would take an empty text for the folder of work."""
    if not tokens[0].value:
        raise ValueError("'' names no file or folder. Name one, or leave it out.")
    return Path(tokens[0].value)


def as_recipe(kind: type, tokens: Sequence[Token]) -> Path:
    """Return what is at a path, and where nothing is there, the recipe of that name that ships."""
    path = as_path(kind, tokens)
    return path if is_there(path) else shipped_path(tokens[0].value) or path


Model = Annotated[
    str | None,
    Parameter(
        help="The base model: a name, a Hugging Face folder, a hub id, or a GGUF file.", show_default=False
    ),
]
Prompt = Annotated[str | None, Parameter(help="Prompt style: alpaca, alpaca-compact, phi3 or chat.")]
Split = Annotated[
    str | None, Parameter(help="How rows are split: group, position or, for labels, stratified.")
]
Map = Annotated[
    tuple[str, ...],
    Parameter(
        help="Which column holds a field: FIELD=COLUMN, as instruction=Frage, or a.b within objects. May be repeated.",
        negative="",
        show_default=False,
    ),
]
Instruction = Annotated[str | None, Parameter(help="One instruction for all rows.", show_default=False)]
Assignments = Annotated[
    tuple[str, ...],
    Parameter(
        group=SHARED,
        help="Any setting, as section.name=value; may be repeated.",
        negative="",
        show_default=False,
    ),
]
FailIfWorse = Annotated[
    bool,
    Parameter(help="Leave with exit code 7 if the verdict is worse.", negative="", show_default=False),
]
AcceptChanges = Annotated[
    bool,
    Parameter(
        help="Go on with an unfinished training though data, model or settings changed; it is recorded.",
        negative="",
        show_default=False,
    ),
]
SkipChecksums = Annotated[
    bool,
    Parameter(
        group=SHARED,
        help="Take the base model as it is, without hashing its files; what the command writes records it.",
        negative="",
        show_default=False,
    ),
]
Debug = Annotated[
    bool, Parameter(group=SHARED, help="Show the traceback of an error.", negative="", show_default=False)
]


@Parameter(name="*")
@dataclass(frozen=True)
class RunOptions:
    """The options of every verb of a run."""

    target: Annotated[
        Path | None,
        Parameter(
            help="A recipe (.toml), the folder of an earlier run, or a name that `tutelage recipes list` names.",
            converter=as_recipe,
        ),
    ] = None
    _: KW_ONLY
    output: Annotated[
        Path | None,
        Parameter(
            group=SHARED, help="The run folder. Default: runs/ and the recipe's name.", converter=as_path
        ),
    ] = None
    set: Assignments = ()
    skip_checksums: SkipChecksums = False
    debug: Debug = False

    def overrides(self) -> dict[str, Any]:
        """Return what options of their own say of settings, by option and setting."""
        return {}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DryRunOptions(RunOptions):
    """The same for verbs that can say what they would do."""

    dry_run: Annotated[
        bool,
        Parameter(
            group=SHARED,
            help="Show every setting, what would be written, and about how long it takes.",
            negative="",
            show_default=False,
        ),
    ] = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class StageOptions(DryRunOptions):
    """The same for verbs that replace what they wrote before where they are asked to."""

    overwrite: Annotated[
        bool,
        Parameter(
            group=SHARED,
            help="Replace what this stage wrote into the run folder before.",
            negative="",
            show_default=False,
        ),
    ] = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TrainingOptions(StageOptions):
    """The same for verbs whose settings are those of a training; each option stands for a setting."""

    epochs: Annotated[
        int | None, Parameter(help="How many times every training row is seen.", show_default=False)
    ] = None
    max_steps: Annotated[
        int | None, Parameter(help="Optimizer steps, whatever the epochs.", show_default=False)
    ] = None
    batch_size: Annotated[int | None, Parameter(help="Examples per optimizer step.", show_default=False)] = (
        None
    )
    learning_rate: Annotated[float | None, Parameter(help="Highest learning rate.", show_default=False)] = (
        None
    )

    def overrides(self) -> dict[str, Any]:
        given = {
            "--epochs training.num_train_epochs": self.epochs,
            "--max-steps training.max_steps": self.max_steps,
            "--batch-size training.per_device_train_batch_size": self.batch_size,
            "--batch-size training.gradient_accumulation_steps": 1 if self.batch_size is not None else None,
            "--learning-rate training.learning_rate": self.learning_rate,
        }
        return _without_none(given)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class NewRunOptions(TrainingOptions):
    """The same for verbs that read the data."""

    data: Annotated[
        str | None,
        Parameter(
            help="A JSON, JSONL, CSV or Parquet file, a folder of them, an https address, hf:owner/name, or one of the"
            " names starter and instruction-data."
        ),
    ] = None
    model: Model = None
    prompt: Prompt = None
    split: Split = None
    map: Map = ()
    instruction: Instruction = None

    def overrides(self) -> dict[str, Any]:
        return {**super().overrides(), **_overrides("--data", self)}


@Parameter(name="*")
@dataclass(frozen=True)
class DataOptions:
    """The options of the verbs that look at data alone and need no run."""

    data: Annotated[
        str | None,
        Parameter(
            help="Where the rows are, as for --data of the other verbs. Default: the recipe's, or starter."
        ),
    ] = None
    _: KW_ONLY
    recipe: Annotated[
        Path | None,
        Parameter(
            help="A recipe, by file or by name, whose settings of data and model are taken.",
            converter=as_recipe,
            show_default=False,
        ),
    ] = None
    model: Model = None
    prompt: Prompt = None
    split: Split = None
    map: Map = ()
    instruction: Instruction = None
    set: Assignments = ()
    debug: Debug = False

    def load(self) -> Recipe:
        overrides = _overrides("DATA", self)
        return load(self.recipe, overrides, self.set).recipe


def _overrides(source: str, options: NewRunOptions | DataOptions) -> dict[str, Any]:
    given = {
        f"{source} data.source": options.data,
        "--model model.name_or_path": options.model,
        "--prompt data.prompt": options.prompt,
        "--split data.split": options.split,
        "--map data.map": column_map(options.map),
        "--instruction data.instruction": options.instruction,
    }
    return _without_none(given)


def _without_none(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def column_map(given: tuple[str, ...]) -> dict[str, str] | None:
    """Read `field=path` texts; None where there are none, so that a recipe's map stands."""
    for text in given:
        if not all(text.partition("=")):
            raise RecipeError(
                "cli.map_malformed",
                f"--map {text!r} is not of the form field=path, as in --map instruction=a.b.",
            )
    return {field: path for field, _, path in (text.partition("=") for text in given)} or None
