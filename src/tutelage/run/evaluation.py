"""evaluation/metrics.json: what an evaluation found, of answers and preferences or of a classification."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from tutelage.config.objectives import DEFAULT, OBJECTIVES, Gives
from tutelage.config.recipe import Objective
from tutelage.run.artifacts import Artifact, Checksums, Note, read_artifact
from tutelage.run.baselines import BaselinesFound
from tutelage.run.figures import (
    ClassFigures,
    LabelFigures,
    PairedFigures,
    Proportion,
    TrainingOverlap,
    VerdictWord,
)
from tutelage.run.folder import read_json
from tutelage.run.functions import FunctionSource
from tutelage.run.validation import Record

PreferenceAnswer = Literal["chosen", "rejected"]


class MetricFigures(PairedFigures):
    p_holm: float | None


class NumberForm(Record):
    """How the numbers of a set are written."""

    decimal_mark: str
    blanks_group: bool


class SetRows(Record):
    source: str
    metric: str
    rows: int
    dropped: int
    number_convention: NumberForm | None = None
    clusters: int | None = None
    verdict: VerdictWord | None = None
    sentence: str | None = None


class SetFigures(PairedFigures, SetRows):
    """A named test set; one that judges score has its rows alone, and its scores stand in judges.json."""

    p_holm: float | None = None


class LengthFigures(Record):
    """Mean tokens of the answers, and the difference of the primary metric between answers of one length."""

    base: float
    tuned: float
    adjusted: float | None
    low: float | None
    high: float | None


class KindMeans(Record):
    base: float
    tuned: float


class GeneralText(Record):
    """The general-text check: bits per byte of plain text, and the divergence of predictions in nats a token."""

    verdict: Literal["pass", "fail", "inconclusive"]
    sentence: str
    margin: float
    passages: int
    bytes: int
    base: float
    tuned: float
    difference: float
    low: float
    high: float
    prompts: int
    kl: float
    kl_low: float
    kl_high: float
    kl_margin: float
    kl_verdict: Literal["pass", "fail", "inconclusive"]
    kl_sentence: str
    kinds: dict[str, KindMeans]


class MarginFigures(Record):
    mean: float
    low: float | None
    high: float | None


class LikelierProportion(Proportion):
    ties: int


class ChosenLikelier(Record):
    base: LikelierProportion
    tuned: LikelierProportion
    p: float


class AnswerBits(Record):
    """Bits per byte of one of the two answers."""

    base: float
    tuned: float
    difference: float
    low: float | None
    high: float | None


class PreferenceFigures(Record):
    rows: int
    accuracy: Proportion
    ties: int
    accuracy_without_ties: Proportion | None
    margin: MarginFigures
    rewards: dict[PreferenceAnswer, float]
    chosen_likelier: ChosenLikelier
    bits_per_byte: dict[PreferenceAnswer, AnswerBits]


JsonCheck = Literal["valid", "keys", "types", "all_right"]


class FieldFigures(Record):
    """A field or a check of JSON answers: its number of rows, and the share of them that each model has right."""

    rows: int
    base: Proportion
    tuned: Proportion


class AnswersVerdict(Record):
    """What the answers of a preference tuning say, beside the verdict on its preferences."""

    verdict: VerdictWord
    sentence: str


class AnswerEvaluation(Artifact):
    """Both models' answers compared; of a preference tuning `verdict` and `sentence` are about the preferences."""

    format: Literal[2]
    rows: int
    clusters: int
    primary_metric: str
    first_metric: str | None = None  # of the first evaluation of these weights, if it was decided by another
    verdict: VerdictWord
    sentence: str
    minimum_detectable_effect: float | None
    metrics: dict[str, MetricFigures]
    length: LengthFigures | None
    json_checks: dict[JsonCheck, FieldFigures] | None = None
    json_fields: dict[str, FieldFigures] | None = None
    labels: dict[Literal["base", "tuned"], LabelFigures] | None = None
    baselines: BaselinesFound | None = None
    first_baselines: dict[str, int] | None = (
        None  # of the first evaluation of these weights, if some are weaker now
    )
    training_overlap: TrainingOverlap | None = None
    sets: dict[str, SetFigures]
    general_text: GeneralText | None
    checksums: Checksums = "verified"
    objective: Objective = DEFAULT.name
    answers: AnswersVerdict | None = None
    preference: PreferenceFigures | None = None
    figures: dict[str, Any] | None = None  # what else the objective found, as its own package reads it
    functions: dict[str, FunctionSource] = Field(default_factory=dict)  # the metrics of the user's own

    @property
    def compared_answers(self) -> "AnswerEvaluation | None":
        """The comparison of both models' answers."""
        return self

    @property
    def is_exploratory(self) -> bool:
        """Whether the metric or the baselines were changed after answers had been scored."""
        return self.first_metric is not None or self.first_baselines is not None

    @property
    def examples_of_baselines(self) -> dict[str, int]:
        """How many examples each baseline shows, by name."""
        figures = {} if self.baselines is None else self.baselines.figures
        return {name: one.examples or 0 for name, one in figures.items()}

    @property
    def verdicts(self) -> list[VerdictWord]:
        """The verdicts on the test rows: of a preference tuning there are two."""
        return [self.verdict, *([self.answers.verdict] if self.answers else [])]


