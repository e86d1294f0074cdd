"""Print the results of an evaluation: verdict, scores, named sets and general text."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from tutelage.cli.views import console
from tutelage.objectives import load_objective
from tutelage.run.baselines import BaselineFigures, BaselinesFound
from tutelage.run.evaluation import (
    AnswerEvaluation,
    Evaluation,
    FieldFigures,
    GeneralText,
    SetFigures,
)
from tutelage.run.figures import LabelFigures, Proportion

if TYPE_CHECKING:
    from tutelage.evaluation.metrics.metric import Metric
    from tutelage.objectives.results import Block

FIELDS_SHOWN = 12


def show_evaluation(found: Evaluation) -> None:
    """Print all results of an evaluation."""
    if (answers := found.compared_answers) is not None:
        show_scores(answers)
    for block in load_objective(found.objective).report.results(found):
        show_block(block)
    show_sets(found.sets)
    show_general_text(found.general_text)


def show_block(block: "Block") -> None:
    """Print a block of an objective's results."""
    from tutelage.objectives.results import Heading, Table

    if isinstance(block, Table):
        console.table(list(block.columns), list(map(list, block.rows)), numeric=block.number_columns)
    elif isinstance(block, Heading):
        console.heading(block.text)
    else:
        console.print_message(block.text)


def show_scores(found: AnswerEvaluation) -> None:
    """Print a table of all metrics, and the verdict."""
    from tutelage.evaluation.metrics import load_metric
    from tutelage.evaluation.metrics.metrics import metric_named
    from tutelage.evaluation.paired.training_overlap import overlap_sentence
    from tutelage.evaluation.paired.verdict import detectable_sentence, format_change, format_value

    def shown(value: float | None, write: "Callable[[float, Metric], str]", metric: "Metric") -> str:
        return "unknown" if value is None else write(value, metric)

    rows = []
    for name, scores in found.metrics.items():
        metric = metric_named(name)
        low, high = (shown(end, format_change, metric) for end in (scores.low, scores.high))
        rows.append(
            [
                metric.label + (" (lower is better)" if not metric.higher_is_better else ""),
                shown(scores.base, format_value, metric),
                shown(scores.tuned, format_value, metric),
                shown(scores.difference, format_change, metric),
                "unknown" if scores.low is None else f"{low} to {high}",
            ]
        )
    console.table(["", "base", "tuned", "difference", "95 % interval"], rows, numeric={1, 2, 3, 4})
    show_fields(found.json_fields or {})
    if found.labels is not None:
        show_labels(found.labels)
    if found.baselines is not None:
        show_baselines(found.baselines, load_metric(found.primary_metric))
    console.print_message()
    console.heading((found.answers or found).sentence)
    console.print_message(
        detectable_sentence(found.minimum_detectable_effect, load_metric(found.primary_metric))
    )
    if found.training_overlap is not None and found.training_overlap.rows:
        console.print_message(overlap_sentence(found.training_overlap, load_metric(found.primary_metric)))


def show_baselines(found: BaselinesFound, metric: "Metric") -> None:
    """Print what each baseline scored, the strongest one marked, and the fine-tuned model below them."""
    from tutelage.evaluation.paired.verdict import format_value

    def mean(one: BaselineFigures) -> list[str]:
        ends = [end for end in (one.low, one.high) if end is not None]
        interval = " to ".join(format_value(end, metric) for end in ends)
        chosen = "" if one.validation is None else format_value(one.validation, metric)
        return [f"{one.rows:,}", chosen, format_value(one.value, metric), interval]

    rows = [
        [f"{one.title}{' (strongest)' if name == found.strongest else ''}", *mean(one)]
        for name, one in found.figures.items()
    ]
    if found.tuned is not None:
        rows.append([found.tuned.title, *mean(found.tuned)])
    console.print_message()
    heads = [f"{metric.label} without fine-tuning", "test rows", "validation", "test", "95 % interval"]
    console.table(heads, rows, numeric={1, 2, 3, 4})
    for note in found.notes:
        console.print_message(note)


def show_fields(fields: Mapping[str, FieldFigures]) -> None:
    """Print the share of rows in which each JSON field is right."""
    if not fields:
        return

    def share(one: Proportion) -> str:
        return f"{100 * one.value:.1f} %"

    rows = [
        [
            name,
            f"{one.rows:,}",
            share(one.base),
            share(one.tuned),
            f"{100 * one.tuned.low:.1f} to {100 * one.tuned.high:.1f}",
        ]
        for name, one in [*fields.items()][:FIELDS_SHOWN]
    ]
    console.print_message()
    console.table(["right field", "rows", "base", "tuned", "95 % interval"], rows, numeric={1, 2, 3, 4})
    if left := len(fields) - len(rows):
        console.print_message(f"{left:,} rarer fields are in the report.")


def show_labels(labels: Mapping[Literal["base", "tuned"], LabelFigures]) -> None:
    """Print how well each model's answers tell the labels apart."""
    base, tuned = labels["base"], labels["tuned"]
    rows = [
        ["macro F1", f"{base.macro_f1:.3f}", f"{tuned.macro_f1:.3f}"],
        ["answers that are no label", f"{base.others:,}", f"{tuned.others:,}"],
    ]
    console.print_message()
    console.table(["labels", "base", "tuned"], rows, numeric={1, 2})


def show_sets(sets: Mapping[str, SetFigures]) -> None:
    """Print the verdict for each named set."""
    from tutelage.evaluation.metrics import load_set_metric

    for name, one in sets.items():
        console.print_message()
        metric = load_set_metric(one.metric)
        if metric.is_judged:
            console.heading(f"Test set {name}: {one.rows:,} rows, scored by the judges")
        else:
            console.heading(f"Test set {name}, by {metric.label}")
            console.print_message(one.sentence or "")
        if one.number_convention is not None:
            mark = "point" if one.number_convention.decimal_mark == "." else "comma"
            console.print_message(f"Its numbers use the decimal {mark}.")
        if one.dropped:
            console.print_message(
                f"{one.dropped:,} of its rows were left out because they are empty or repeated."
            )


def show_general_text(general_text: GeneralText | None) -> None:
    """Print the results of the general-text regression check."""
    if general_text is None:
        return
    console.print_message()
    console.print_message(general_text.sentence)
    console.print_message(general_text.kl_sentence)
