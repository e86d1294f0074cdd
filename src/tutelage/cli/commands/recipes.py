"""`tutelage recipes`: the recipes that ship, listed, shown and copied."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.options import Debug, as_path
from tutelage.cli.views import console
from tutelage.config.effects import what_is_trained
from tutelage.config.recipe_file import load
from tutelage.config.recipes import ShippedRecipe, shipped_recipes
from tutelage.errors import RecipeError, RunFolderError
from tutelage.run.folder import write_text
from tutelage.text.spelling import did_you_mean, nearest

Name = Annotated[str, Parameter(help="A name that `tutelage recipes list` names.")]


def list_recipes(*, debug: Debug = False) -> None:
    """Name every recipe with what it is for, its model, what it trains, and about how long it takes."""
    for recipe in shipped_recipes().values():
        settings = load(recipe.path, {}, []).recipe
        trained = what_is_trained(settings.adapter.type, settings.adapter.r)
        console.heading(recipe.name)
        console.say(f"  {recipe.purpose}")
        console.say(f"  {settings.model.name_or_path.partition('@')[0]}, {trained}; {recipe.takes}")
    console.say()
    console.say("`tutelage run NAME` runs one; `tutelage recipes copy NAME` makes it yours.")


def show_recipe(name: Name, *, debug: Debug = False) -> None:
    """Print a recipe as it stands in its file."""
    console.say_text(_named(name).text)


def copy_recipe(
    name: Name,
    file: Annotated[
        Path | None,
        Parameter(help="The file to write. Default: NAME.toml in this folder.", converter=as_path),
    ] = None,
    *,
    overwrite: Annotated[
        bool, Parameter(help="Replace a file that is there.", negative="", show_default=False)
    ] = False,
    debug: Debug = False,
) -> None:
    """Copy a recipe to a file of yours."""
    recipe = _named(name)
    target = file or Path(recipe.path.name)
    if target.is_dir():
        target /= recipe.path.name
    if target.exists() and not overwrite:
        raise RunFolderError(
            "cli.output_exists", f"{target} is there already. Choose another name, or add --overwrite."
        )
    write_text(target, recipe.text)
    console.say(f"Wrote {target}. Change it, then: tutelage run {target}")


def _named(name: str) -> ShippedRecipe:
    known = shipped_recipes()
    if name not in known:
        raise RecipeError(
            "settings.unknown_recipe",
            f"No recipe is named {name!r}.{did_you_mean(nearest(name, known))} There are: {', '.join(known)}.",
        )
    return known[name]
