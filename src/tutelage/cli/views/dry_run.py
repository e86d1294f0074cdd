"""Print a dry run: settings with their origins, files to write, and a time estimate."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from tutelage.cli.views import console
from tutelage.cli.views.results import show_block
from tutelage.config.recipe_file import LoadedRecipe, setting_text
from tutelage.stages.estimate import estimate_training
from tutelage.stages.session import Session


def show_dry_run(
    session: Session,
    *,
    writes: list[Path],
    guarded: Collection[Path] = (),
    removes: Sequence[Path] = (),
    training: Any = None,
) -> None:
    """Print the plan of a command, without writing or downloading anything; `guarded` paths need --overwrite.

    `training` are the PreparedRows to train on, or None if that needs a download.
    """
    run, loaded = session.run, session.loaded
    idle = loaded.inactive_settings()
    _show_settings(loaded, {name for names in idle.values() for name in names})
    for reason, names in idle.items():
        console.print_message(f"Without effect, because {reason}: {', '.join(names)}.")
    if idle:
        console.print_message()
    if training is not None:
        for block in session.objective.report.describe_rows(
            training, session.recipe, lambda: session.inputs.tokenizer
        ):
            show_block(block)
    console.heading("Would write")
    for path in writes:
        is_kept = path.exists() and path in guarded
        console.print_message(f"{path}{' (exists: needs --overwrite)' if is_kept else ''}")
    for path in removes:
        if path not in writes:
            console.print_message(f"{path} (would be removed)")
    if not writes:
        console.print_message("nothing")
    if run.model in writes:
        console.print_message()
        console.heading("Training estimate")
        _show_estimate(session, training)
    console.print_message("\nDry run: nothing was written.")


def _show_settings(loaded: LoadedRecipe, idle: Collection[str]) -> None:
    """Print all settings that have an effect, changed ones first."""
    settings = [setting for setting in loaded.settings() if setting.name not in idle]
    changed = [setting for setting in settings if loaded.is_changed(setting)]
    for title, shown in (
        ("Settings that were changed", changed),
        ("Settings at their defaults", [setting for setting in settings if setting not in changed]),
    ):
        if shown:
            console.heading(title)
            console.table(
                ["setting", "value", "from"],
                [[setting.name, setting_text(setting.value), setting.origin] for setting in shown],
            )
            console.print_message()


def _show_estimate(session: Session, training: Any) -> None:
    found = estimate_training(session, training)
    if found is None:
        console.print_message(
            "The model or the data has not been fetched or converted yet, so nothing can be estimated."
        )
        return
    console.print_message(
        f"{found.steps:,} steps over {len(training):,} {session.recipe.objective.unit}, on this CPU"
        f" {_about(*found.seconds)}, and about {found.memory_bytes / 2**30:.1f} GiB of memory."
    )


def _about(low: float, high: float) -> str:
    if high < 90:
        return f"about {max(1, round(low)):.0f} to {max(2, round(high)):.0f} seconds"
    return f"about {max(1, round(low / 60)):.0f} to {max(2, round(high / 60)):.0f} minutes"
