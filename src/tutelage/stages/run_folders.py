"""Which run folder and which recipe a name stands for, and which model the recipe means."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tutelage.config.recipe_file import LoadedRecipe, load
from tutelage.errors import RunFolderError
from tutelage.run.artifacts import Preparation, read_artifact
from tutelage.run.event_log import is_log
from tutelage.run.folder import RunFolder
from tutelage.run.history import history_file
from tutelage.run.lock import held_beside
from tutelage.stages.moved_inputs import keep_recorded_names
from tutelage.stages.starting_adapter import settle_adapter
from tutelage.system.storage import STAGED

RUNS = Path("runs")
HANDED_OVER = re.compile(r"rows-[0-9a-f]{12}\.jsonl")


def new_run(
    recipe: Path | None,
    overrides: Mapping[str, Any],
    assignments: Sequence[str] = (),
    *,
    root: Path | None = None,
    is_new: bool = False,
    goes_on: bool = True,
    skip_checksums: bool = False,
) -> tuple[RunFolder, LoadedRecipe]:
    """Return the folder and recipe of a run that begins, or goes on where the folder holds one.

    The settings are as `load` takes them. Without a `root` the folder is that of the recipe's name, or of the data's,
    in runs/; `is_new` takes a folder beside one that is taken.
    """
    loaded = load(recipe, overrides, assignments)
    run = RunFolder(root or RUNS / (recipe or Path(loaded.recipe.data.source)).stem)
    require_run_or_empty_folder(run)
    if is_new and run.preparation.exists():
        run = RunFolder(folder_beside(run.root))
    return run, settle_model(loaded, run, skip_checksums=skip_checksums, goes_on=goes_on)


def earlier_run(
    root: Path,
    overrides: Mapping[str, Any],
    assignments: Sequence[str] = (),
    *,
    step: int | None = None,
    skip_checksums: bool = False,
) -> tuple[RunFolder, LoadedRecipe]:
    """Return a run, or a step of one, with its own recipe, in which some settings may be changed."""
    run, recipe = RunFolder(root, step), recipe_of(root)
    if run.evaluated_recipe.is_file():
        recipe = run.evaluated_recipe
    return run, settle_model(load(recipe, overrides, assignments), run, skip_checksums=skip_checksums)


def folder_beside(root: Path) -> Path:
    """Return the first folder named root-2, root-3 and so on that is not there."""
    number = 2
    while (beside := root.with_name(f"{root.name}-{number}")).exists():
        number += 1
    return beside


def recipe_of(folder: Path) -> Path:
    """Return the recipe of a run; RunFolderError where the folder is none."""
    recipe = RunFolder(folder).recipe
    if not recipe.is_file():
        raise RunFolderError(
            "run.no_recipe",
            f"{folder} holds no recipe.toml, so it is not a run. Start one with `tutelage run`.",
        )
    if recipe.stat().st_size == 0:
        raise RunFolderError(
            "run.recipe_empty",
            f"{recipe} is empty, but a run's recipe must hold every setting. Restore it; if the run is"
            f" trained, {RunFolder(folder).trained_recipe} is a copy.",
        )
    return recipe


def settle_model(
    loaded: LoadedRecipe,
    run: RunFolder,
    *,
    skip_checksums: bool,
    goes_on: bool = True,
) -> LoadedRecipe:
    """Give a model that is a folder or a file its absolute path, or the name that the run keeps; say if it is hashed.

    Data and model that the run knows by their hash keep the names that it recorded.

    The identity that its rows were prepared with is taken only of the same name, and only where the command `goes_on`
    with these rows.
    """
    from tutelage.model.names import absolute_name

    recorded = load(run.recipe, {}, []).recipe if run.recipe.is_file() else None
    loaded = settle_adapter(loaded, run, recorded)
    model = loaded.recipe.model
    known_name = recorded.model.name_or_path if recorded else None
    settled = model.model_copy(update={"name_or_path": absolute_name(model.name_or_path, known_name)})
    loaded = replace(loaded, recipe=loaded.recipe.model_copy(update={"model": settled}))
    if goes_on:
        loaded = keep_recorded_names(loaded, run, recorded, skip_checksums=skip_checksums)
    known = ""
    if skip_checksums and goes_on and run.preparation.is_file():
        prepared = read_artifact(Preparation, run.preparation)
        known = prepared.model_sha256 if prepared.model == loaded.recipe.model.name_or_path else ""
    beside = loaded.functions_in
    if goes_on and not (beside and RunFolder(beside).functions.is_file()):
        beside = run.root
    return replace(loaded, unchecked=known if skip_checksums else None, functions_in=beside)


def require_run_or_empty_folder(run: RunFolder) -> None:
    """Stop where a run cannot be, or something else than a run is."""
    for path in (run.root, *run.root.parents):
        try:
            os.lstat(path)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as fault:
            raise RunFolderError(
                "cli.output_not_a_folder",
                f"{str(path)[:80]!r} cannot be used as a folder: {fault}. Choose another --output.",
            ) from fault
        if not path.is_dir():  # a device, or a link to nothing
            what = "a file" if path.is_file() else "no folder"
            raise RunFolderError(
                "cli.output_not_a_folder",
                f"{path} is {what}, but a run needs a folder. Choose another --output.",
            )
        break
    # Only what `prepare` wrote makes a folder a run; a recipe of the user's beside other things does not.
    # What a crash left staged before that was done, and the lock, are ours too.
    entries = run.root.iterdir() if run.root.is_dir() else ()
    logs = [run.events] if is_log(run.events) else []
    ours = (run.recipe, run.functions, *logs, history_file(run), run.lock, held_beside(run.lock))
    others = [
        entry
        for entry in entries
        if entry not in ours and not STAGED.fullmatch(entry.name) and not HANDED_OVER.fullmatch(entry.name)
    ]
    if others and not run.preparation.exists():
        raise RunFolderError(
            "run.folder_not_empty",
            f"{run.root} is not empty and not a run. Choose a new or empty folder as --output.",
        )
