"""What runs scored beside their test rows as lines of a table, and what tuning cost each of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tutelage.evaluation.compare.runs import Group, Kind
from tutelage.evaluation.compare.secondary_scores import PairedKind, PairedScored, without_judge
from tutelage.evaluation.metrics.bits_per_byte import METRIC as BITS_PER_BYTE
from tutelage.report.paired_rows import PairedRow, paired_row
from tutelage.report.scores import change_text, interval_text, value_text
from tutelage.run.evaluation import GeneralText

TITLES: Mapping[Kind, str] = {"sets": "Set ", "judges": "Judge ", "passages": "", "functions": "Metric "}


@dataclass(frozen=True)
class GeneralTextRow:
    """What tuning cost one run on general text, against its own base model; its numbers as text."""

    run: str
    base: str
    tuned: str
    difference: str
    interval: str
    word: str


def secondary_rows(further: Mapping[Kind, PairedKind]) -> list[PairedRow]:
    """Return a line for all that was paired."""
    return [
        # The label of a judge's scores names the judge.
        _row("Judge" if kind == "judges" else TITLES[kind] + without_judge(name, one.metric), one)
        for kind, found in further.items()
        for name, one in found.paired.items()
    ]


def _row(title: str, one: PairedScored) -> PairedRow:
    return paired_row(
        title[:1].upper() + title[1:],
        one.metric,
        one.measured,
        rows=one.measured.n,
        p=one.p_holm,
        word=one.verdict.word,
        note=one.missing,
    )


def left_out(further: Mapping[Kind, PairedKind]) -> list[tuple[str, str]]:
    """Return what could not be paired, and why."""
    return [
        (TITLES[kind] + name, why) for kind, found in further.items() for name, why in found.left_out.items()
    ]


def general_text_rows(groups: Iterable[Group]) -> list[GeneralTextRow]:
    """Return a line for each run that was asked for general text."""
    runs = [run for group in groups for run in group.runs]
    return [_general_text_row(run.name, run.further.general_text) for run in runs if run.further.general_text]


def _general_text_row(run: str, figures: GeneralText) -> GeneralTextRow:
    metric = BITS_PER_BYTE
    return GeneralTextRow(
        run=run,
        base=value_text(figures.base, metric),
        tuned=value_text(figures.tuned, metric),
        difference=change_text(figures.difference, metric),
        interval=interval_text(figures.low, figures.high, metric),
        word=figures.verdict,
    )
