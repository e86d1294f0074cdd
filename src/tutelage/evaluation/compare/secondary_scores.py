"""What runs scored beside their test rows: on named sets, by judges and on general text, paired row by row."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tutelage.config.recipe_evaluation import EvalSetSettings
from tutelage.evaluation.compare.scored_rows import Lines
from tutelage.evaluation.judge.results import judged_metric
from tutelage.evaluation.metrics import load_set_metric
from tutelage.evaluation.metrics.bits_per_byte import METRIC as BITS_PER_BYTE
from tutelage.evaluation.metrics.metric import Metric
from tutelage.evaluation.metrics.metrics import metric_named
from tutelage.evaluation.paired.comparison import figures_of
from tutelage.evaluation.paired.verdict import Verdict, format_change, verdict
from tutelage.evaluation.stats.clusters import cluster_rows
from tutelage.evaluation.stats.holm import holm
from tutelage.evaluation.stats.statistics import (
    BootstrapResult,
    PairedDifference,
    paired_difference,
    resample,
)
from tutelage.run.evaluation import GeneralText, SetFigures
from tutelage.run.functions import FunctionSource
from tutelage.run.judges import JudgedSet, JudgeResult, Judges

GENERAL_TEXT = "general text"
TEXT_METRIC = replace(
    BITS_PER_BYTE, meaning="negative log-probability per byte of plain text that no training here uses"
)


def without_judge(name: str, metric: Metric) -> str:
    """Return the name of a set without that of the judge who scored it, which the label of the metric says."""
    return name.removesuffix(metric.label.removeprefix("score"))


@dataclass(frozen=True)
class Scored:
    """The tuned model's scores of one run on one set of rows, by row; NaN is a score that is not there.

    Two runs are paired only where `how` and what each row was `asked` are equal in both, and neither has a `doubt`.
    """

    metric: Metric
    how: tuple[Any, ...]
    prompts: Mapping[int, tuple[str, ...]]
    scores: Mapping[int, float]
    doubt: str = ""
    counted: str = "test row"


@dataclass(frozen=True)
class SecondaryScores:
    """All that one run scored beside its test rows, and on these by functions of the user's own.

    `general_text` is what metrics.json says of general text.
    """

    sets: Mapping[str, Scored]
    judges: Mapping[str, Scored]
    passages: Mapping[str, Scored]
    functions: Mapping[str, Scored]
    general_text: GeneralText | None


@dataclass(frozen=True)
class PairedScored:
    """The paired difference from the baseline on one set of rows; `p_holm` is raised for those of its kind."""

    metric: Metric
    measured: PairedDifference
    bootstrap: BootstrapResult
    p_holm: float | None
    verdict: Verdict

    @property
    def missing(self) -> str:
        """What the scores that are not there could have changed; nothing where all are there."""
        one = self.measured
        if one.if_against is None or one.if_for is None:
            return ""
        against, in_favour = (format_change(end, self.metric) for end in (one.if_against, one.if_for))
        return (
            f"In the {self.metric.label}, rows that lack a score in one of the runs count for neither"
            f" ({one.missing} of {one.n + one.missing}); the difference would be {against} with all of them against"
            f" this one and {in_favour} with all for it."
        )

    def to_record(self) -> dict[str, Any]:
        return {
            "metric": self.metric.name,
            "rows": self.measured.n + self.measured.missing,
            "clusters": self.measured.clusters,
            "verdict": self.verdict.word,
            "sentence": self.verdict.sentence,
            **figures_of(self.measured, self.bootstrap),
            "p_holm": self.p_holm,
        }


@dataclass(frozen=True)
class PairedKind:
    """What could be paired of one kind, by name, and why the rest could not."""

    paired: Mapping[str, PairedScored]
    left_out: Mapping[str, str]

    def to_record(self) -> dict[str, Any]:
        return {
            "paired": {name: one.to_record() for name, one in self.paired.items()},
            "left_out": dict(self.left_out),
        }


def scored_set(figures: SetFigures, settings: EvalSetSettings | None, rows: Lines) -> Scored:
    """Return what a run scored on a named set, by its `rows` with both models' answers; `settings` declare it."""
    own = settings and (settings.pattern, settings.tolerance or 0, settings.json_schema, settings.choices)
    return Scored(
        metric=load_set_metric(figures.metric),
        how=(figures.metric, own, figures.number_convention),
        prompts=_asked(rows),
        scores={row["row"]: float(row["tuned"]["score"]) for row in rows},
    )


