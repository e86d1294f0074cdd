"""What every verb understands, and which recipe and run folder that means."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from cyclopts import Parameter, Token

from tutelage.cli.base_model import SkipChecksums, settle_model
from tutelage.cli.run_names import RUNS, is_there, nearest_run
from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import LoadedRecipe, load
from tutelage.config.recipes import shipped_path
from tutelage.errors import RecipeError, RunFolderError
from tutelage.run.folder import RunFolder
from tutelage.run.history import history_file
from tutelage.run.lock import held_beside
from tutelage.system.storage import STAGED
from tutelage.text.spelling import did_you_mean

NONE: Mapping[str, Any] = MappingProxyType({})


def as_path(_: type, tokens: Sequence[Token]) -> Path:
    """Return the path that was given; pathlib would take an empty text for the folder of work."""
    if not tokens[0].value:
        raise ValueError("'' names no file or folder. Name one, or leave it out.")
    return Path(tokens[0].value)


def as_recipe(kind: type, tokens: Sequence[Token]) -> Path:
    """Return what is at a path, and where nothing is there, the recipe of that name that ships."""
    path = as_path(kind, tokens)
    return path if is_there(path) else shipped_path(tokens[0].value) or path


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
    Parameter(help="Any setting, as section.name=value; may be repeated.", negative="", show_default=False),
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
Debug = Annotated[bool, Parameter(help="Show the traceback of an error.", negative="", show_default=False)]


@Parameter(name="*")
@dataclass(frozen=True)
class Options:
    """The options that all verbs of a run share."""

    target: Annotated[
        Path | None,
        Parameter(
            help="A recipe (.toml), the folder of an earlier run, or a name that `tutelage recipes list` names.",
            converter=as_recipe,
        ),
    ] = None
    _: KW_ONLY
    data: Annotated[
        str | None,
        Parameter(
            help="A JSON, JSONL, CSV or Parquet file, a folder of them, an https address, hf:owner/name, or one of the"
            " names starter and instruction-data."
        ),
    ] = None
    output: Annotated[
        Path | None,
        Parameter(help="The run folder. Default: runs/ and the recipe's name.", converter=as_path),
    ] = None
    prompt: Prompt = None
    split: Split = None
    map: Map = ()
    instruction: Instruction = None
    set: Assignments = ()
    overwrite: Annotated[
        bool,
        Parameter(
            help="Replace what this stage wrote into the run folder before.", negative="", show_default=False
        ),
    ] = False
    dry_run: Annotated[
        bool,
        Parameter(
            help="Show every setting, what would be written, and about how long it takes.",
            negative="",
            show_default=False,
        ),
    ] = False
    skip_checksums: SkipChecksums = False
    debug: Debug = False

    def overrides(self) -> dict[str, Any]:
        return _overrides("--data", self)


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
    prompt: Prompt = None
    split: Split = None
    map: Map = ()
    instruction: Instruction = None
    set: Assignments = ()
    debug: Debug = False

    def load(self) -> Recipe:
        overrides = _overrides("DATA", self)
        return load(self.recipe, overrides, self.set).recipe


def _overrides(source: str, options: Options | DataOptions) -> dict[str, Any]:
    given = {
        f"{source} data.source": options.data,
        "--prompt data.prompt": options.prompt,
        "--split data.split": options.split,
        "--map data.map": column_map(options.map),
        "--instruction data.instruction": options.instruction,
    }
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


def open_new_run(
    options: Options, also: Mapping[str, Any] = NONE, *, is_fresh: bool = False
) -> tuple[RunFolder, LoadedRecipe]:
    """Return the folder and recipe of a verb that begins a run, whether the folder holds one already or not.

    `also` are overrides by options of the verb's own; `is_fresh` takes a folder beside one that is taken.
    """
    target = options.target
    if target is not None and is_there(target) and target.is_dir():
        recipe_path, root = _recipe_of(target), options.output or target
    else:
        recipe_path, root = target, options.output
    loaded = load(recipe_path, {**options.overrides(), **also}, options.set)
    run = RunFolder(root or RUNS / (recipe_path or Path(loaded.recipe.data.source)).stem)
    _refuse_foreign_folder(run)
    if is_fresh and run.preparation.exists():
        run = RunFolder(folder_beside(run.root))
    return run, _with_model(loaded, run, options, goes_on=not options.overwrite)


def folder_beside(root: Path) -> Path:
    """Return the first folder named root-2, root-3 and so on that is not there."""
    number = 2
    while (beside := root.with_name(f"{root.name}-{number}")).exists():
        number += 1
    return beside


def open_earlier_run(
    options: Options, also: Mapping[str, Any] = NONE, *, step: int | None = None
) -> tuple[RunFolder, LoadedRecipe]:
    """Return the folder and recipe of a verb that goes on with a run, named as TARGET or --output, or a step of it."""
    target, output = options.target, options.output
    if target is not None and is_there(target) and not target.is_dir():
        run = RunFolder(output or RUNS / target.stem, step)
        if not run.recipe.exists():
            raise RunFolderError(
                "run.not_prepared",
                f"{run.root} holds no run yet. Run `tutelage prepare` with the same words first.",
            )
        loaded = load(target, {**options.overrides(), **also}, options.set)
        return run, _with_model(loaded, run, options)
    if target is not None and not is_there(target):
        raise RunFolderError(
            "run.not_found",
            f"{target} does not exist.{did_you_mean(nearest_run(target))} Name the folder of a run, for example"
            " runs/quickstart.",
        )
    if target is not None and output is not None and target.resolve() != output.resolve():
        raise RunFolderError(
            "run.named_twice",
            f"Two run folders were given, {target} and --output {output}. Name one of them.",
        )
    root = target or output
    if root is None:
        raise RunFolderError(
            "run.not_named", "No run folder was given. Name the folder of a run, for example runs/quickstart."
        )
    run, recipe = RunFolder(root, step), _recipe_of(root)
    if run.evaluated_recipe.is_file():
        recipe = run.evaluated_recipe
    return run, _with_model(load(recipe, {**options.overrides(), **also}, options.set), run, options)


def _with_model(
    loaded: LoadedRecipe, run: RunFolder, options: Options, *, goes_on: bool = True
) -> LoadedRecipe:
    """Settle which model the recipe means; the recipe of the run itself says it already."""
    recorded = load(run.recipe, {}, []).recipe.model.name_or_path if run.recipe.is_file() else None
    return settle_model(
        loaded, run, skip_checksums=options.skip_checksums, goes_on=goes_on, recorded=recorded
    )


def _recipe_of(folder: Path) -> Path:
    recipe = RunFolder(folder).recipe
    if not recipe.is_file():
        raise RunFolderError(
            "run.no_recipe",
            f"{folder} holds no recipe.toml, so it is not a run. Begin one with `tutelage run`.",
        )
    if recipe.stat().st_size == 0:
        raise RunFolderError(
            "run.recipe_empty",
            f"{recipe} is empty, though a run's recipe says every setting. Put it back; if the run is trained,"
            f" {RunFolder(folder).trained_recipe} is a copy of it.",
        )
    return recipe


def _refuse_foreign_folder(run: RunFolder) -> None:
    for path in (run.root, *run.root.parents):
        try:
            os.lstat(path)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as fault:
            raise RunFolderError(
                "cli.output_not_a_folder",
                f"{str(path)[:80]!r} cannot be a folder: {fault}. Choose another --output.",
            ) from fault
        if not path.is_dir():  # a device, or a link to nothing
            what = "a file" if path.is_file() else "no folder"
            raise RunFolderError(
                "cli.output_not_a_folder", f"{path} is {what}; a run needs a folder. Choose another --output."
            )
        break
    # Only what `prepare` wrote makes a folder a run; a recipe of the user's beside other things does not.
    # What a crash left staged before that was done, and the lock, are ours too.
    entries = run.root.iterdir() if run.root.is_dir() else ()
    ours = (run.recipe, run.events, history_file(run), run.lock, held_beside(run.lock))
    others = [entry for entry in entries if entry not in ours and not STAGED.fullmatch(entry.name)]
    if others and not run.preparation.exists():
        raise RunFolderError(
            "run.folder_not_empty",
            f"{run.root} is not empty and holds no run. Choose a new or an empty folder as --output.",
        )
