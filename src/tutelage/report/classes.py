"""What the page shows of a classification: its figures, how far its probabilities are true, and every row."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from tutelage.report.answers import LONGEST_HINT, ROWS_IN_ALL, Filter
from tutelage.report.charts import Chart, reliability_chart
from tutelage.report.headline import Headline
from tutelage.run.artifacts import read_artifact
from tutelage.run.evaluation import ClassEvaluation
from tutelage.run.folder import RunFolder
from tutelage.run.lines import read_json_lines

UNSURE = 0.9  # the probability of the given label below which a row counts as unsure
WRONG_SHOWN = 10
LABELS_SHOWN = 5  # of a row, the most probable; there may be hundreds

# Which rows a reader can ask for: the first word is theirs in the page.
FILTERS = {"all": "all", "wrong": "wrong", "unsure": f"less than {UNSURE:.0%} sure", "right": "right"}


@dataclass(frozen=True)
class ClassifiedRow:
    """One test row with what it has and what it was given, with its probability; `probabilities` fall."""

    row: int
    text: str
    label: str
    predicted: str
    probability: float
    probabilities: list[tuple[str, float]]

    @property
    def is_wrong(self) -> bool:
        return self.predicted != self.label

    @property
    def kinds(self) -> list[str]:
        """The keys of FILTERS that show this row."""
        unsure = ["unsure"] if self.probability < UNSURE else []
        return ["wrong" if self.is_wrong else "right", *unsure]

    @property
    def hint(self) -> str:
        """The beginning of the text, on one line."""
        return " ".join(self.text[: 2 * LONGEST_HINT].split())[:LONGEST_HINT]


@dataclass(frozen=True)
class Classes:
    """`figures` are those of metrics.json; of the rows the wrong ones come first, the surest of them before all."""

    figures: ClassEvaluation
    reliability: Chart
    every: list[ClassifiedRow]
    filters: list[Filter]
    omitted: int

    @property
    def wrong(self) -> list[ClassifiedRow]:
        """The rows that are read first, and on paper alone."""
        return [row for row in self.every if row.is_wrong][:WRONG_SHOWN]

    def headline(self) -> Headline:
        """Say what the evaluation found."""
        word = self.figures.verdict
        return Headline(word.capitalize(), self.figures.sentence, word)


def class_section(run: RunFolder) -> Classes | None:
    """Return what there is to show of a run, None where it is no classification or not evaluated yet."""
    if not run.predictions.exists():
        return None
    figures = read_artifact(ClassEvaluation, run.metrics)
    rows = sorted(map(_classified, read_json_lines(run.predictions)), key=_from_most_wrong)
    every = rows[:ROWS_IN_ALL]
    chart = reliability_chart(figures.calibration)
    return Classes(figures, chart, every, _filters(every), len(rows) - len(every))


def _classified(prediction: dict[str, Any]) -> ClassifiedRow:
    falling = sorted(prediction["probabilities"].items(), key=lambda one: -one[1])
    return ClassifiedRow(
        row=prediction["row"],
        text=prediction["text"],
        label=prediction["label"],
        predicted=prediction["predicted"],
        probability=prediction["probability"],
        probabilities=falling[:LABELS_SHOWN],
    )


def _from_most_wrong(row: ClassifiedRow) -> tuple[float, int]:
    return (-1 - row.probability if row.is_wrong else row.probability, row.row)


def _filters(rows: list[ClassifiedRow]) -> list[Filter]:
    """Return the choices that show something, all rows first."""
    counted = Counter(kind for row in rows for kind in ("all", *row.kinds))
    return [Filter(kind, label, counted[kind]) for kind, label in FILTERS.items() if counted[kind]]
