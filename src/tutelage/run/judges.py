"""evaluation/judges.json: each judge's results for both models, and whether they are trustworthy."""

from typing import Literal

from pydantic import Field

from tutelage.run.artifacts import Artifact, Note
from tutelage.run.figures import PairedFigures, VerdictWord
from tutelage.run.validation import Record


class CheckFigures(Record):
    name: str
    label: str
    value: float | None
    wanted: str
    n: int
    passed: bool


class SelfTestFigures(Record):
    passed: bool
    checks: list[CheckFigures]
    fault: Note | None


class ScoreFigures(Record):
    base: float | None
    tuned: float | None
    difference: float | None
    low: float | None
    high: float | None
    minimum_detectable_effect: float | None
    higher: int
    equal: int
    lower: int


class ScoreBounds(Record):
    """The difference if all missing scores were worst, or best, for the tuned model."""

    worst: float | None
    best: float | None


class PreferenceCounts(Record):
    """Rows that the tuned model wins, ties and loses, judged in both orders; rates in percent."""

    win: int
    tie: int
    loss: int
    missing: int
    disagreeing: int
    win_rate: float | None
    low: float | None
    high: float | None
    worst_win_rate: float | None
    best_win_rate: float | None
    swaps_agree: float | None


class JudgedLength(Record):
    base_tokens: float | None
    tuned_tokens: float | None
    adjusted_difference: float | None


class AgreementFigures(Record):
    n: int
    pearson: float | None
    spearman: float | None
    kendall: float | None
    bias: float
    mean_absolute_error: float
    sensitivity: float | None
    specificity: float | None
    kappa: float | None


class CorrectedFigures(Record):
    difference: float
    low: float
    high: float
    n: int


class LabelFigures(Record):
    agreement: AgreementFigures | None
    corrected: CorrectedFigures | None


class JudgedRows(Record):
    trusted: bool
    verdict: VerdictWord
    sentence: str
    rows: int
    clusters: int


class JudgedSet(PairedFigures, JudgedRows):
    """A judge's results on a named set."""

    self_test: SelfTestFigures
    answered_as: list[str]
    notes: list[Note]
    p_holm: float | None


class JudgeResult(Record):
    """The results of one judge; `sets` are the named sets scored by judges."""

    trusted: bool
    verdict: VerdictWord
    sentence: str
    rows: int
    missing_scores: int
    score: ScoreFigures
    bounds: ScoreBounds
    preference: PreferenceCounts
    length: JudgedLength
    self_test: SelfTestFigures
    labels: LabelFigures | None
    notes: list[Note]
    answered_as: list[str]
    sets: dict[str, JudgedSet] = Field(default_factory=dict)


class Judges(Artifact):
    """All judges by name; `protocol_sha256` is the hash of the judging protocol."""

    format: Literal[2]
    protocol_sha256: str
    judges: dict[str, JudgeResult]
