"""JSON files that stages pass to each other: each is a type with a format version.

The version increases whenever readers need more or different data. A file of another version is rejected with
the command that writes it again. A value that the rows do not determine is null, and a part that an objective
does not have is absent.
"""

import json
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError

from tutelage.config.recipe import Objective
from tutelage.errors import RunFolderError
from tutelage.run.folder import command_that_writes, reading_faults, write_json
from tutelage.run.validation import Record, describe_fault

Checksums = Literal["verified", "skipped"]
TaskKind = Literal["json", "labels", "numbers", "code", "short_facts", "free_text"]


class Artifact(Record):
    """A JSON file, with its format version first."""

    format: int

    def to_record(self) -> dict[str, Any]:
        return {"format": self.format, **super().to_record()}


Kind = TypeVar("Kind", bound=Artifact)


def write_artifact(path: Path, artifact: Artifact) -> None:
    """Write an artifact atomically."""
    write_json(path, artifact.to_record())


def read_artifact(kind: type[Kind], path: Path) -> Kind:
    """Read an artifact; raise RunFolderError if it is damaged, naming the field, or has another format version."""
    with reading_faults(path):
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError("it does not hold a JSON object")
        try:
            return kind.model_validate(value, strict=True)
        except ValidationError as fault:
            if not _is_of_other_format(fault):
                raise ValueError(f"it {describe_fault(fault)}") from fault
    raise RunFolderError(
        "run.other_version",
        f"{path} was written by a different version of Tutelage. Write it again:"
        f" `{command_that_writes(path)}`.",
    )


def _is_of_other_format(fault: ValidationError) -> bool:
    """Return whether a file has another format version, or none and everything else."""
    errors = fault.errors(include_url=False)
    of_format = [error for error in errors if error["loc"] == ("format",)]
    return len(of_format) == len(errors) or any(error["type"] != "missing" for error in of_format)


class RowCounts(Record):
    read: int
    kept: int
    repaired: int
    dropped: int
    train: int
    test: int
    validation: int


class TokenCounts(Record):
    """Token counts of the training rows; `longest` covers all rows."""

    train: int
    supervised: int
    distinct: int
    longest: int


class Note(Record):
    code: str
    message: str


# Display names for the kinds of answers.
KINDS: dict[TaskKind, str] = {
    "json": "JSON",
    "labels": "a few labels",
    "numbers": "numbers",
    "code": "code",
    "short_facts": "short facts",
    "free_text": "free text",
}


class TaskFigures(Record):
    """Statistics of the training answers; `valid_json` to `facts` are shares from 0 to 1.

    `distinct` answers and the share `seen_once` ignore case, and count single labels if answers are lists of
    labels. In Chinese, two characters count as one word.
    """

    answers: int
    valid_json: float
    numbers: float
    code: float
    labels: float
    facts: float
    distinct: int
    seen_once: float
    median_words: float


class TaskChoice(Record):
    """The kind of the training answers, and the metrics chosen for it.

    `sha256` covers all other fields, `references_sha256` the answers that were read.
    """

    kind: TaskKind
    primary_metric: str
    metrics: list[str]
    rule: int
    figures: TaskFigures
    references_sha256: str
    sha256: str


class Preparation(Artifact):
    """data/preparation.json: the inputs of the prepared rows, and their counts."""

    format: Literal[3]
    source: str
    sha256: str
    kind: str
    formats: dict[str, int]
    model: str
    model_sha256: str
    model_files: dict[str, str] = Field(default_factory=dict)
    checksums: Checksums = "verified"
    fingerprints: dict[str, str]
    settings: dict[str, Any]
    objective: Objective
    classes: list[str]
    label_sets: list[list[int]]
    prompt_template: str
    split: str
    end_of_turn: str
    end_of_turn_id: int
    rows: RowCounts
    tokens: TokenCounts
    repeated_prompts: int
    leaks: dict[str, list[int]]
    notes: list[Note]
    task: TaskChoice | None = None  # absent for labels and in older runs


class Losses(Record):
    """Validation losses before and after training, and of the saved weights; null without validation rows."""

    before: float | None
    after: float | None
    best: float | None


class TrainingResult(Artifact):
    """model/training.json: `examples_per_second` counts only steps, `seconds` the whole training."""

    format: Literal[2]
    steps: int
    planned_steps: int
    best_step: int
    examples_per_second: float
    computed_tokens: int
    distinct_tokens: int
    supervised_tokens: int
    max_nodes: int
    seconds: float
    peak_memory_bytes: int
    dtype: str
    fallback_reason: str | None
    fallback_code: str | None = None
    resumed: list[int]
    allowed_changes: list[str]
    trainable_parameters: int
    loss: Losses
    model_files: dict[str, str] = Field(default_factory=dict)
    checksums: Checksums = "verified"


class Environment(Artifact):
    """environment.json: versions and hardware of a training run, without names of users, hosts or folders."""

    format: Literal[1] = 1  # the first files had no format field
    tutelage: str
    python: str
    torch: str
    transformers: str
    peft: str
    tokenizers: str
    numpy: str
    platform: str
    processor: str
    cores: int
    threads: int
    device: str
    dtype: str
    bfloat16_products: str | None = None


class ReferencePart(Record):
    """Log-probabilities (chosen, rejected) of a split's pairs under the base model, in nats."""

    fingerprint: str
    sha256: str
    log_probs: list[list[float]]


class Reference(Artifact):
    """reference.json: log-probabilities of all preference pairs before training."""

    format: Literal[1] = 1  # the first files had no format field
    train: ReferencePart
    validation: ReferencePart
