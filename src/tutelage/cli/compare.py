"""`tutelage compare`: runs on the same test rows, against a baseline."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tutelage.cli import console
from tutelage.cli.options import Debug, FailIfWorse, as_path
from tutelage.errors import EXIT_WORSE, RunFolderError
from tutelage.run.folder import RunFolder

# What a line is called before its own name, by its kind.
BEFORE_NAME = {"sets": "set ", "judges": "judge ", "passages": ""}


def compare(
    *runs: Annotated[
        Path,
        Parameter(
            help="Folders of evaluated runs, the baseline first; RUN@STEP is an evaluated checkpoint of one.",
            negative="",
        ),
    ],
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
        raise RunFolderError(
            "compare.too_few_runs", "It takes two runs to compare. Name the folders of evaluated runs."
        )
    if output is not None and (output.is_dir() or (output.exists() and not overwrite)):
        raise RunFolderError(
            "cli.output_exists", f"{output} is there already. Name another file, or add --overwrite."
        )
    if output is None and not fail_if_worse:
        console.refuse_closed_output()
    folders = [_opened(run) for run in runs]
    first = folders[0] if baseline is None else _one_of(folders, baseline)
    from tutelage.evaluation.compare.runs import compare_runs

    compared = compare_runs(folders, first)
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


def _opened(named: Path) -> RunFolder:
    """Take RUN@STEP apart; a folder that has such a name is that folder."""
    root, _, step = str(named).rpartition("@")
    if not root or named.exists() or not Path(root).is_dir():
        return RunFolder(named)
    if not re.fullmatch(r"\d{1,9}", step, re.ASCII):
        raise RunFolderError(
            "compare.step_not_a_number",
            f"{named} names no step behind the @. Write a number there, as in {root}@100.",
        )
    return RunFolder(Path(root), int(step))


def _one_of(runs: Sequence[RunFolder], baseline: Path) -> RunFolder:
    wanted = _opened(baseline)
    for run in runs:
        if (run.root.resolve(), run.step) == (wanted.root.resolve(), wanted.step):
            return run
    raise RunFolderError(
        "compare.unknown_baseline", f"--baseline {baseline} is none of the runs. Name it among them too."
    )


def show_comparison(compared: Any) -> None:
    """Print a line for each recipe, what differs in it, and the verdicts."""
    from tutelage.evaluation.paired.verdict import format_value

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
    _show_forgetting([run for group in compared.groups for run in group.runs])
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
        _show_further(group)
    if len(compared.groups) == 1:
        console.say("\nThe runs differ in their seed alone, so there is nothing to hold against each other.")


def _line(group: Any, metric: Any) -> list[str]:
    from tutelage.evaluation.paired.verdict import format_change, format_value

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
        _p(group.comparison.resampled[metric.name].p),
        group.comparison.verdict.word,
    ]


def _interval(low: float | None, high: float | None, metric: Any) -> str:
    from tutelage.evaluation.paired.verdict import format_change

    if low is None or high is None:
        return "unknown"
    return f"{format_change(low, metric)} to {format_change(high, metric)}"


def _p(p: float | None) -> str:
    return "unknown" if p is None else f"{p:.4f}" if p >= 0.0001 else "< 0.0001"


def _show_forgetting(runs: list[Any]) -> None:
    """Print a line for each run: what tuning cost it on general text, against its own base model."""
    from tutelage.evaluation.metrics.metrics import METRICS
    from tutelage.evaluation.paired.verdict import format_change, format_value

    metric = METRICS["bits_per_byte"]
    told = [(run.name, run.further.forgetting) for run in runs if run.further.forgetting]
    if not told:
        return
    console.say("\nGeneral text, in bits per byte (lower is better), each run against its own base model:")
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
    """Print what else was paired with the baseline, and what could not be, with the reason."""
    from tutelage.evaluation.compare.further_scores import without_judge

    paired = [(kind, name, one) for kind, of in group.further.items() for name, one in of.paired.items()]
    if paired:
        console.say("Beside the test rows:")
        console.table(
            ["", "by", "baseline", "this", "difference", "95 % interval", "p", ""],
            # The label of a judge's scores names the judge.
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
            console.say(one.missing)
    for kind, of in group.further.items():
        for name, why in of.left_out.items():
            console.say(f"Left out: {BEFORE_NAME[kind]}{name} ({why}).")


def _further_line(name: str, one: Any) -> list[str]:
    from tutelage.evaluation.paired.verdict import format_change, format_value

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
        _p(one.p_holm),
        one.verdict.word,
    ]


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values))