class CalibrationBin(Record):
    rows: int
    probability: float
    right: float
    low: float
    high: float


class Calibration(Record):
    ece: float
    bins: list[CalibrationBin]


class BaseLine(Record):
    accuracy: float
    low: float
    high: float
    p: float


class MajorityRow(Record):
    label: str


class Majority(BaseLine, MajorityRow):
    """The label of most training rows given to all."""


class BaseLines(Record):
    majority: Majority
    tf_idf: BaseLine | None
    zero_shot: BaseLine | None
    nearest: BaseLine | None = None
    strongest: str = "majority"  # which the verdict compares with
    validation: dict[str, float] = Field(default_factory=dict)  # share of right rows by baseline
    validation_rows: int = 0  # that the strongest one was chosen on; 0 where there were too few
    left_out: dict[str, Note] = Field(default_factory=dict)


class ThresholdScores(Record):
    accuracy: Proportion
    macro_f1: float
    precision: Proportion | None
    recall: Proportion | None


class Threshold(Record):
    """The probability from which on the rarer of two labels is given, chosen on the validation rows."""

    label: str
    chosen: float
    validation_rows: int
    at_half: ThresholdScores
    at_chosen: ThresholdScores
    p: float


class ClassEvaluation(Artifact):
    """What the labels are worth that a classification gave to the test rows."""

    format: Literal[2]
    objective: Objective
    primary_metric: str
    rows: int
    accuracy: Proportion
    macro_f1: float
    micro_f1: float | None = None
    classes: list[ClassFigures]
    confusion: list[list[int]] | None
    calibration: Calibration
    baselines: BaseLines
    threshold: Threshold | None = None
    verdict: VerdictWord
    sentence: str
    sets: dict[str, SetFigures] = Field(default_factory=dict)
    general_text: GeneralText | None = None
    checksums: Checksums = "verified"

    @property
    def compared_answers(self) -> AnswerEvaluation | None:
        """No answers were compared."""
        return None

    @property
    def verdicts(self) -> list[VerdictWord]:
        """The verdict on the test rows."""
        return [self.verdict]

    @property
    def metrics(self) -> dict[str, Proportion]:
        """The share of the right labels."""
        return {"accuracy": self.accuracy}

    @property
    def functions(self) -> dict[str, FunctionSource]:
        """Labels are scored by no function of the user's."""
        return {}


Evaluation = AnswerEvaluation | ClassEvaluation


def mark_exploratory(found: Evaluation, earlier: Evaluation | None) -> Evaluation:
    """Return an evaluation that replaces an earlier one of the same weights, marked where less is asked of them now.

    That is so if another metric decided then, or if baselines are gone or show fewer examples.
    """
    now = found.compared_answers
    before = None if earlier is None else earlier.compared_answers
    if now is None or before is None:
        return found
    marked: dict[str, Any] = {}
    marks = [now.sentence]
    first = before.first_metric or before.primary_metric
    if first != now.primary_metric:
        marked["first_metric"] = first
        marks.append(
            f"Exploratory: these weights were first evaluated by {first}, and the metric was changed later."
        )
    first_baselines = before.first_baselines or before.examples_of_baselines
    current = now.examples_of_baselines
    weaker = [name for name, count in first_baselines.items() if count > current.get(name, -1)]
    if weaker:
        marked["first_baselines"] = first_baselines
        marks.append(
            f"Exploratory: these weights were first compared with stronger baselines ({', '.join(weaker)}), which were"
            " left out or weakened later."
        )
    return now.model_copy(update={**marked, "sentence": " ".join(marks)}) if marked else found


# What is found of a model, by what it gives.
EVALUATIONS: dict[Gives, type[Evaluation]] = {"answers": AnswerEvaluation, "labels": ClassEvaluation}


def read_evaluation(path: Path) -> Evaluation:
    """Read metrics.json of a run, whatever its objective is, as `read_artifact` does."""
    found = read_json(path)
    name = str(found.get("objective")) if isinstance(found, dict) else ""
    return read_artifact(EVALUATIONS[OBJECTIVES.get(name, DEFAULT).gives], path)
