"""What the stages of a run report while they work: one type for each event, and each is one line of events.jsonl.

A field that only a listener in the same process can use is left out of the line.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from tutelage.run.artifacts import Preparation, RowCounts, TokenCounts
from tutelage.run.validation import Record

FORMAT = 2  # of the lines; it rises whenever a reader needs something else than before
Stage = Literal["prepare", "train", "evaluate", "judge", "report", "export"]
Level = Literal["note", "warning"]


class Event(Record):
    """One thing that happened; `event` names its kind."""

    event: ClassVar[str]
    is_logged: ClassVar[bool] = True

    def to_record(self) -> dict[str, Any]:
        """Return the object that stands in its line of events.jsonl."""
        return {"event": self.event, **self.model_dump(mode="json", exclude_unset=True)}


Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Listen to nothing."""


def now() -> str:
    """Return the time in UTC, as events have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class StageStarted(Event):
    event: ClassVar[str] = "stage_started"
    stage: Stage
    time: str = Field(default_factory=now)
    format: int = FORMAT

    def to_record(self) -> dict[str, Any]:
        return {"event": self.event, **self.model_dump(mode="json")}


class StageFinished(Event):
    """`result` is what the function of the stage returns."""

    event: ClassVar[str] = "stage_finished"
    stage: Stage
    seconds: float
    result: Any = Field(default=None, exclude=True)


class StageFailed(Event):
    """The stage ended with an error, or, with the code run.interrupted, because it was asked to."""

    event: ClassVar[str] = "stage_failed"
    stage: Stage
    code: str
    message: str


class StageSkipped(Event):
    """An earlier command did the stage already; `path` is where its results are."""

    event: ClassVar[str] = "stage_skipped"
    is_logged: ClassVar[bool] = False
    stage: Stage
    path: Path


class Message(Event):
    """Something that a person should know, though the stage goes on."""

    event: ClassVar[str] = "message"
    level: Level
    code: str
    text: str


class Waiting(Event):
    """Something of unknown length begins."""

    event: ClassVar[str] = "waiting"
    label: str


class Waited(Event):
    """What was waited for is there."""

    event: ClassVar[str] = "waited"
    is_logged: ClassVar[bool] = False


class CostReported(Event):
    """What a judge may cost, or cost."""

    event: ClassVar[str] = "cost"
    text: str


class LocatingModel(Event):
    """The base model is being fetched, converted or hashed; the label says which."""

    event: ClassVar[str] = "locating_model"
    label: str


class Advanced(Event):
    """So much of something is done; the total is null where it is unknown."""

    event: ClassVar[str] = "advanced"
    label: str
    done: int
    total: int | None


class Prepared(Event):
    """The rows are read, checked, split and rendered."""

    event: ClassVar[str] = "prepared"
    rows: RowCounts
    tokens: TokenCounts
    preparation: Preparation = Field(exclude=True)


class Resumed(Event):
    """A training goes on from a checkpoint; `allowed` names what changed since it was written."""

    event: ClassVar[str] = "resumed"
    step: int
    checkpoint: Path
    allowed: list[str]


class ChangesAllowed(Event):
    """A training begins although something changed since the rows were prepared."""

    event: ClassVar[str] = "changes_allowed"
    allowed: list[str]


class TrainingPlanned(Event):
    """`steps` is the number of the last step of the plan, and `step` how many are finished."""

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
    """How many seconds the rest of the run takes, by stage; `pace` is what was measured."""

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


class StepTaken(Event):
    """One optimizer step; an objective adds figures of its own."""

    model_config = ConfigDict(extra="allow")
    event: ClassVar[str] = "step"
    step: int
    epoch: float
    learning_rate: float
    loss: float


class Validated(Event):
    """The means over the validation rows after a step; an objective adds figures of its own."""

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
    """A step did not fit into memory; from here on a tree has at most `max_nodes` tokens."""

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
