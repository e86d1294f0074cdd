"""`tutelage compare`: runs on the same test rows, against a baseline."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tutelage.cli import console
from tutelage.cli.options import Debug, FailIfWorse, as_path
from tutelage.errors import EXIT_WORSE, RunFolderError


def compare(
    *runs: Annotated[Path, Parameter(help="Folders of evaluated runs, the baseline first.", negative="")],
    baseline: Annotated[
        Path | None, Parameter(help="Which of them the others are held against.", converter=as_path)
    ] = None,
    output: Annotated[
        Path | None, Parameter(help="Write the comparison as a page to this file.", converter=as_path)
    ] = None,
    overwrite: Annotated[
        bool, Parameter(help="Replace the page if it is there.", negative="", show_default=False)
    ] = False,
    json: Annotated[
        bool, Parameter(help="Print the result as JSON.", negative="", show_default=False)
    ] = False,
    fail_if_worse: FailIfWorse = False,
    debug: Debug = False,
) -> int:
    """Compare the tuned models of runs, row by row; runs that differ in their seed alone count as one recipe."""
    if len(runs) < 2:
        raise RunFolderError("It takes two runs to compare. Name the folders of evaluated runs.")
    if output is not None and (output.is_dir() or (output.exists() and not overwrite)):
        raise RunFolderError(f"{output} is there already. Name another file, or add --overwrite.")
    first = runs[0] if baseline is None else _one_of(runs, baseline)
    from tutelage.evaluation.runs import compare_runs

    compared = compare_runs(runs, first)
    if json:
        console.say_json(compared.to_record())
    else:
        show_comparison(compared)
    if output is not None:
        from tutelage.report.comparison_page import write_comparison

        write_comparison(output, compared)
        if not json:
            console.say(f"\nPage: {output}")
    return EXIT_WORSE if fail_if_worse and compared.is_any_worse else 0


def _one_of(runs: tuple[Path, ...], baseline: Path) -> Path:
    for run in runs:
        if run.resolve() == baseline.resolve():
            return run
    raise RunFolderError(f"--baseline {baseline} is none of the runs. Name it among them too.")


def show_comparison(compared: Any) -> None:
    """Print a line for each recipe, what differs in it, and the verdicts."""
    from tutelage.evaluation.verdict import format_value

    metric = compared.primary
    console.say(
        f"{compared.rows:,} test rows, {compared.clusters:,} unlike each other. {metric.label} decides"
        f" ({'higher' if metric.higher_is_better else 'lower'} is better); the first is the baseline."
    )
    console.say()
    console.table(
        ["", "seeds", metric.label, "between seeds", "difference", "95 % interval", "p", ""],
        [_line(group, metric) for group in compared.groups],
        numeric={1, 2, 3, 4, 5, 6},
    )
    for group in compared.groups:
        console.say()
        console.heading(group.label)
        if group.comparison is None:
            console.say("The baseline.")
        else:
            console.say(group.comparison.verdict.sentence)
            console.say(f"Differs in {'; '.join(group.differs) or 'no setting'}.")
        if len(group.runs) > 1:
            means = group.means(metric.name)
            told = f"{format_value(min(means), metric)} to {format_value(max(means), metric)}"
            console.say(f"Its {len(group.runs)} seeds ({_listed(group.seeds)}) give {told}.")
    if len(compared.groups) == 1:
        console.say("\nThe runs differ in their seed alone, so there is nothing to hold against each other.")


def _line(group: Any, metric: Any) -> list[str]:
    from tutelage.evaluation.verdict import format_change, format_value

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
    interval = (
        "unknown"
        if one.low is None
        else f"{format_change(one.low, metric)} to {format_change(one.high, metric)}"
    )
    p = group.comparison.resampled[metric.name].p
    return [
        *begin,
        format_change(one.difference, metric),
        interval,
        "unknown" if p is None else f"{p:.4f}" if p >= 0.0001 else "< 0.0001",
        group.comparison.verdict.word,
    ]


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values))
