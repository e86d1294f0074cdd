"""`tutelage selftest`: check that splitting a step differently does not change its result."""

from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.sessions import opened_inputs
from tutelage.cli.views import console
from tutelage.cli.views.selftest import show_selftest
from tutelage.config.recipe import DEFAULT_MODEL, ModelSettings, Recipe
from tutelage.config.recipe_file import LoadedRecipe
from tutelage.stages.selftest import require_equal_steps
from tutelage.stages.selftest import selftest as run_selftest


def selftest(
    model: Annotated[
        str,
        Parameter(help="Base model: a name, a Hugging Face folder, a hub id (owner/name) or a GGUF file."),
    ] = DEFAULT_MODEL,
    *,
    debug: Annotated[
        bool, Parameter(help="Show the traceback if an error occurs.", negative="", show_default=False)
    ] = False,
) -> None:
    """Check that every way to run a step gives equal gradients.

    Eight starter rows, on any model.
    """
    loaded = LoadedRecipe(Recipe(model=ModelSettings(name_or_path=model)), {})
    with opened_inputs(loaded) as (inputs, reporter):
        found = run_selftest(inputs, reporter)
    show_selftest(found)
    require_equal_steps(found, model)
    console.heading(f"All {len(found)} ways give the same step.")
