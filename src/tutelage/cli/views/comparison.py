"""Print a row-by-row comparison of runs."""

from typing import Any

from tutelage.cli.views import console

# Prefix of a line's name, by its kind.
BEFORE_NAME = {"sets": "set ", "judges": "judge ", "passages": "", "functions": "metric "}


def show_comparison(compared: Any) -> None:
    """Print one line per recipe, its differences, and the verdicts."""
    from tutelage.evaluation.paired.verdict import format_value

    metric = compared.primary
    console.print_message(
        f"{compared.rows:,} test rows in {compared.clusters:,} clusters. {metric.label} decides"
        f" ({'higher' if metric.higher_is_better else 'lower'} is better); the first is the baseline."
    )
    console.print_message()
    console.table(
        ["", "seeds", metric.label, "between seeds", "difference", "95 % interval", "p", ""],
        [_line(group, metric) for group in compared.groups],
        numeric={1, 2, 3, 4, 5, 6},
    )
    _show_general_text([run for group in compared.groups for run in group.runs])
    for group in compared.groups:
        console.print_message()
        console.heading(group.label)
        if group.comparison is None:
            console.print_message("The baseline.")
        else:
            console.print_message(group.comparison.verdict.sentence)
            console.print_message(f"Differs in {'; '.join(group.differs) or 'no setting'}.")
            _show_metrics(group.comparison)
        if len(group.runs) > 1:
            means = group.means(metric.name)
            told = f"{format_value(min(means), metric)} to {format_value(max(means), metric)}"
            console.print_message(f"Its {len(group.runs)} seeds ({_listed(group.seeds)}) range from {told}.")
        _show_further(group)
    if len(compared.groups) == 1:
        console.print_message("\nThe runs differ only in their seed, so there is nothing to compare.")


def _line(group: Any, metric: Any) -> list[str]:
    from tutelage.evaluation.paired.verdict import format_change, format_p, format_value

    spread = group.seed_spread(metric.name)
    begin = [
        group.label,
        str(len(group.runs)),
        format_value(group.mean(metric.name), metric),
        "" if spread is None else f"± {spread:.{metric.decimals}f}",
    ]
    if group.comparison is None:
        return [*begin, "", "", "", "baseline"]
    one = group.comparison.measured[metric.name]
    return [
        *begin,
        format_change(one.difference, metric),
        _interval(one.low, one.high, metric),
        format_p(group.comparison.p(metric.name)),
        group.comparison.verdict.word,
    ]


def _interval(low: float | None, high: float | None, metric: Any) -> str:
    from tutelage.evaluation.paired.verdict import format_change

    if low is None or high is None:
        return "unknown"
    return f"{format_change(low, metric)} to {format_change(high, metric)}"


def _show_metrics(comparison: Any) -> None:
    """Print one line per metric, as on the page."""
    console.table(
        ["", "baseline", "this", "difference", "95 % interval", "p", ""],
        [_metric_line(comparison, metric) for metric in comparison.metrics.values()],
        numeric={1, 2, 3, 4, 5},
    )


def _metric_line(comparison: Any, metric: Any) -> list[str]:
    from tutelage.evaluation.paired.verdict import format_change, format_p, format_value

    one = comparison.measured[metric.name]
    return [
        metric.label,
        format_value(one.base, metric),
        format_value(one.tuned, metric),
        format_change(one.difference, metric),
        _interval(one.low, one.high, metric),
        format_p(comparison.p(metric.name)),
        comparison.word(metric.name),
    ]


def _show_general_text(runs: list[Any]) -> None:
    """Print one line per run: its loss on general text compared with its own base model."""
    from tutelage.evaluation.metrics.bits_per_byte import METRIC as BITS_PER_BYTE
    from tutelage.evaluation.paired.verdict import format_change, format_value

    metric = BITS_PER_BYTE
    told = [(run.name, run.further.general_text) for run in runs if run.further.general_text]
    if not told:
        return
    console.print_message(
        "\nGeneral text, in bits per byte (lower is better), each run against its own base model:"
    )
    console.table(
        ["", "before", "after", "change", "95 % interval", ""],
        [
            [
                name,
                format_value(one.base, metric),
                format_value(one.tuned, metric),
                format_change(one.difference, metric),
                _interval(one.low, one.high, metric),
                one.verdict,
            ]
            for name, one in told
        ],
        numeric={1, 2, 3, 4},
    )


def _show_further(group: Any) -> None:
    """Print the secondary scores compared with the baseline, and why others were left out."""
    from tutelage.evaluation.compare.secondary_scores import without_judge

    paired = [(kind, name, one) for kind, of in group.further.items() for name, one in of.paired.items()]
    if paired:
        console.print_message("Secondary scores:")
        console.table(
            ["", "by", "baseline", "this", "difference", "95 % interval", "p", ""],
            # The label of a judge's score already names the judge.
            [
                _further_line(
                    "judge" if kind == "judges" else BEFORE_NAME[kind] + without_judge(name, one.metric), one
                )
                for kind, name, one in paired
            ],
            numeric={2, 3, 4, 5, 6},
        )
    for _, _, one in paired:
        if one.missing:
            console.print_message(one.missing)
    for kind, of in group.further.items():
        for name, why in of.left_out.items():
            console.print_message(f"Left out: {BEFORE_NAME[kind]}{name} ({why}).")


def _further_line(name: str, one: Any) -> list[str]:
    from tutelage.evaluation.paired.verdict import format_change, format_p, format_value

    metric, measured = one.metric, one.measured
    if measured.difference is None:
        return [name, metric.label, "", "", "unknown", "unknown", "unknown", one.verdict.word]
    return [
        name,
        metric.label,
        format_value(measured.base, metric),
        format_value(measured.tuned, metric),
        format_change(measured.difference, metric),
        _interval(measured.low, measured.high, metric),
        format_p(one.p_holm),
        one.verdict.word,
    ]


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values))
