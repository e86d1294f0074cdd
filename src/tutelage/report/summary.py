"""Gathers the results of a run into summary.json, the part that other programs may rely on."""

from typing import Any

from tutelage.run.artifacts import Preparation, TrainingResult, read_artifact
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
    training = read_artifact(TrainingResult, run.training)
    figures = training.to_record()
    for for_stages in ("format", "loss", "model_files"):
        figures.pop(for_stages, None)
    return {"loss": {"validation": training.loss.to_record()}, "training": figures}


def _evaluation(run: RunFolder) -> dict[str, Any]:
    if not run.metrics.exists():
        return {}
    judged = {"judges": read_json(run.judges)["judges"]} if run.judges.exists() else {}
    return {"evaluation": read_json(run.metrics) | judged}