def scored_by_judges(
    found: Judges, judgements: Lines, answers: Lines, sets: Mapping[str, Lines]
) -> tuple[dict[str, Scored], dict[str, Scored]]:
    """Return the judges' scores of the test rows by judge, and those of the named sets by set and judge.

    `answers` are the lines of the test rows, and `sets` those of the named sets that judges score.
    """
    scores: dict[tuple[str, str | None], dict[int, float]] = {}
    for record in judgements:
        is_score = record["kind"] == "score" and record.get("variant") == "tuned"
        if is_score and record.get("value") is not None:
            own = scores.setdefault((record["judge"], record.get("set")), {})
            own[record["row"]] = float(record["value"])

    def scored(judge: str, of: str | None, rows: Lines, said: JudgeResult | JudgedSet) -> Scored:
        asked = _asked(rows)
        return Scored(
            metric=judged_metric(judge),
            how=("protocol", found.protocol_sha256),
            prompts=asked,
            scores={**dict.fromkeys(asked, float("nan")), **scores.get((judge, of), {})},
            doubt="" if said.trusted else "the judge is not trusted on it",
        )

    judges = found.judges.items()
    return {judge: scored(judge, None, answers, said) for judge, said in judges}, {
        f"{name} by {judge}": scored(judge, name, sets[name], of_set)
        for judge, said in judges
        for name, of_set in said.sets.items()
    }


def scored_functions(own: Mapping[str, FunctionSource], scores: Lines, answers: Lines) -> dict[str, Scored]:
    """Return the scores of the test rows by the user's own metrics; two of one source are one metric."""
    return {
        name: Scored(
            metric=metric_named(name),
            how=(source.sha256,),
            prompts=_asked(answers),
            scores={line["row"]: float(line["tuned"][name]) for line in scores},
            doubt="" if source.sha256 else "the source of its function is unknown",
        )
        for name, source in own.items()
    }


def scored_passages(rows: Lines) -> Scored:
    """Return the bits per byte of general text, from the lines of passages.jsonl."""
    return Scored(
        metric=TEXT_METRIC,
        how=(),
        prompts={row["passage"]: (row["sha256"],) for row in rows},
        scores={row["passage"]: float(row["tuned"]) for row in rows},
        counted="passage",
    )


def _asked(rows: Lines) -> dict[int, tuple[str, ...]]:
    return {row["row"]: (row["prompt"], row["reference"]) for row in rows}


def pair_kind(
    baseline: Mapping[str, Mapping[str, Scored]], runs: Mapping[str, Mapping[str, Scored]]
) -> PairedKind:
    """Pair every name that all runs hold alike; both mappings are by run, then by name.

    The score of a row is the mean over the runs of a side. A score that one run lacks is missing for both sides.
    """
    everywhere = {**baseline, **runs}
    names = list(dict.fromkeys(name for own in everywhere.values() for name in own))
    left_out = {name: why for name in names if (why := _why_left_out(name, everywhere))}
    measured = {
        name: _measure([own[name] for own in baseline.values()], [own[name] for own in runs.values()])
        for name in names
        if name not in left_out
    }
    raised = holm({name: one.p for name, (_, one) in measured.items() if one.p is not None})
    first = next(iter(baseline.values()))
    return PairedKind(
        {
            name: PairedScored(
                first[name].metric,
                one,
                bootstrap,
                raised.get(name),
                verdict(one, first[name].metric, bootstrap, counted=first[name].counted),
            )
            for name, (one, bootstrap) in measured.items()
        },
        left_out,
    )


def _why_left_out(name: str, runs: Mapping[str, Mapping[str, Scored]]) -> str:
    """Say which run keeps a name from being paired, and why; nothing where all hold it alike."""
    without = [run for run, own in runs.items() if name not in own]
    if without:
        return f"{without[0]} does not have it"
    (first_run, first), *others = [(run, own[name]) for run, own in runs.items()]
    for run, one in [(first_run, first), *others]:
        if one.doubt:
            return f"{run}: {one.doubt}"
    for run, one in others:
        if one.how != first.how:
            return f"{run} scores it differently than {first_run}"
        alone = sorted(one.prompts.keys() ^ first.prompts.keys())
        if alone:
            return f"{run} has different rows than {first_run}, for example row {alone[0]}"
        changed = sorted(row for row in first.prompts if one.prompts[row] != first.prompts[row])
        if changed:
            return f"{run} had different prompts than {first_run}, for example in row {changed[0]}"
    return ""


def _measure(baseline: list[Scored], runs: list[Scored]) -> tuple[PairedDifference, BootstrapResult]:
    rows = sorted(baseline[0].prompts)
    base, tuned = (
        np.mean([[one.scores[row] for row in rows] for one in side], axis=0) for side in (baseline, runs)
    )  # (rows,)
    # A passage is known by its hash, which resembles no other, so that each stands alone.
    clusters = cluster_rows([baseline[0].prompts[row][0] for row in rows])
    scale = {"is_out_of_100": baseline[0].metric.unit != ""}  # of a function of the user's own nobody knows
    return paired_difference(base, tuned, clusters, **scale), resample(base, tuned, clusters, **scale)
