"""What runs scored beside their test rows as lines of a table, and what tuning cost each of them."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tutelage.evaluation.further_scores import PairedKind, PairedScored
from tutelage.evaluation.metrics import METRICS, Metric
from tutelage.evaluation.runs import Group, Kind
from tutelage.report.scores import Bar, change_text, interval_text, p_text, value_text
from tutelage.report.sets import bar_of_its_own

TITLES: Mapping[Kind, str] = {"sets": "Set ", "judges": "Judge ", "passages": ""}


@dataclass(frozen=True)
class FurtherRow:
    """One set, judge or the general text, held against the baseline; its numbers as text."""

    title: str
    metric: Metric
    rows: int
    base: str
    tuned: str
    difference: str
    interval: str
    p: str
    word: str
    bar: Bar | None
    missing: str


@dataclass(frozen=True)
class ForgettingRow:
    """What tuning cost one run on general text, against its own base model; its numbers as text."""

    run: str
    base: str
    tuned: str
    difference: str
    interval: str
    word: str


def further_rows(further: Mapping[Kind, PairedKind]) -> list[FurtherRow]:
    """Return a line for all that was paired."""
    return [
        # The label of a judge's scores names the judge.
        _row("Judge" if kind == "judges" else TITLES[kind] + name, one)
        for kind, found in further.items()
        for name, one in found.paired.items()
    ]


def _row(title: str, one: PairedScored) -> FurtherRow:
    metric, measured = one.metric, one.measured
    return FurtherRow(
        title=title,
        metric=metric,
        rows=measured.n,
        base=value_text(measured.base, metric),
        tuned=value_text(measured.tuned, metric),
        difference=change_text(measured.difference, metric),
        interval=interval_text(measured.low, measured.high, metric),
        p=p_text(one.p_holm),
        word=one.verdict.word,
        bar=bar_of_its_own(asdict(measured), metric),
        missing=one.missing,
    )


def left_out(further: Mapping[Kind, PairedKind]) -> list[tuple[str, str]]:
    """Return what could not be paired, and why."""
    return [
        (TITLES[kind] + name, why) for kind, found in further.items() for name, why in found.left_out.items()
    ]


def forgetting_rows(groups: Iterable[Group]) -> list[ForgettingRow]:
    """Return a line for each run that was asked for general text."""
    runs = [run for group in groups for run in group.runs]
    return [_forgetting_row(run.name, run.further.forgetting) for run in runs if run.further.forgetting]


def _forgetting_row(run: str, figures: Mapping[str, Any]) -> ForgettingRow:
    metric = METRICS["bits_per_byte"]
    return ForgettingRow(
        run=run,
        base=value_text(figures["base"], metric),
        tuned=value_text(figures["tuned"], metric),
        difference=change_text(figures["difference"], metric),
        interval=interval_text(figures["low"], figures["high"], metric),
        word=figures["verdict"],
    )
