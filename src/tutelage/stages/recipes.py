"""The recipes that ship: what each is for, and a copy to change."""

from dataclasses import dataclass
from pathlib import Path

from tutelage.config.inactive_settings import describe_method
from tutelage.config.recipe_file import load
from tutelage.config.recipes import ShippedRecipe, shipped_recipes
from tutelage.errors import RecipeError, RunFolderError
from tutelage.run.folder import write_text
from tutelage.text.spelling import did_you_mean, nearest


@dataclass(frozen=True)
class RecipeSummary:
    """What a recipe is for, the model that it takes, what it trains of it, and about how long that takes."""

    name: str
    purpose: str
    model: str
    trained: str
    takes: str


def list_recipes() -> list[RecipeSummary]:
    """Return what there is to know of each recipe that ships."""
    return [_summary(recipe) for recipe in shipped_recipes().values()]


def recipe_named(name: str) -> ShippedRecipe:
    """Return a recipe that ships; RecipeError where none has the name."""
    known = shipped_recipes()
    if name not in known:
        raise RecipeError(
            "settings.unknown_recipe",
            f"There is no recipe named {name!r}.{did_you_mean(nearest(name, known))} The recipes are:"
            f" {', '.join(known)}.",
        )
    return known[name]


def copy_recipe(name: str, file: Path | None = None, *, overwrite: bool = False) -> Path:
    """Copy a recipe to a file, or into a folder, by default the folder of work; return where it is."""
    recipe = recipe_named(name)
    target = file or Path(recipe.path.name)
    if target.is_dir():
        target /= recipe.path.name
    if target.exists() and not overwrite:
        raise RunFolderError(
            "cli.output_exists", f"{target} already exists. Choose another name, or add --overwrite."
        )
    write_text(target, recipe.text)
    return target


def _summary(recipe: ShippedRecipe) -> RecipeSummary:
    settings = load(recipe.path, {}, []).recipe
    return RecipeSummary(
        name=recipe.name,
        purpose=recipe.purpose,
        model=settings.model.name_or_path.partition("@")[0],
        trained=describe_method(settings.training.method, settings.adapter.r),
        takes=recipe.takes,
    )
