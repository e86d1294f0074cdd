"""What an evaluation found, printed for a person: the verdict, scores, named sets and general text."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tutelage.cli.views import console
from tutelage.run.evaluation import (
    AnswerEvaluation,
    ClassEvaluation,
    Evaluation,
    GeneralText,
    SetFigures,
    Share,
    Threshold,
)

if TYPE_CHECKING:
    from tutelage.evaluation.metrics.metrics import Metric


def show_evaluation(found: Evaluation) -> None:
    """Print all that an evaluation found."""
    if isinstance(found, ClassEvaluation):
        show_classes(found)
        return
    show_scores(found)
    show_preference(found)
    show_sets(found.sets)
    show_forgetting(found.forgetting)


def show_classes(found: ClassEvaluation) -> None:
    """Print the verdict on a classification, and precision and recall of each class."""
    from tutelage.data.quality.label_names import quoted

    def share(one: Share | None) -> str:
        return f"{one.value:.1%} ({one.low:.1%} to {one.high:.1%})" if one else "unknown"

    console.table(
        ["label", "test rows", "precision (95 % interval)", "recall (95 % interval)", "F1"],
        [
            [
                quoted(one.label),
                str(one.rows),
                share(one.precision),
                share(one.recall),
                f"{one.f1:.3f}",
            ]
            for one in found.classes
        ],
        numeric={1, 2, 3, 4},
    )
    console.say()
    if found.micro_f1 is not None:
        console.say(f"Micro F1 is {found.micro_f1:.3f}, macro F1 {found.macro_f1:.3f}.")
    console.heading(found.sentence)
    if found.threshold is not None:
        console.say(_threshold_sentence(found.threshold))


def _threshold_sentence(found: Threshold) -> str:
    from tutelage.data.quality.label_names import quoted
    from tutelage.evaluation.paired.verdict import format_p

    chosen, half, rows = found.at_chosen, found.at_half, found.validation_rows
    if found.chosen == 0.5:
        return f"On the {rows:,} validation rows no threshold is better than 0.5."
    right = {name: f"{100 * one.accuracy.value:.2f} %" for name, one in (("half", half), ("chosen", chosen))}
    return (
        f"With {quoted(found.label)} given from {found.chosen:.3f} on, which the {rows:,} validation rows choose,"
        f" macro F1 on the test rows is {chosen.macro_f1:.3f} in place of {half.macro_f1:.3f} at 0.5, and"
        f" {right['chosen']} are right in place of {right['half']} (McNemar's p {format_p(found.p)})."
    )


def show_preference(evaluation: AnswerEvaluation) -> None:
    """Print which answers a preference tuning moved towards, where it was one, and its verdict."""
    if evaluation.preference is None:
        return
    from tutelage.evaluation.metrics.metrics import METRICS
    from tutelage.evaluation.paired.verdict import format_change, format_value

    found, metric = evaluation.preference, METRICS["bits_per_byte"]
    console.say()
    console.table(
        ["", "reward", "bits per byte, base", "tuned", "difference"],
        [
            [
                f"{side} answers",
                f"{found.rewards[side]:+.2f}",
                format_value(bits.base, metric),
                format_value(bits.tuned, metric),
                format_change(bits.difference, metric),
            ]
            for side, bits in found.bits_per_byte.items()
        ],
        numeric={1, 2, 3, 4},
    )
    console.say(f"The margin between the rewards is {found.margin.mean:+.2f} on average.")
    console.say()
    console.heading(evaluation.sentence)


def show_scores(found: AnswerEvaluation) -> None:
    """Print a table of all metrics, and the verdict on the answers."""
    from tutelage.evaluation.metrics.metrics import METRICS
    from tutelage.evaluation.paired.verdict import detectable_sentence, format_change, format_value

    def told(value: float | None, write: "Callable[[float, Metric], str]", metric: "Metric") -> str:
        return "unknown" if value is None else write(value, metric)

    rows = []
    for name, scores in found.metrics.items():
        metric = METRICS[name]
        low, high = (told(end, format_change, metric) for end in (scores.low, scores.high))
        rows.append(
            [
                metric.label + (" (lower is better)" if not metric.higher_is_better else ""),
                told(scores.base, format_value, metric),
                told(scores.tuned, format_value, metric),
                told(scores.difference, format_change, metric),
                "unknown" if scores.low is None else f"{low} to {high}",
            ]
        )
    console.table(["", "base", "tuned", "difference", "95 % interval"], rows, numeric={1, 2, 3, 4})
    console.say()
    console.heading((found.answers or found).sentence)
    console.say(detectable_sentence(found.smallest_detectable, METRICS[found.primary_metric]))


def show_sets(sets: Mapping[str, SetFigures]) -> None:
    """Print a verdict for each named set."""
    from tutelage.evaluation.metrics.set_metrics import SET_METRICS

    for name, one in sets.items():
        console.say()
        if one.metric == "judge":
            console.heading(f"Test set {name}: {one.rows:,} rows that the judges score")
        else:
            console.heading(f"Test set {name}, by {SET_METRICS[one.metric].label}")
            console.say(one.sentence or "")
        if one.number_convention is not None:
            mark = "point" if one.number_convention.decimal_mark == "." else "comma"
            console.say(f"Its numbers are read with a decimal {mark}.")
        if one.dropped:
            console.say(f"{one.dropped:,} of its rows were left out, as empty or repeated.")


def show_forgetting(forgetting: GeneralText | None) -> None:
    """Print what became of the grasp of general text."""
    if forgetting is None:
        return
    console.say()
    console.say(forgetting.sentence)
    console.say(forgetting.kl_sentence)
