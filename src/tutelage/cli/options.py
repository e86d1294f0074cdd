"""What every verb understands, and which recipe and run folder that means."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tutelage.errors import RunFolderError
from tutelage.recipe_file import LoadedRecipe, load, to_toml
from tutelage.run_folder import RunFolder, write_text

RUNS = Path("runs")


@Parameter(name="*")
@dataclass(frozen=True)
class Options:
    """The options that all verbs share."""

    target: Annotated[
        Path | None, Parameter(name="TARGET", help="A recipe (.toml), or the folder of an earlier run.")
    ] = None
    data: Annotated[
        str | None,
        Parameter(help="A JSON or JSONL file of Alpaca rows, or `starter` or `instruction-data`."),
    ] = None
    output: Annotated[
        Path | None, Parameter(help="The run folder. Default: runs/ and the recipe's name.")
    ] = None
    prompt: Annotated[str | None, Parameter(help="Prompt style: alpaca, alpaca-compact, phi3 or chat.")] = (
        None
    )
    split: Annotated[str | None, Parameter(help="How rows are split: group or position.")] = None
    set: Annotated[
        list[str],
        Parameter(help="Any setting, as section.name=value; may be repeated.", negative=""),
    ] = field(default_factory=list)
    overwrite: Annotated[
        bool, Parameter(help="Replace what this stage wrote into the run folder before.", negative="")
    ] = False
    dry_run: Annotated[
        bool,
        Parameter(
            help="Show every setting, what would be written, and about how long it takes.", negative=""
        ),
    ] = False
    debug: Annotated[bool, Parameter(help="Show the traceback of an error.", negative="")] = False

    def overrides(self) -> dict[str, str]:
        given = {
            "--data data.source": self.data,
            "--prompt data.prompt": self.prompt,
            "--split data.split": self.split,
        }
        return {name: value for name, value in given.items() if value is not None}


def open_new_run(options: Options) -> tuple[RunFolder, LoadedRecipe]:
    """Return the folder and recipe of a verb that begins a run; it must be free, or --overwrite given."""
    target = options.target
    if target is not None and target.is_dir():
        recipe_path, root = _recipe_of(target), options.output or target
    else:
        recipe_path, root = target, options.output
    loaded = load(recipe_path, options.overrides(), options.set)
    run = RunFolder(root or RUNS / (recipe_path or Path(loaded.recipe.data.source)).stem)
    _refuse_foreign_folder(run)
    if run.data.exists() and not options.overwrite and not options.dry_run:
        raise RunFolderError(
            f"{run.root} already holds a run. Choose another --output, or add --overwrite to replace it."
        )
    return run, loaded


def open_earlier_run(options: Options) -> tuple[RunFolder, LoadedRecipe]:
    """Return the folder and recipe of a verb that goes on with a run, named as TARGET or --output."""
    root = options.target if options.target is not None and options.target.is_dir() else options.output
    if options.target is not None and options.target.is_file():
        loaded = load(options.target, options.overrides(), options.set)
        run = RunFolder(root or RUNS / options.target.stem)
        run.require(run.recipe, stage="prepare")
        return run, loaded
    if root is None:
        where = f"{options.target} does not exist" if options.target else "No run folder was given"
        raise RunFolderError(f"{where}. Name the folder of a run, for example runs/quickstart.")
    run = RunFolder(root)
    return run, load(_recipe_of(root), options.overrides(), options.set)


def refuse_overwriting(path: Path, options: Options, *, what: str) -> None:
    """Stop before a stage's earlier results would be lost."""
    if path.exists() and not options.overwrite:
        raise RunFolderError(f"{path} already holds {what}. Add --overwrite to replace it.")


def record_recipe(run: RunFolder, loaded: LoadedRecipe) -> None:
    """Write the recipe of the run, every value spelled out."""
    write_text(run.recipe, to_toml(loaded.recipe))


def _recipe_of(folder: Path) -> Path:
    recipe = RunFolder(folder).recipe
    if not recipe.is_file():
        raise RunFolderError(
            f"{folder} holds no recipe.toml, so it is not a run. Begin one with `tutelage run`."
        )
    return recipe


def _refuse_foreign_folder(run: RunFolder) -> None:
    if run.root.is_file():
        raise RunFolderError(f"{run.root} is a file; a run needs a folder. Choose another --output.")
    if run.root.is_dir() and any(run.root.iterdir()) and not run.recipe.exists():
        raise RunFolderError(
            f"{run.root} is not empty and holds no run. Choose a new or an empty folder as --output."
        )
