"""Whether a run is what it was when it was made: its files by their hashes, its training by doing some of it again."""

from dataclasses import dataclass
from pathlib import Path

from tutelage.errors import RunFolderError, StorageError
from tutelage.run.artifacts import Preparation, TrainingResult, read_artifact
from tutelage.run.folder import RunFolder
from tutelage.stages.base_model import check_base_model
from tutelage.stages.resume import Earlier, note_other_machine
from tutelage.stages.session import Session
from tutelage.stages.train import load_for_run
from tutelage.system.storage import MANIFEST, file_sha256, find_damage


@dataclass(frozen=True)
class FilesFound:
    """For each folder and file what it was found to be, and what is damaged."""

    rows: list[list[str]]
    damaged: list[str]


@dataclass(frozen=True)
class Replayed:
    """From which step to which weights and optimizer came out the same to the bit, as the checkpoint has them."""

    first: int
    last: int
    checkpoint: Path


def compare_files(session: Session) -> FilesFound:
    """Compare every folder with its manifest, and the model with the checkpoint that it was taken from."""
    with session.reporter.waiting("Hashing the files"):
        return _compare_files(session)


def check_run_files(run: RunFolder, found: FilesFound) -> None:
    """Stop where a file of a run is not what it was."""
    if found.damaged:
        raise StorageError(
            "run.file_changed",
            f"{run.root} has changed since it was written: {'; '.join(found.damaged)}. Restore these files"
            f" from a copy, or repeat the run: `tutelage run {run.root} --new`.",
        )


def _compare_files(session: Session) -> FilesFound:
    run = session.run
    rows: list[list[str]] = []
    damaged: list[str] = []
    checkpoints = [run.checkpoint(step) for step in run.saved_steps()]
    evaluations = [RunFolder(run.root, step).evaluation for step in (None, *run.evaluated_steps())]
    for folder in (run.data, *checkpoints, run.model, *evaluations):
        if folder.exists():
            damage = find_damage(folder)
            rows.append([str(folder), damage or f"matches its {MANIFEST}"])
            damaged += [f"{folder}: {damage}"] if damage else []
    best = run.checkpoint(read_artifact(TrainingResult, run.training).best_step)
    for weights in sorted(run.model.glob("*.safetensors")):
        if best.exists():
            is_same = file_sha256(weights) == file_sha256(best / weights.name)
            rows.append([str(weights), f"{'same as' if is_same else 'differs from'} {best.name}"])
            damaged += [] if is_same else [f"{weights} differs from the one in {best}"]
    reference = session.objective.training.reference
    if run.reference.exists() and reference is not None:
        damage = reference.find_damage(run.reference)
        rows.append([str(run.reference), damage or "matches its own hash"])
        damaged += [f"{run.reference}: {damage}"] if damage else []
    return FilesFound(rows, damaged)


def train_again(session: Session, *, from_step: int | None = None) -> Replayed:
    """Train from one checkpoint to the last again, 0 being the untuned model, and compare weights and optimizer.

    The default is the last checkpoint but one. StorageError where something comes out otherwise.
    """
    from tutelage.training.checkpoint import changes_since, fingerprint_of, read_checkpoint
    from tutelage.training.replay import replay

    run, recipe, source = session.run, session.recipe, session.source
    check_base_model(run, source.fingerprint, source.files, adapter=source.adapter_sha256)
    *before, last = _steps(run, from_step)
    begin = read_checkpoint(run.checkpoints, before[-1]) if before and before[-1] else None
    end = read_checkpoint(run.checkpoints, last)
    changed = changes_since(end.fingerprint, fingerprint_of(run.data, recipe, source))
    if changed:
        raise RunFolderError(
            "run.settings_changed",
            f"Changed since {run.root} was trained: {', '.join(changed)}. Revert the change to retrain it.",
        )
    train = session.rows("train")
    splits = {"train": train, "validation": train[:0]}
    earlier = Earlier(end)
    tuned = load_for_run(session, splits, read_artifact(Preparation, run.preparation), earlier)
    part = session.objective.training
    if reference := part.reference_of(recipe):
        with session.reporter.waiting(reference.label):
            tuned = reference.read(run.reference, source, tuned, is_kept=False)
    note_other_machine(session, earlier, tuned.model)
    first = begin.progress.step if begin else 0
    advance = session.reporter.progress("Retraining", last - first)
    different = replay(
        recipe,
        source,
        tuned,
        objective=part.objective(recipe, tuned.training),
        begin=begin,
        end=end,
        advance=advance,
    )
    if different:
        raise StorageError(
            "verify.result_differs",
            f"Retrained from step {first} to step {last}: {', '.join(different)} differ from {end.folder}."
            " With another machine or other package versions the last digits may differ; on the same machine"
            " with the same versions, the run's files do not match its recipe.",
        )
    return Replayed(first, last, end.folder)


def _steps(run: RunFolder, from_step: int | None) -> list[int]:
    """Return the step to begin with and the last one."""
    saved = run.saved_steps()
    if not saved:
        raise RunFolderError(
            "run.no_checkpoint", f"{run.checkpoints} holds no checkpoint, so there is nothing to retrain."
        )
    begins = [0, *saved[:-1]]
    begin = begins[-1] if from_step is None else from_step
    if begin not in begins:
        raise RunFolderError(
            "run.no_such_checkpoint",
            f"{run.checkpoints} holds no checkpoint of step {begin} before its last one. Set --from-step to"
            f" one of {', '.join(map(str, begins))}.",
        )
    return [begin, saved[-1]]
