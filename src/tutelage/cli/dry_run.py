"""`--dry-run` of every verb: each setting and its origin, what would be written, and about how long it takes."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from tutelage.cli import console
from tutelage.cli.opening import has_model, locate
from tutelage.recipe import Recipe
from tutelage.recipe_file import LoadedRecipe
from tutelage.run_folder import RunFolder


def show_dry_run(
    run: RunFolder,
    loaded: LoadedRecipe,
    *,
    writes: list[Path],
    guarded: Collection[Path] = (),
    removes: Sequence[Path] = (),
    training: Any = None,
) -> None:
    """Print the plan of a verb; nothing is written or fetched. What is `guarded` is replaced with --overwrite only.

    `training` are the PreparedRows that would be trained on, None where something has to be fetched to know them.
    """
    console.heading("Settings")
    console.table(
        ["setting", "value", "from"],
        [[setting.name, _shown(setting.value), setting.origin] for setting in loaded.settings()],
    )
    console.say()
    console.heading("Would write")
    for path in writes:
        is_kept = path.exists() and path in guarded
        console.say(f"{path}{' (is there: needs --overwrite)' if is_kept else ''}")
    for path in removes:
        if path not in writes:
            console.say(f"{path} (would be removed)")
    if not writes:
        console.say("nothing")
    if run.model in writes:
        console.say()
        console.heading("Estimate of the training")
        _show_estimate(loaded.recipe, training)
    console.say("\nDry run: nothing was written.")


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(map(str, value)) or "—"
    return "—" if value is None else str(value)


def _show_estimate(recipe: Recipe, training: Any) -> None:
    from tutelage.data.pairs import units_of
    from tutelage.runtime import choose_device, choose_dtype, flops_per_second
    from tutelage.training.estimate import estimate
    from tutelage.training.loop import plan_steps
    from tutelage.training.reference import needs_reference

    choose_device(recipe.training.device)  # refuses what the training would
    if training is None or not has_model(recipe):
        console.say(
            "The model or the data has not been fetched or converted yet, so nothing can be estimated."
        )
        return
    units = units_of(training)
    dtype = choose_dtype(recipe.training.dtype, choose_device("cpu"))
    found = estimate(
        locate(recipe).folder,
        recipe.adapter,
        plan_steps(len(units), recipe.training),
        units,
        flops_per_second=flops_per_second(dtype),
        bytes_per_weight=dtype.itemsize,
        reads_before=needs_reference(recipe),
    )
    console.say(
        f"{found.steps:,} steps over {len(units):,} {name_units(recipe)}, on this CPU {_about(*found.seconds)},"
        f" and about {found.memory_bytes / 2**30:.1f} GiB of memory."
    )


def name_units(recipe: Recipe) -> str:
    """Return what a training of this recipe counts."""
    return "pairs" if recipe.training.objective == "dpo" else "examples"


def _about(low: float, high: float) -> str:
    if high < 90:
        return f"about {max(1, round(low)):.0f} to {max(2, round(high)):.0f} seconds"
    return f"about {max(1, round(low / 60)):.0f} to {max(2, round(high / 60)):.0f} minutes"
