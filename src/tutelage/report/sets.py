"""The named test sets of an evaluation as lines of a table."""

from collections.abc import Mapping

from tutelage.evaluation.judge.results import judged_metric
from tutelage.evaluation.metrics import load_set_metric
from tutelage.report.paired_rows import PairedRow, paired_row
from tutelage.run.evaluation import SetFigures
from tutelage.run.judges import JudgeResult


def set_rows(sets: Mapping[str, SetFigures], judges: Mapping[str, JudgeResult]) -> list[PairedRow]:
    """Return a line for each named set; of one that judges score, a line for each judge."""
    return [*_scored(sets), *_judged(sets, judges)]


def _scored(sets: Mapping[str, SetFigures]) -> list[PairedRow]:
    return [
        paired_row(
            name,
            load_set_metric(figures.metric),
            figures,
            rows=figures.rows,
            p=figures.p_holm,
            word=figures.verdict or "",
            about=figures.source,
        )
        for name, figures in sets.items()
        if not load_set_metric(figures.metric).is_judged
    ]


def _judged(sets: Mapping[str, SetFigures], judges: Mapping[str, JudgeResult]) -> list[PairedRow]:
    return [
        paired_row(
            name,
            judged_metric(judge),
            figures,
            rows=figures.rows,
            p=figures.p_holm,
            word=figures.verdict,
            about=sets[name].source,
            note="" if figures.trusted else figures.sentence,
        )
        for judge, result in judges.items()
        for name, figures in result.sets.items()
    ]
