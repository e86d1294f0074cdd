"""What a stage cannot honour, refused before it begins."""

from collections.abc import Collection
from pathlib import Path

from tutelage.config.objectives import Gives
from tutelage.config.recipe import TRAINED, Recipe
from tutelage.config.recipe_file import FOUND_BY_HASH, PLACE_OF_WORK, TOLD, changed_settings, load
from tutelage.errors import RecipeError, RunFolderError, StorageError
from tutelage.run.folder import RunFolder
from tutelage.stages.session import Session
from tutelage.system.storage import find_damage


def require_no_run(run: RunFolder) -> None:
    """Stop a command that begins a run where there is one."""
    raise RunFolderError(
        "run.exists",
        f"{run.root} already holds a run. Choose another --output, or add --overwrite to replace it.",
    )


def require_overwrite(path: Path, *, overwrite: bool, what: str) -> None:
    """Stop before a stage's earlier results would be lost."""
    if path.exists() and not overwrite:
        raise RunFolderError("run.stage_done", f"{path} already holds {what}. Add --overwrite to replace it.")


def check_trained_settings(session: Session, *, apart_from: Collection[str] = ()) -> None:
    """Stop when a setting that the model was trained with has another value now; it could not be honoured."""
    run = session.run
    run.require(run.training, stage="train")
    trained = load(run.require(run.trained_recipe, stage="train"), {}, [])
    changed = changed_settings(
        trained.recipe,
        session.recipe,
        sections=TRAINED,
        apart_from=(*PLACE_OF_WORK, *TOLD, *FOUND_BY_HASH, *apart_from),
    )
    if changed:
        raise RunFolderError(
            "run.settings_changed",
            f"{run.model} was trained with different settings: {', '.join(changed)}. Train with the new"
            " values in another run folder, or leave them out.",
        )


def is_given(what: Gives, recipe: Recipe) -> bool:
    """Tell whether a model that was trained by a recipe gives answers, or labels."""
    return recipe.objective.gives == what


def require_answers(session: Session) -> None:
    """Stop where an answer in words is wanted of a model that gives labels."""
    if not is_given("answers", session.recipe):
        root, objective = session.run.root, session.recipe.objective
        raise RecipeError(
            "run.is_a_classification",
            f"{root} was trained for {objective.task}, so its model writes no answers. Use `tutelage"
            f" {objective.command} {root}`.",
        )


def check_unused_settings(session: Session, *, command: str, honoured: Collection[str] = ()) -> None:
    """Stop when a setting differs from the run's own, though the command has no use for it.

    What the run knows by its hash may be named again: who opens it compares the hash.
    """
    own = load(session.run.recipe, {}, [])
    changed = changed_settings(own.recipe, session.recipe, apart_from=(*honoured, *FOUND_BY_HASH))
    if changed:
        raise RecipeError(
            "settings.fixed_by_run",
            f"`tutelage {command}` cannot change {', '.join(changed)}, because it uses the run as it is."
            " Leave the setting out, or repeat the stage that it belongs to.",
        )


def require_checkpoint(run: RunFolder) -> None:
    """Stop where the step of a run has no checkpoint, or one that is not as it was written."""
    if run.step is None:
        return
    steps = run.saved_steps()
    if run.step not in steps:
        kept = f"It has the steps {', '.join(map(str, steps))}" if steps else "None is"
        raise RunFolderError(
            "run.no_such_checkpoint",
            f"{run.checkpoints} holds no checkpoint of step {run.step}. {kept}; training.save_total_limit"
            " sets how many are kept.",
        )
    damage = find_damage(run.weights)
    if damage:
        raise StorageError(
            "run.checkpoint_damaged",
            f"{run.weights} is damaged ({damage}). Restore it from a copy, or choose another step.",
        )


def require_positive(**counts: int | None) -> None:
    """Stop at a count, given by the name of its option, that asks for nothing."""
    for name, value in counts.items():
        if value is not None and value < 1:
            raise RecipeError(
                "cli.value_out_of_range",
                f"--{name.replace('_', '-')} is {value}, but it must be at least 1.",
            )
