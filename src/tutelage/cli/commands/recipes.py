"""`tutelage recipes`: list, show and copy the built-in recipes."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.options import Debug, as_path
from tutelage.cli.views import console
from tutelage.stages import recipes

Name = Annotated[str, Parameter(help="Name of a recipe; see `tutelage recipes list`.")]


def list_recipes(*, debug: Debug = False) -> None:
    """List the recipes with their purpose, model and duration."""
    for recipe in recipes.list_recipes():
        console.heading(recipe.name)
        console.print_message(f"  {recipe.purpose}")
        console.print_message(f"  {recipe.model}, {recipe.trained}; {recipe.takes}")
    console.print_message()
    console.print_message(
        "`tutelage run NAME` runs one; `tutelage recipes copy NAME` makes a copy that you can edit."
    )


def show_recipe(name: Name, *, debug: Debug = False) -> None:
    """Print a recipe."""
    console.print_text(recipes.recipe_named(name).text)


def copy_recipe(
    name: Name,
    file: Annotated[
        Path | None,
        Parameter(help="File to write. Default: NAME.toml in the current folder.", converter=as_path),
    ] = None,
    *,
    overwrite: Annotated[
        bool, Parameter(help="Replace an existing file.", negative="", show_default=False)
    ] = False,
    debug: Debug = False,
) -> None:
    """Copy a recipe to a file that you can edit."""
    target = recipes.copy_recipe(name, file, overwrite=overwrite)
    console.print_message(f"Wrote {target}. Edit it, then: tutelage run {target}")
