"""`tutelage verify`: proof that a run is what it was made of."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tutelage.cli import console
from tutelage.cli.base_model import SkipChecksums
from tutelage.cli.opening import opened
from tutelage.cli.options import Debug, Options, open_earlier_run
from tutelage.config.recipe_file import load
from tutelage.errors import RunFolderError, StorageError
from tutelage.run.artifacts import Preparation, TrainingResult, read_artifact
from tutelage.run.folder import RunFolder
from tutelage.stages.resume import Earlier, note_other_machine
from tutelage.stages.session import Session
from tutelage.stages.train import open_model
from tutelage.system.storage import MANIFEST, file_sha256, what_is_damaged


def verify(
    run_folder: Annotated[Path, Parameter(help="The folder of a trained run, for example runs/quickstart.")],
    *,
    from_step: Annotated[
        int | None,
        Parameter(
            help="The checkpoint from which to train again, 0 for the untuned model. Default: the last but one."
        ),
    ] = None,
    skip_checksums: SkipChecksums = False,
    debug: Debug = False,
) -> None:
    """Compare every file of a run with its hash, and train the last steps again; nothing is written."""
    run, own = open_earlier_run(Options(target=run_folder, skip_checksums=skip_checksums, debug=debug))
    trained = load(run.require(run.trained_recipe, stage="train"), {}, [])
    loaded = replace(trained, unchecked=own.unchecked)
    console.heading("Files")
    check_files(run)
    console.say()
    console.heading("Training")
    with opened(run, loaded) as session:
        check_training(session, from_step=from_step)


def check_files(run: RunFolder) -> None:
    """Hold every folder against its manifest, and the model against the checkpoint that it was taken from."""
    with console.waiting("Hashing the files"):
        rows, damaged = _compare_files(run)
    console.table([], rows)
    if damaged:
        raise StorageError(
            "run.file_changed",
            f"{run.root} is not what it was when it was made: {'; '.join(damaged)}. Put these files back from a"
            " copy, or make the run again.",
        )


def _compare_files(run: RunFolder) -> tuple[list[list[str]], list[str]]:
    """Return a line for each folder and file, and what is damaged."""
    from tutelage.training.reference import what_is_damaged_in_reference

    rows: list[list[str]] = []
    damaged: list[str] = []
    checkpoints = [run.checkpoint(step) for step in run.saved_steps()]
    evaluations = [RunFolder(run.root, step).evaluation for step in (None, *run.evaluated_steps())]
    for folder in (run.data, *checkpoints, run.model, *evaluations):
        if folder.exists():
            damage = what_is_damaged(folder)
            rows.append([str(folder), damage or f"as its {MANIFEST} says"])
            damaged += [f"{folder}: {damage}"] if damage else []
    best = run.checkpoint(read_artifact(TrainingResult, run.training).best_step)
    for weights in sorted(run.model.glob("*.safetensors")):
        if best.exists():
            is_same = file_sha256(weights) == file_sha256(best / weights.name)
            rows.append([str(weights), f"{'the same as' if is_same else 'other than'} in {best.name}"])
            damaged += [] if is_same else [f"{weights} is not that of {best}"]
    if run.reference.exists():
        damage = what_is_damaged_in_reference(run)
        rows.append([str(run.reference), damage or "as its own hash says"])
        damaged += [f"{run.reference}: {damage}"] if damage else []
    return rows, damaged


def check_training(session: Session, *, from_step: int | None) -> None:
    """Train from one checkpoint to the last again, and compare weights and optimiser."""
    from tutelage.data.dataset.model_files import refuse_other_model
    from tutelage.data.dataset.preparation import read_prepared
    from tutelage.training.checkpoint import changes_since, identity_of, read_checkpoint
    from tutelage.training.reference import needs_reference, with_reference
    from tutelage.training.replay import replay

    run, recipe, source = session.run, session.recipe, session.source
    refuse_other_model(run, source.identity, source.files)
    *before, last = _steps(run, from_step)
    begin = read_checkpoint(run, before[-1]) if before and before[-1] else None
    end = read_checkpoint(run, last)
    changed = changes_since(end.identity, identity_of(run, recipe, source))
    if changed:
        raise RunFolderError(
            "run.settings_changed",
            f"{run.root} was made with other: {', '.join(changed)}. Put it back as it was to train it again.",
        )
    train = read_prepared(run, "train")
    splits = {"train": train, "validation": train[:0]}
    earlier = Earlier(end)
    tuned = open_model(session, splits, read_artifact(Preparation, run.preparation), earlier)
    if needs_reference(recipe):
        with console.waiting("Reading both answers of each pair"):
            tuned = with_reference(run, source, tuned, is_kept=False)
    note_other_machine(session, earlier, tuned.model)
    first = begin.progress.step if begin else 0
    with console.progress("Training again", last - first) as advance:
        different = replay(
            recipe, source, tuned, begin=begin, end=end, advance=lambda steps: advance(steps, "")
        )
    if different:
        raise StorageError(
            "verify.result_differs",
            f"Trained again from step {first} to step {last}, {', '.join(different)} came out otherwise than in"
            f" {end.folder}. On another machine or other versions the last digits may differ; on the same, the run"
            " is not what it was made of.",
        )
    console.say(
        f"Trained again from step {first} to step {last}: weights and optimiser are the same to the bit as in"
        f" {end.folder}."
    )


def _steps(run: RunFolder, from_step: int | None) -> list[int]:
    """Return the step to begin with and the last one."""
    saved = run.saved_steps()
    if not saved:
        raise RunFolderError(
            "run.no_checkpoint", f"{run.checkpoints} holds no checkpoint, so nothing can be trained again."
        )
    begins = [0, *saved[:-1]]
    begin = begins[-1] if from_step is None else from_step
    if begin not in begins:
        raise RunFolderError(
            "run.no_such_checkpoint",
            f"{run.checkpoints} holds no checkpoint of step {begin} before its last. Give --from-step one of"
            f" {', '.join(map(str, begins))}.",
        )
    return [begin, saved[-1]]
