"""Writes the comparison of several runs as one HTML file, in the dress of a run's report."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tutelage.evaluation.compare.measures import mean_scores
from tutelage.evaluation.compare.runs import Group, RunsCompared
from tutelage.evaluation.metrics.metric import Metric
from tutelage.evaluation.metrics.metrics import PairedScores
from tutelage.evaluation.paired.verdict import detectable_sentence, format_value
from tutelage.report.answers import Selection, select
from tutelage.report.drawings import DrawnPart, IntervalDrawing, draw_intervals, split_rows
from tutelage.report.headline import SIGNS
from tutelage.report.page import render
from tutelage.report.paired_rows import PairedRow
from tutelage.report.scores import MetricRow, metric_rows
from tutelage.report.secondary_scores import general_text_rows, left_out, secondary_rows
from tutelage.run.folder import write_text


@dataclass(frozen=True)
class Held:
    """What the page shows of one recipe that is held against the baseline."""

    group: Group
    sign: str
    drawings: Mapping[str, IntervalDrawing]
    detectable: str
    tally: list[DrawnPart]
    table: list[MetricRow]
    selection: Selection
    further: list[PairedRow]
    left_out: list[tuple[str, str]]


@dataclass(frozen=True)
class Line:
    """One recipe in the table of means."""

    label: str
    seeds: str
    mean: str
    spread: str
    word: str


def write_comparison(path: Path, compared: RunsCompared) -> None:
    """Write the page to a file."""
    baseline = compared.groups[0]
    content = {
        "compared": compared,
        "baseline": baseline,
        "primary": compared.primary,
        "reading": compared.reading,
        "row_titles": ("Text", "Label") if baseline.runs[0].rows.labels else ("Prompt", "Reference"),
        "lines": [_line(group, compared.primary) for group in compared.groups],
        "general_text": general_text_rows(compared.groups),
        "held": [_held(group, compared) for group in compared.groups[1:]],
    }
    write_text(path, render("comparison.html", content))


def _line(group: Group, metric: Metric) -> Line:
    spread = group.seed_spread(metric.name)
    return Line(
        label=group.label,
        seeds=", ".join(map(str, group.seeds)),
        mean=format_value(group.mean(metric.name), metric),
        spread="one seed" if spread is None else f"± {spread:.{metric.decimals}f}",
        word=group.comparison.verdict.word if group.comparison else "baseline",
    )


def _held(group: Group, compared: RunsCompared) -> Held:
    assert group.comparison is not None
    primary = compared.primary
    deciding = group.comparison.measured[primary.name]
    return Held(
        group=group,
        sign=SIGNS[group.comparison.verdict.word],
        drawings=draw_intervals(deciding, primary, group.comparison.verdict),
        detectable=detectable_sentence(deciding.minimum_detectable_effect, primary),
        tally=split_rows(deciding, primary),
        table=metric_rows(group.comparison),
        selection=_selection(group, compared.groups[0], compared.reading),
        further=secondary_rows(group.further),
        left_out=left_out(group.further),
    )


def _selection(group: Group, baseline: Group, reading: Metric) -> Selection:
    """Choose rows to read by the answers of the first run of each recipe."""
    one, other = baseline.runs[0].rows, group.runs[0].rows
    base, tuned = (
        {reading.name: mean_scores([side.measures[reading.name]]), "exact_match": side.is_exact}
        for side in (one, other)
    )
    unread = np.zeros(len(one.answers))  # the lengths choose no row
    scores = PairedScores(tuple(one.answers), base, tuned, one.clusters, unread, unread)
    return select(list(one.answers.values()), list(other.answers.values()), scores, reading)
