"""Events that stages report while they work: one type each, written as one line of events.jsonl.

Fields that only listeners in the same process can use are not written.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from tutelage.run.artifacts import Preparation, RowCounts, TokenCounts
from tutelage.run.validation import Record

FORMAT = 2  # of the lines; increases whenever readers need different data
Stage = Literal["prepare", "train", "evaluate", "judge", "report", "export"]
Level = Literal["note", "warning"]


class Event(Record):
    """Something that happened; `event` is its name."""

    event: ClassVar[str]
    is_logged: ClassVar[bool] = True

    def to_record(self) -> dict[str, Any]:
        """Return the object for its line in events.jsonl."""
        return {"event": self.event, **self.model_dump(mode="json", exclude_unset=True)}


Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Ignore all events."""


def now() -> str:
    """Return the time in UTC, in the format of events."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class StageStarted(Event):
    event: ClassVar[str] = "stage_started"
    stage: Stage
    time: str = Field(default_factory=now)
    format: int = FORMAT

    def to_record(self) -> dict[str, Any]:
        return {"event": self.event, **self.model_dump(mode="json")}


class StageFinished(Event):
    """`result` is the return value of the stage's function."""

    event: ClassVar[str] = "stage_finished"
    stage: Stage
    seconds: float
    result: Any = Field(default=None, exclude=True)


class StageFailed(Event):
    """The stage ended with an error, or was interrupted (code run.interrupted)."""

    event: ClassVar[str] = "stage_failed"
    stage: Stage
    code: str
    message: str


class StageSkipped(Event):
    """An earlier command already completed the stage; `path` has its results."""

    event: ClassVar[str] = "stage_skipped"
    is_logged: ClassVar[bool] = False
    stage: Stage
    path: Path


class Message(Event):
    """A note or warning that does not stop the stage."""

    event: ClassVar[str] = "message"
    level: Level
    code: str
    text: str


class Waiting(Event):
    """Something of unknown duration begins."""

    event: ClassVar[str] = "waiting"
    label: str


class Waited(Event):
    """What the stage was waiting for is done."""

    event: ClassVar[str] = "waited"
    is_logged: ClassVar[bool] = False


class CostReported(Event):
    """The expected or actual cost of a judge."""

    event: ClassVar[str] = "cost"
    text: str


class LocatingModel(Event):
    """The base model is being downloaded, converted or hashed, as the label says."""

    event: ClassVar[str] = "locating_model"
    label: str


class Advanced(Event):
    """Progress of a task; the total is null if unknown."""

    event: ClassVar[str] = "advanced"
    label: str
    done: int
    total: int | None


class Prepared(Event):
    """The rows have been read, checked, split and rendered."""

    event: ClassVar[str] = "prepared"
    rows: RowCounts
    tokens: TokenCounts
    preparation: Preparation = Field(exclude=True)


class Resumed(Event):
    """Training resumes from a checkpoint; `allowed` lists what changed since it was saved."""

    event: ClassVar[str] = "resumed"
    step: int
    checkpoint: Path
    allowed: list[str]


class ChangesAllowed(Event):
    """Training starts although something changed since the rows were prepared."""

    event: ClassVar[str] = "changes_allowed"
    allowed: list[str]


class TrainingPlanned(Event):
    """`steps` is the planned number of steps, and `step` the number already done."""

    event: ClassVar[str] = "training_planned"
    steps: int
    step: int
    dtype: str
    device: str
    objective: str = Field(exclude=True)


class Trial(Record):
    """A shorter run of the same recipe."""

    seconds: float
    settings: dict[str, Any]
    command: str


class Estimated(Event):
    """Estimated seconds for the rest of the run, by stage; `pace` is the measurement behind it."""

    event: ClassVar[str] = "estimate"
    step: int
    seconds: float
    training_seconds: float
    evaluation_seconds: float
    report_seconds: float
    pace: dict[str, Any]
    steps: int
    may_stop_early: bool
    judges_counted: bool
    trial: Trial | None = None


class ChecksumsSkipped(Event):
    """The base model of a training was not hashed."""

    event: ClassVar[str] = "checksums_skipped"
    step: int


# The field of a step and a validation with the share of supervised tokens that are predicted correctly, if it is known.
MEAN_TOKEN_ACCURACY = "mean_token_accuracy"


class StepTaken(Event):
    """One optimizer step; objectives add their own fields."""

    model_config = ConfigDict(extra="allow")
    event: ClassVar[str] = "step"
    step: int
    epoch: float
    learning_rate: float
    loss: float


class Validated(Event):
    """Mean values over the validation rows; objectives add their own fields."""

    model_config = ConfigDict(extra="allow")
    event: ClassVar[str] = "validation"
    step: int
    loss: float


class SampleAnswered(Event):
    event: ClassVar[str] = "sample"
    step: int
    row: int
    prompt: str
    reference: str
    response: str


class TreesShrunk(Event):
    """A step ran out of memory; from now on, trees have at most `max_nodes` tokens."""

    event: ClassVar[str] = "memory"
    step: int
    max_nodes: int


class CheckpointNotSaved(Event):
    event: ClassVar[str] = "unsaved"
    step: int
    reason: str


class StoppedEarly(Event):
    event: ClassVar[str] = "stopped_early"
    step: int
    planned_steps: int
