"""Whether the base model is, file for file, the one that a run was prepared with."""

from collections.abc import Mapping

from tutelage.errors import RunFolderError
from tutelage.run.artifacts import Preparation, TrainingResult, read_artifact
from tutelage.run.folder import RunFolder


def changed_model_files(
    run: RunFolder, files: Mapping[str, str], *, since_prepare: bool = False
) -> list[str]:
    """Return the names of the base model's files that are not as the run recorded them.

    `files` are their SHA-256 now; none where the model was converted, or nothing was hashed. A training that went on
    with changed files, which were allowed, has recorded those; with `since_prepare` only the preparation counts.
    """
    recorded = read_artifact(Preparation, run.require(run.preparation, stage="prepare")).model_files
    if run.training.is_file() and not since_prepare:
        recorded = read_artifact(TrainingResult, run.training).model_files or recorded
    if not files or not recorded:
        return []
    return sorted(name for name in {*files, *recorded} if files.get(name) != recorded.get(name))


def changed_beside_weights(
    run: RunFolder, files: Mapping[str, str], *, since_prepare: bool = False
) -> list[str]:
    """Return what `changed_model_files` does without the weights, which have an identity of their own."""
    changed = changed_model_files(run, files, since_prepare=since_prepare)
    return [name for name in changed if not name.endswith(".safetensors")]


def check_base_model(run: RunFolder, weights: str, files: Mapping[str, str], *, adapter: str | None) -> None:
    """Stop when the base model, or the adapter on it, is no longer the one that the run began with, to the byte."""
    prepared = read_artifact(Preparation, run.require(run.preparation, stage="prepare"))
    began_with = prepared.model_sha256
    if adapter != prepared.fingerprints.get("adapter"):
        raise RunFolderError(
            "run.starting_adapter_changed",
            f"The adapter in model.adapter is not the one that {run.root} started with. Restore it; if it"
            " was moved, give its new path in the same command: --set model.adapter=PATH; or start a new"
            f" run: `tutelage run {run.root} --new`.",
        )
    changed = changed_beside_weights(run, files)
    if weights == began_with and changed:
        raise RunFolderError(
            "run.base_model_changed",
            f"The base model is not the one that {run.root} started with: {', '.join(changed)} changed."
            f" Restore the old files, or start a new run: `tutelage run {run.root} --new`.",
        )
    if weights != began_with:
        raise RunFolderError(
            "run.base_model_changed",
            f"The base model is not the one that {run.root} started with (SHA-256 {weights[:12]}…, was"
            f" {began_with[:12]}…). Restore the old weights, or start a new run: `tutelage run {run.root}"
            " --new`.",
        )
