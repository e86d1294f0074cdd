"""Print the results of judges."""

from collections.abc import Iterable, Mapping

from tutelage.cli.views import console
from tutelage.run.artifacts import Note
from tutelage.run.judges import JudgedSet, JudgeResult, LabelFigures


def show_judges(judges: Mapping[str, JudgeResult]) -> None:
    """Print a table of all judges, and for each its verdict, failed checks and missing scores."""
    columns = [
        "judge",
        "base",
        "tuned",
        "difference",
        "95 % interval",
        "win / tie / loss",
        "missing_scores",
        "swaps agree",
    ]
    console.table(
        columns,
        [_row(judge, result) for judge, result in judges.items()],
        numeric={1, 2, 3, 4, 5, 6, 7},
    )
    for judge, result in judges.items():
        console.print_message()
        console.heading(result.sentence)
        _show_checks(result)
        if result.missing_scores:
            worst, best = result.bounds.worst, result.bounds.best
            console.print_message(
                f"With every missing score at its worst or best, the difference is {worst:+.1f} or {best:+.1f}."
            )
        _show_labels(judge, result.labels)
        _show_notes(result.notes)
        for name, one in result.sets.items():
            console.print_message()
            console.heading(f"Test set {name}, by {judge}")
            console.print_message(one.sentence)
            _show_checks(one)
            _show_notes(one.notes)


def _show_notes(notes: Iterable[Note]) -> None:
    for note in notes:
        console.note(note.code, note.message)


def _row(judge: str, result: JudgeResult) -> list[str]:
    score, preference = result.score, result.preference
    interval = "unknown" if score.low is None else f"{score.low:+.1f} to {score.high:+.1f}"
    swaps = preference.swaps_agree
    return [
        judge,
        _number(score.base, ".1f"),
        _number(score.tuned, ".1f"),
        _number(score.difference, "+.1f"),
        interval,
        f"{preference.win} / {preference.tie} / {preference.loss}",
        f"{result.missing_scores} of {result.rows}",
        "unknown" if swaps is None else f"{swaps:.0f} %",
    ]


def _show_checks(result: JudgeResult | JudgedSet) -> None:
    test = result.self_test
    failed = [check for check in test.checks if not check.passed]
    if not failed:
        console.print_message(f"Its self-test passed, {len(test.checks)} checks.")
        return
    if test.fault and any(check.name == "readable" for check in failed):
        return  # its unreadable replies are already reported
    failed = [check for check in failed if check.value is not None]
    if all(check.name == "readable" for check in failed):
        return  # the missing reply is already reported
    console.table(
        ["failed self-test check", "value", "wanted"],
        [[check.label, _number(check.value, ".1f"), check.wanted] for check in failed],
        numeric={1},
    )


def _show_labels(judge: str, labels: LabelFigures | None) -> None:
    if labels is None:
        return
    agreed, corrected = labels.agreement, labels.corrected
    if agreed is None:
        console.print_message("Fewer than three of its scores have a label, too few for a comparison.")
        return
    console.print_message(
        f"Against {agreed.n} labels: rank correlation {_number(agreed.spearman, '.3f')}, bias"
        f" {agreed.bias:+.1f}, mean error {agreed.mean_absolute_error:.1f}, sensitivity"
        f" {_number(agreed.sensitivity, '.2f')}, specificity {_number(agreed.specificity, '.2f')}."
    )
    if corrected:
        console.print_message(
            f"Corrected by the labels, the difference is {corrected.difference:+.1f} (95 % interval"
            f" {corrected.low:+.1f} to {corrected.high:+.1f}, from {corrected.n} rows with both labels)."
        )


def _number(value: float | None, form: str) -> str:
    return "unknown" if value is None else format(value, form)
