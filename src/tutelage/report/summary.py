"""Gathers the results of a run into summary.json, the part that other programs may rely on."""

from typing import Any

from tutelage.run.artifacts import Preparation, read_artifact
from tutelage.run.folder import SPLITS, RunFolder, read_json


def summarise(run: RunFolder) -> dict[str, Any]:
    """Return the contents of summary.json; parts whose stage has not run are absent."""
    return {**_rows(run), **_training(run), **_evaluation(run)}


def _rows(run: RunFolder) -> dict[str, Any]:
    if not run.preparation.exists():
        return {}
    counts = read_artifact(Preparation, run.preparation).rows
    return {"rows": {split: getattr(counts, split) for split in SPLITS}}


def _training(run: RunFolder) -> dict[str, Any]:
    if not run.training.exists():
        return {}
    training = read_json(run.training)
    loss = training.pop("loss")
    training.pop("model_files", None)  # hashes for the stages, and nothing for a reader
    return {"loss": {"validation": loss}, "training": training}


def _evaluation(run: RunFolder) -> dict[str, Any]:
    if not run.metrics.exists():
        return {}
    judged = {"judges": read_json(run.judges)["judges"]} if run.judges.exists() else {}
    return {"evaluation": read_json(run.metrics) | judged}
