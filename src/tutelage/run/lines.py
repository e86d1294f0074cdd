"""Read the JSONL files of a run line by line, and validate each line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tutelage.run.folder import SETS, SPLITS, reading_faults
from tutelage.run.validation import Record, describe_fault


class PreparedLine(Record):
    row: int
    prompt: str
    response: str
    tokens: int
    supervised: int


class AnswerLine(Record):
    row: int
    prompt: str
    reference: str
    response: str
    response_tokens: int
    stopped: bool
    reference_log_prob: float
    reference_bytes: int


class ScoreLine(Record):
    """Scores by metric; `cluster` is the first row of its near-duplicates."""

    row: int
    cluster: int
    base: dict[str, float]
    tuned: dict[str, float]


class PairLogProbs(Record):
    chosen: float
    rejected: float


class PreferenceLine(Record):
    """A pair with the log-probabilities, in nats, of its answers under both models."""

    row: int
    chosen: str
    rejected: str
    margin: float
    is_tie: bool
    base: PairLogProbs
    tuned: PairLogProbs


class PredictionLine(Record):
    row: int
    text: str
    label: str
    predicted: str
    probabilities: dict[str, float]


class JudgedLine(Record):
    """An answer labelled as desirable or not, with its log-probability, in nats, under both models."""

    row: int
    prompt: str
    answer: str
    label: bool
    reward: float
    base: float
    tuned: float


class JudgementLine(Record):
    judge: str
    row: int
    kind: str
    responses: list[Any]


class PassageLine(Record):
    passage: int
    sha256: str
    base: float
    tuned: float


class LedgerLine(Record):
    row: int
    outcome: str
    reasons: list[Any]


class EventLine(Record):
    event: str


class StepLine(EventLine):
    step: int


class LossLine(StepLine):
    loss: float


class SampleLine(StepLine):
    row: int
    prompt: str
    reference: str
    response: str


LINES: Mapping[str, type[Record]] = {
    "ledger.jsonl": LedgerLine,
    "base.jsonl": AnswerLine,
    "tuned.jsonl": AnswerLine,
    "scores.jsonl": ScoreLine,
    "preferences.jsonl": PreferenceLine,
    "predictions.jsonl": PredictionLine,
    "judged.jsonl": JudgedLine,
    "judgements.jsonl": JudgementLine,
    "passages.jsonl": PassageLine,
}
EVENTS: Mapping[Any, type[EventLine]] = {
    "step": LossLine,
    "validation": LossLine,
    "sample": SampleLine,
    **dict.fromkeys(("memory", "unsaved", "stopped_early", "checksums_skipped", "estimate"), StepLine),
}


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read a JSONL file; raise RunFolderError if a line is not JSON or lacks required fields."""
    # str.splitlines would also split at U+2028 and similar characters, which are not escaped in texts.
    with reading_faults(path):
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        for number, record in enumerate(records, start=1):
            _check_line(path, record, where=f"line {number}")
        return records


def parse_json_line(path: Path, line: bytes) -> dict[str, Any]:
    """Parse one line of a JSONL file, with the same checks as `read_json_lines`."""
    with reading_faults(path):
        record = json.loads(line)
        _check_line(path, record, where="a line")
        return record


def _check_line(path: Path, line: Any, *, where: str) -> None:
    """Raise ValueError if a line lacks required fields; `where` begins the message."""
    kind = _kind_of(path, line)
    if kind is None:
        return
    if not isinstance(line, dict):
        raise ValueError(f"{where} does not hold a JSON object")
    try:
        kind.model_validate(line, strict=True)
    except ValidationError as fault:
        raise ValueError(f"{where} {describe_fault(fault)}") from fault


def _kind_of(path: Path, line: Any) -> type[Record] | None:
    """Return the type of a line, or None if nothing is required."""
    if path.parent.name == SETS:  # Users choose these names, so they say nothing about the lines.
        return None
    if path.name == "events.jsonl":
        return EVENTS.get(str(line.get("event")), EventLine) if isinstance(line, dict) else EventLine
    split, *_ = path.name.split(".")  # An answer's name may follow.
    return PreparedLine if split in SPLITS else LINES.get(path.name)
