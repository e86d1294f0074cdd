"""How a run goes on with what an earlier call left unfinished, and what it refuses to go on with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tutelage.config.recipe_file import changed_settings, check
from tutelage.errors import RunFolderError
from tutelage.run.artifacts import Preparation, read_artifact
from tutelage.run.events import ChangesAllowed, Resumed
from tutelage.run.folder import RunFolder, reading_faults
from tutelage.stages.base_model import changed_beside_weights
from tutelage.stages.functions import changed_format
from tutelage.stages.session import Session

if TYPE_CHECKING:
    from tutelage.model.forward import CausalModel
    from tutelage.training.checkpoint import Checkpoint


@dataclass(frozen=True)
class Earlier:
    """The checkpoint that a training goes on from, None to begin; and what changed since, which was allowed."""

    checkpoint: "Checkpoint | None" = None
    allowed: Sequence[str] = ()


BEGINNING = Earlier()


def is_finished(run: RunFolder) -> bool:
    """Tell whether all stages of a run are done; one without test rows has no evaluation."""
    if not (run.training.exists() and run.summary.exists() and run.report.exists()):
        return False
    return run.metrics.exists() or not read_artifact(Preparation, run.preparation).rows.test


def changes_of_preparation(session: Session) -> list[str]:
    """Name what is not as it was when the rows of the run were prepared."""
    run, inputs = session.run, session.inputs
    prepared = read_artifact(Preparation, run.preparation)
    with reading_faults(run.preparation):
        before = check(prepared.settings, {})
    changed = changed_settings(before, session.recipe, sections=("data", "model"))
    changed += changed_format(run, inputs.functions.row_format)
    if inputs.find_data().sha256 != prepared.sha256:
        changed.append(f"the data in {session.recipe.data.source}")
    if inputs.source.fingerprint != prepared.model_sha256:
        changed.append("the base weights")
    if inputs.source.adapter_sha256 != prepared.fingerprints.get("adapter"):
        changed.append("the starting adapter")
    return [*changed, *(f"the model's {name}" for name in changed_beside_weights(run, inputs.source.files))]


def check_preparation_unchanged(run: RunFolder, changed: Sequence[str], *, is_allowed: bool) -> None:
    """Stop where rows were prepared from something else, unless that is allowed while it can still be trained on."""
    if changed and run.training.exists():
        raise RunFolderError(
            "run.settings_changed",
            f"Changed since {run.root} was trained: {', '.join(changed)}. Revert the change, or start a new"
            " run with --new.",
        )
    if changed and not is_allowed:
        raise RunFolderError(
            "run.settings_changed",
            f"Changed since the unfinished run in {run.root} started: {', '.join(changed)}. Revert the"
            " change, add --allow-changes to resume anyway (the run records it), or start a new run with"
            " --new.",
        )


def earlier_training(session: Session, *, is_allowed: bool) -> Earlier:
    """Return where the training of a run stands, and report it; RunFolderError where something changed since."""
    run, reporter = session.run, session.reporter
    if not run.saved_steps() and not run.quarantine.exists():
        return BEGINNING
    from tutelage.training.checkpoint import check_changes, find_checkpoint, fingerprint_of

    checkpoint = find_checkpoint(
        run.checkpoints,
        quarantine=run.quarantine,
        root=run.root,
        tell=lambda message: reporter.warn(message.code, message.text),
    )
    if checkpoint is None:
        return BEGINNING
    now = fingerprint_of(run.data, session.recipe, session.source)
    allowed = check_changes(checkpoint, now, root=run.root, is_allowed=is_allowed)
    step = checkpoint.progress.step
    reporter.emit(Resumed(step=step, checkpoint=checkpoint.folder, allowed=list(allowed)))
    return Earlier(checkpoint, allowed)


def begins_with_changes(session: Session, of_model: Sequence[str]) -> Earlier:
    """Return where a training from the beginning stands; files of the model that changed since prepare are allowed."""
    allowed = [f"the model's {name}" for name in of_model]
    if allowed:
        session.reporter.emit(ChangesAllowed(allowed=allowed))
    return Earlier(allowed=allowed)


def note_other_machine(session: Session, earlier: Earlier, model: "CausalModel") -> None:
    """Report where the training cannot go on to the bit, because something else computes it."""
    if earlier.checkpoint is None:
        return
    from tutelage.training.checkpoint import machine_of

    before, now = earlier.checkpoint.machine, machine_of(model)
    other = [
        f"{name} (was {before.get(name)}, now {now[name]})" for name in now if before.get(name) != now[name]
    ]
    if other:
        session.reporter.note(
            "run.other_machine",
            f"resumed with a different {', '.join(other)}. The examples and their order are the same, but"
            " the last digits of the weights may differ.",
        )
