"""`tutelage selftest`: show on a model that how a step is cut and run changes nothing."""

from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.opening import opened_inputs
from tutelage.cli.views import console
from tutelage.config.recipe import DEFAULT_MODEL, ModelSettings, Recipe
from tutelage.config.recipe_file import LoadedRecipe
from tutelage.errors import ModelError
from tutelage.stages.selftest import selftest as run_selftest


def selftest(
    model: Annotated[str, Parameter(help="A model's name, folder, hub id or GGUF file.")] = DEFAULT_MODEL,
    *,
    debug: Annotated[
        bool, Parameter(help="Show the traceback of an error.", negative="", show_default=False)
    ] = False,
) -> None:
    """Run one step of eight starter rows in every way on a model, and compare loss and gradients."""
    loaded = LoadedRecipe(Recipe(model=ModelSettings(name_or_path=model)), {})
    with opened_inputs(loaded) as (inputs, reporter):
        found = run_selftest(inputs, reporter)
    console.table(
        ["type", "way", "loss", "gradients", ""],
        [
            [
                one.dtype,
                one.way,
                f"{one.loss:.1e}",
                f"{one.gradients:.1e}",
                "" if one.is_within else "differs",
            ]
            for one in found
        ],
        numeric={2, 3},
    )
    console.say(
        "\nAway from one example at a time in float32: loss in nats per token, gradients of the adapter relative to"
        " their norm. bfloat16 rounds in every way alike."
    )
    if not any(one.over_trees for one in found):
        told = "this model cannot be run over prefix trees; it would be tuned on padded rows."
        console.note("model.padded_rows", told)
    wrong = [one for one in found if not one.is_within]
    if wrong:
        raise ModelError(
            "model.selftest_failed",
            f"{len(wrong)} of {len(found)} ways give another step than one example at a time. Do not tune {model}"
            " here; please report its name and this table.",
        )
    console.heading(f"Every one of {len(found)} ways gives the same step.")
