"""Gathers the results of a run into summary.json, the part that other programs may rely on."""

from dataclasses import dataclass
from typing import Any

from tutelage.run.artifacts import RowCounts, TrainingResult
from tutelage.run.evaluation import Evaluation
from tutelage.run.folder import SPLITS
from tutelage.run.judges import Judges

FOR_STAGES = ("format", "loss", "model_files")  # of model/training.json; the losses stand by themselves


@dataclass(frozen=True)
class Summary:
    """What the stages of a run found; None of a stage that has not run."""

    rows: RowCounts | None = None
    training: TrainingResult | None = None
    evaluation: Evaluation | None = None
    judges: Judges | None = None

    def to_record(self) -> dict[str, Any]:
        """Return the contents of summary.json; parts whose stage has not run are absent."""
        record: dict[str, Any] = {}
        if self.rows is not None:
            record["rows"] = {split: getattr(self.rows, split) for split in SPLITS}
        if self.training is not None:
            figures = self.training.to_record()
            record["loss"] = {"validation": self.training.loss.to_record()}
            record["training"] = {name: value for name, value in figures.items() if name not in FOR_STAGES}
        if self.evaluation is not None:
            judged = {} if self.judges is None else {"judges": self.judges.to_record()["judges"]}
            record["evaluation"] = self.evaluation.to_record() | judged
        return record
