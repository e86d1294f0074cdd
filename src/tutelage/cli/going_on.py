"""How `run` and `train` go on with what an earlier call left unfinished."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from tutelage.cli import console
from tutelage.cli.opening import locate, open_data
from tutelage.config.recipe_file import LoadedRecipe, changed_settings, check
from tutelage.errors import RunFolderError
from tutelage.run.artifacts import Preparation, read_artifact
from tutelage.run.folder import RunFolder, reading_faults

AcceptChanges = Annotated[
    bool,
    Parameter(
        help="Go on with an unfinished training though data, model or settings changed; it is recorded.",
        negative="",
        show_default=False,
    ),
]
Fresh = Annotated[
    bool,
    Parameter(
        help="Leave an earlier run as it is, and begin a new one in a folder beside it.",
        negative="",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Earlier:
    """The Checkpoint that a training goes on from, None to begin; and what changed since, which was accepted."""

    checkpoint: Any = None
    accepted: Sequence[str] = ()


def is_finished(run: RunFolder) -> bool:
    """Tell whether all stages of a run are done; one without test rows has no evaluation."""
    if not (run.training.exists() and run.summary.exists() and run.report.exists()):
        return False
    return run.metrics.exists() or not read_artifact(Preparation, run.preparation).rows.test


def changes_of_preparation(run: RunFolder, loaded: LoadedRecipe) -> list[str]:
    """Name what is not as it was when the rows of the run were prepared."""
    from tutelage.data.dataset.model_files import changed_beside_weights

    prepared = read_artifact(Preparation, run.preparation)
    with reading_faults(run.preparation):
        before = check(prepared.settings, {})
    changed = changed_settings(before, loaded.recipe, sections=("data", "model"))
    if open_data(loaded.recipe).sha256 != prepared.sha256:
        changed.append(f"the data in {loaded.recipe.data.source}")
    source = locate(loaded)
    if source.identity != prepared.model_sha256:
        changed.append("the base weights")
    return [*changed, *(f"the model's {name}" for name in changed_beside_weights(run, source.files))]


def refuse_changes_of_preparation(run: RunFolder, changed: Sequence[str], *, is_accepted: bool) -> None:
    """Stop where rows were prepared from something else, unless that is accepted while it can still be trained on."""
    if changed and run.training.exists():
        raise RunFolderError(
            "run.settings_changed",
            f"{run.root} holds a model that was trained with other: {', '.join(changed)}. Put it back as it was, or add"
            " --fresh to begin a new run beside it.",
        )
    if changed and not is_accepted:
        raise RunFolderError(
            "run.settings_changed",
            f"{run.root} holds an unfinished run that began with other: {', '.join(changed)}. Put it back as it was,"
            " add --accept-changes to go on all the same, which is recorded, or --fresh to begin a new run beside it.",
        )


def earlier_training(run: RunFolder, loaded: LoadedRecipe, *, is_accepted: bool) -> Earlier:
    """Return where the training of a run stands, and say it; RunFolderError where something changed since."""
    if not run.saved_steps() and not run.quarantine.exists():
        return Earlier()
    from tutelage.training.checkpoint import find_checkpoint, identity_of, refuse_changes

    checkpoint = find_checkpoint(run, tell=console.warn)
    if checkpoint is None:
        return Earlier()
    now = identity_of(run, loaded.recipe, locate(loaded))
    accepted = refuse_changes(checkpoint, now, root=run.root, is_accepted=is_accepted)
    console.say(f"Going on after step {checkpoint.progress.step}, as {checkpoint.folder} has it.")
    for change in accepted:
        console.say(f"Changed since, and accepted: {change}.")
    return Earlier(checkpoint, accepted)


def begins_with_changes(of_model: Sequence[str]) -> Earlier:
    """Return where a training from the beginning stands; files of the model that changed since prepare are accepted."""
    accepted = [f"the model's {name}" for name in of_model]
    for change in accepted:
        console.say(f"Changed since the rows were prepared, and accepted: {change}.")
    return Earlier(accepted=accepted)


def tell_other_machine(earlier: Earlier, model: Any) -> None:
    """Say where the training cannot go on to the bit, because something else computes it."""
    if earlier.checkpoint is None:
        return
    from tutelage.training.checkpoint import machine_of

    before, now = earlier.checkpoint.machine, machine_of(model)
    other = [
        f"{name} (was {before.get(name)}, now {now[name]})" for name in now if before.get(name) != now[name]
    ]
    if other:
        console.note(
            "run.other_machine",
            f"another {', '.join(other)}. The same examples follow in the same order, but the last digits of the"
            " weights may differ.",
        )
