"""What the page shows of a classification: its figures, how far its probabilities are true, and every row."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tutelage.config.objectives import OBJECTIVES
from tutelage.config.recipe import Recipe
from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.data.dataset.sample_prompt import SamplePrompt, choose_text
from tutelage.data.quality.label_names import quoted
from tutelage.evaluation.next_steps import NextStep, classify_command
from tutelage.evaluation.paired.verdict import format_p
from tutelage.objectives.classification.baselines import IN_WORDS
from tutelage.objectives.classification.label_counts import describe_classes
from tutelage.objectives.results import Block, Heading, Table, Text
from tutelage.objectives.spec import ReadLines, ReportPart
from tutelage.report.answers import LONGEST_HINT, ROWS_IN_ALL, Filter
from tutelage.report.headline import Headline
from tutelage.report.objective import ObjectiveWords, Section
from tutelage.run.artifacts import Preparation
from tutelage.run.evaluation import BaseLine, ClassEvaluation, Evaluation, Threshold
from tutelage.run.figures import Proportion
from tutelage.run.folder import PREDICTIONS

if TYPE_CHECKING:
    from tutelage.data.prompts.prompts import PromptRenderer
    from tutelage.report.charts import Chart

UNSURE = 0.9  # the probability of the given label below which a row counts as unsure
WRONG_SHOWN = 10
LABELS_SHOWN = 5  # of a row, the most probable; there may be hundreds

# Which rows a reader can ask for: the first word is theirs in the page.
FILTERS = {"all": "all", "wrong": "wrong", "unsure": f"probability below {UNSURE:.0%}", "right": "right"}


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
    reliability: "Chart"
    every: list[ClassifiedRow]
    filters: list[Filter]
    omitted: int

    @property
    def wrong(self) -> list[ClassifiedRow]:
        """The rows that are read first, and on paper alone."""
        return [row for row in self.every if row.is_wrong][:WRONG_SHOWN]

    @property
    def baselines(self) -> list[tuple[str, BaseLine, str]]:
        """Each baseline by its name, with its figures and what it is called."""
        return baselines_in_words(self.figures)

    def headline(self) -> Headline:
        """Say what the evaluation found."""
        word = self.figures.verdict
        return Headline(word.capitalize(), self.figures.sentence, word)


def class_words(preparation: Preparation, recipe: Recipe | None) -> ObjectiveWords:
    """Return the words for the losses and rows of a classification."""
    what = "label set" if preparation.label_sets else "label"
    is_weighted = recipe is not None and recipe.training.class_weights == "balanced"
    per_row = f"{'weighted ' if is_weighted else ''}nats per row"
    return ObjectiveWords(
        OBJECTIVES[preparation.objective].task,
        f"loss of the {what}, {per_row}",
        f"{per_row} of the validation rows, for the {what}",
        facts=(f"{len(preparation.classes):,} labels",),
        lengths="tokens per text",
        counted="texts",
        length_note="A label takes no token: the model reads the text, and only the label counts in the loss.",
        example_note="The text has no prompt around it; only the label, highlighted and underlined, counts"
        " in the loss.",
        tree_end="its label is predicted there",
    )


def class_section(evaluation: Evaluation, read_lines: ReadLines) -> Section | None:
    """Return what there is to show of the labels that were given."""
    assert isinstance(evaluation, ClassEvaluation), "a classification gives labels"
    predictions = read_lines(PREDICTIONS)
    if not predictions:
        return None
    classes = classes_of(evaluation, predictions)
    return Section(
        "tutelage.objectives.classification",
        "classes.html",
        {"classes": classes},
        headline=classes.headline(),
        links=[("classes", "Labels"), ("wrong", "Wrong rows"), ("rows", "Every row")],
    )


def classes_of(figures: ClassEvaluation, predictions: Sequence[dict[str, Any]]) -> Classes:
    """Return the figures of metrics.json with every row, the wrong ones first."""
    rows = sorted(map(_classified, predictions), key=_from_most_wrong)
    every = rows[:ROWS_IN_ALL]
    from tutelage.report.charts import reliability_chart  # noqa: PLC0415 - altair, which prints no text

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


def class_results(evaluation: Evaluation) -> list[Block]:
    """Return precision and recall of each class, the verdict, and what a threshold would change."""
    assert isinstance(evaluation, ClassEvaluation), "a classification gives labels"
    blocks: list[Block] = [
        Table(
            ["label", "test rows", "precision (95 % interval)", "recall (95 % interval)", "F1"],
            [
                [quoted(one.label), str(one.rows), _share(one.precision), _share(one.recall), f"{one.f1:.3f}"]
                for one in evaluation.classes
            ],
        ),
        Text(""),
    ]
    if evaluation.micro_f1 is not None:
        blocks.append(Text(f"Micro F1 is {evaluation.micro_f1:.3f}, macro F1 {evaluation.macro_f1:.3f}."))
    blocks += _baseline_blocks(evaluation)
    blocks.append(Heading(evaluation.sentence))
    if evaluation.threshold is not None:
        blocks.append(Text(_threshold_sentence(evaluation.threshold)))
    return blocks


def baselines_in_words(evaluation: ClassEvaluation) -> list[tuple[str, BaseLine, str]]:
    """Return each baseline that was asked, from the plainest on: its name, its figures, and what it is called."""
    found = evaluation.baselines
    words = IN_WORDS | {"majority": f"{IN_WORDS['majority']}, {quoted(found.majority.label)}"}
    return [(name, one, words[name]) for name in IN_WORDS if (one := getattr(found, name)) is not None]


def _baseline_blocks(evaluation: ClassEvaluation) -> list[Block]:
    found = evaluation.baselines
    rows = [
        [
            f"{words} (strongest)" if name == found.strongest and found.validation_rows else words,
            f"{found.validation[name]:.1%}" if name in found.validation else "",
            f"{one.accuracy:.1%} ({one.low:.1%} to {one.high:.1%})",
        ]
        for name, one, words in baselines_in_words(evaluation)
    ]
    notes = [Text(f"No baseline was chosen: {one.message}") for one in found.left_out.values()]
    return [Table(["baseline", "right, validation", "right, test (95 % interval)"], rows), *notes, Text("")]


def _share(one: Proportion | None) -> str:
    return f"{one.value:.1%} ({one.low:.1%} to {one.high:.1%})" if one else "unknown"


def _threshold_sentence(found: Threshold) -> str:
    chosen, half, rows = found.at_chosen, found.at_half, found.validation_rows
    if found.chosen == 0.5:
        return f"On the {rows:,} validation rows no threshold is better than 0.5."
    right = {name: f"{100 * one.accuracy.value:.2f} %" for name, one in (("half", half), ("chosen", chosen))}
    return (
        f"With a threshold of {found.chosen:.3f} for {quoted(found.label)}, chosen on the {rows:,}"
        f" validation rows, macro F1 on the test rows is {chosen.macro_f1:.3f} instead of"
        f" {half.macro_f1:.3f} at 0.5, and {right['chosen']} are right instead of {right['half']} (McNemar's"
        f" p {format_p(found.p)})."
    )


def choose_own_text(rows: PreparedRows, renderer: "Callable[[], PromptRenderer]") -> SamplePrompt | None:
    """Return the text of a row that can be typed."""
    return choose_text(rows)


def class_steps(run: str, question: SamplePrompt | None, *, is_exported: bool) -> list[NextStep]:
    """Return the commands that go on with a trained classification."""
    steps = [] if question is None else [NextStep("Classify a text", classify_command(run, question))]
    if not is_exported:
        steps.append(NextStep("Export the model for other programs", f"tutelage export {run} --to hf"))
    return steps


REPORT = ReportPart(
    words=class_words,
    section=class_section,
    results=class_results,
    question=choose_own_text,
    steps=class_steps,
    describe_rows=describe_classes,
)
