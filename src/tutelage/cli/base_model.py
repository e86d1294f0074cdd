"""How a command of a run names its base model, and whether it verifies its checksums."""

from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from tutelage.config.recipe_file import LoadedRecipe
from tutelage.run.artifacts import Preparation, read_artifact
from tutelage.run.folder import RunFolder

SkipChecksums = Annotated[
    bool,
    Parameter(
        help="Take the base model as it is, without hashing its files; what the command writes records it.",
        negative="",
        show_default=False,
    ),
]


def settle_model(
    loaded: LoadedRecipe,
    run: RunFolder,
    *,
    skip_checksums: bool,
    goes_on: bool = True,
    recorded: str | None = None,
) -> LoadedRecipe:
    """Give a model that is a folder or a file its absolute path, and say whether it is hashed.

    `recorded` is the name that the run keeps. The identity that its rows were prepared with is taken only of the same
    name, and only where the command `goes_on` with these rows.
    """
    from tutelage.model.names import absolute_name

    model = loaded.recipe.model
    settled = model.model_copy(update={"name_or_path": absolute_name(model.name_or_path, recorded)})
    known = ""
    if skip_checksums and goes_on and run.preparation.is_file():
        prepared = read_artifact(Preparation, run.preparation)
        known = prepared.model_sha256 if prepared.model == settled.name_or_path else ""
    recipe = loaded.recipe.model_copy(update={"model": settled})
    return replace(loaded, recipe=recipe, unchecked=known if skip_checksums else None)
