"""What the stages of a run left: all that the page shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.report.summary import Summary
from tutelage.run.artifacts import Environment, Preparation
from tutelage.run.history import History
from tutelage.run.judges import Judges

Lines = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class RunResults:
    """The artifacts of the run in `root`, None or no lines of a stage that has not run.

    `checkpoints` are the steps whose checkpoint is in the folder. `base`, `tuned` and `scores` are the lines of an
    evaluation of answers; `judgements` are of the test rows alone.
    """

    root: Path
    recipe: str  # the text of recipe.toml
    history: History
    preparation: Preparation
    ledger: Lines
    train: PreparedRows
    environment: Environment | None
    events: Lines
    checkpoints: Sequence[int]
    summary: Summary
    base: Lines
    tuned: Lines
    scores: Lines
    judges: Judges | None
    judgements: Lines
