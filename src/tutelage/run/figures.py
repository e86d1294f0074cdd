"""Figures that evaluations of answers and of labels both hold."""

from typing import Literal

from tutelage.run.validation import Record

VerdictWord = Literal["better", "worse", "no difference detectable", "no verdict"]


class Proportion(Record):
    """A share of rows, from 0 to 1, with its 95 % interval."""

    value: float
    low: float
    high: float


class PairedFigures(Record):
    """Tuned minus base on the same rows (`PairedDifference`, `BootstrapResult`); null if the rows cannot tell."""

    base: float | None = None
    tuned: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    minimum_detectable_effect: float | None = None
    higher: int = 0
    equal: int = 0
    lower: int = 0
    missing: int = 0
    if_against: float | None = None
    if_for: float | None = None
    higher_low: float | None = None
    higher_high: float | None = None
    base_low: float | None = None
    base_high: float | None = None
    tuned_low: float | None = None
    tuned_high: float | None = None
    bca_low: float | None = None
    bca_high: float | None = None
    p: float | None = None


class ClassFigures(Record):
    label: str
    rows: int
    given: int
    precision: Proportion | None
    recall: Proportion | None
    f1: float


class OverlapFigures(Record):
    """The primary metric on some of the test rows, and the verdict that it would give on them alone."""

    rows: int
    base: float | None
    tuned: float | None
    difference: float | None
    low: float | None
    high: float | None
    verdict: VerdictWord


class TrainingOverlap(Record):
    """The test rows that are near-duplicates of training rows; the figures are there if there are such rows."""

    rows: int
    training_rows: int
    row_numbers: list[int]
    all: OverlapFigures | None
    without: OverlapFigures | None


class LabelFigures(Record):
    """How well a model's answers tell labels apart; the last column of `confusion` counts answers that are no label."""

    rows: int
    accuracy: Proportion
    macro_f1: float
    classes: list[ClassFigures]
    confusion: list[list[int]]

    @property
    def others(self) -> int:
        """The number of answers that are no label."""
        return sum(counts[-1] for counts in self.confusion)
