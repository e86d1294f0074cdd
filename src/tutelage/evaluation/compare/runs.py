"""Any number of runs on the same test rows: recipes against a baseline, and the seeds of one recipe together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Literal, get_args

import numpy as np

from tutelage.config.inactive_settings import OF_JUDGES
from tutelage.config.objectives import OBJECTIVES
from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import PLACE_OF_WORK, TOLD, changed_settings
from tutelage.errors import RunFolderError
from tutelage.evaluation.compare.measures import Measure, mean_scores, pair_measures
from tutelage.evaluation.compare.scored_rows import ScoredRows
from tutelage.evaluation.compare.secondary_scores import PairedKind, Scored, SecondaryScores, pair_kind
from tutelage.evaluation.metrics.metric import Metric
from tutelage.evaluation.paired.comparison import Comparison, compare_measured
from tutelage.evaluation.paired.verdict import Verdict, verdict
from tutelage.evaluation.stats.length_effect import LengthEffect, length_effect
from tutelage.run.functions import FunctionSource, change_of_format, is_same_function

SEED = "training.seed"
# What changes how fast an answer comes, which files are kept or what else is asked, and not the answer.
WITHOUT_EFFECT = (
    *PLACE_OF_WORK,
    *TOLD,
    "training.save_steps",
    "training.save_total_limit",
    "evaluation.batch_size",
    "evaluation.sets",
    "evaluation.general_text",
    "evaluation.general_text_margin",
    "evaluation.general_text_kl_margin",
    *OF_JUDGES,
    *(name for one in OBJECTIVES.values() for name in one.changes_no_answer),
)
# What a run knows by its hash, and which parts of its `fingerprints` tell that it is the same under another name.
KNOWN_BY_HASH: Mapping[str, tuple[str, ...]] = {
    "data.source": ("data",),
    "model.name_or_path": ("model", "tokenizer"),
    "model.adapter": ("adapter",),
}
ROWS_NAMED = 5

Kind = Literal["sets", "judges", "passages", "functions"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class EvaluatedRun:
    """What one run scored with the weights that it kept, or with a `step` with those of that checkpoint.

    `fingerprints` holds a hash each of the data, the base model and what else its rows were prepared from.
    """

    name: str
    step: int | None
    recipe: Recipe
    data_sha256: str
    rows: ScoredRows
    further: SecondaryScores
    row_format: FunctionSource | None
    fingerprints: Mapping[str, str]


@dataclass(frozen=True)
class Group:
    """The runs of one recipe, which differ in their seed alone; its score on a row is the mean over them.

    `differs` names the settings that are not the baseline's. `comparison` is with the baseline, None for itself;
    `further` holds what can be paired beside the test rows, by its kind.
    """

    runs: tuple[EvaluatedRun, ...]
    differs: tuple[str, ...]
    comparison: Comparison | None
    further: Mapping[Kind, PairedKind]

    @property
    def label(self) -> str:
        return self.runs[0].name + (f" ({len(self.runs)} seeds)" if len(self.runs) > 1 else "")

    @property
    def seeds(self) -> list[int]:
        return [run.recipe.training.seed for run in self.runs]

    def means(self, metric: str) -> list[float]:
        """Return the value of each run."""
        return [run.rows.measures[metric].value for run in self.runs]

    def mean(self, metric: str) -> float:
        return float(np.mean(self.means(metric)))

    def seed_spread(self, metric: str) -> float | None:
        """Return the standard deviation of the runs' means, None where there is one seed."""
        return float(np.std(self.means(metric), ddof=1)) if len(self.runs) > 1 else None


@dataclass(frozen=True)
class RunsCompared:
    """All groups, that of the baseline first, and the metrics that all runs have.

    `primary` decides, as it does in the evaluation of the baseline; rows to read are chosen by `reading`.
    """

    primary: Metric
    metrics: Mapping[str, Metric]
    reading: Metric
    rows: int
    clusters: int
    groups: list[Group]

    @property
    def is_any_worse(self) -> bool:
        return any(group.comparison and group.comparison.verdict.word == "worse" for group in self.groups)

    def to_record(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "clusters": self.clusters,
            "primary_metric": self.primary.name,
            "baseline": self.groups[0].label,
            "groups": [_record(group, self.metrics) for group in self.groups],
        }


def _record(group: Group, metrics: Iterable[str]) -> dict[str, Any]:
    return {
        "name": group.label,
        "runs": [run.name for run in group.runs],
        "seeds": group.seeds,
        "differs": list(group.differs),
        "means": {name: group.mean(name) for name in metrics},
        "seed_spread": {name: group.seed_spread(name) for name in metrics},
        "comparison": group.comparison and group.comparison.to_record(),
        **{kind: group.further[kind].to_record() if group.further else None for kind in KINDS},
        "general_text": {
            run.name: run.further.general_text and run.further.general_text.to_record() for run in group.runs
        },
    }


def compare_runs(runs: Sequence[EvaluatedRun]) -> RunsCompared:
    """Compare the recipes of evaluated runs, or of single checkpoints, with that of the first, row by row.

    RunFolderError where two runs were not tested on the same rows of the same data, or have no metric in common.
    """
    first = runs[0]
    metrics = {
        name: measure.metric
        for name, measure in first.rows.measures.items()
        if all(name in run.rows.measures for run in runs)
    }
    deciding = [name for name in first.rows.deciding if name in metrics]
    for other in runs[1:]:
        if not deciding:
            _require_same_objective(first, other)
        _require_same_rows(first, other)
    by_recipe = reduce(_sorted_in, runs, [])
    groups = [_group(own, by_recipe[0], metrics, deciding) for own in by_recipe]
    reading = metrics[deciding[-1]]
    clusters = len(np.unique(first.rows.clusters))
    return RunsCompared(metrics[deciding[0]], metrics, reading, len(first.rows.answers), clusters, groups)


def _require_same_objective(one: EvaluatedRun, other: EvaluatedRun) -> None:
    if one.rows.measures.keys().isdisjoint(other.rows.measures):
        raise RunFolderError(
            "compare.different_objectives",
            f"{one.name} was trained with training.objective={one.recipe.training.objective} and"
            f" {other.name} with {other.recipe.training.objective}, which have no metric in common. Compare"
            " runs with the same objective.",
        )


def _require_same_rows(one: EvaluatedRun, other: EvaluatedRun) -> None:
    if one.data_sha256 != other.data_sha256:
        raise RunFolderError(
            "compare.different_data",
            f"{one.name} and {other.name} used different data (SHA-256 {one.data_sha256[:12]}… and"
            f" {other.data_sha256[:12]}…), so their test rows cannot be paired. Run both recipes on the same"
            " file.",
        )
    alone = sorted(one.rows.answers.keys() ^ other.rows.answers.keys())
    if alone:
        named = ", ".join(map(str, alone[:ROWS_NAMED])) + (", …" if len(alone) > ROWS_NAMED else "")
        raise RunFolderError(
            "compare.different_test_rows",
            f"{one.name} was tested on {len(one.rows.answers)} rows and {other.name} on"
            f" {len(other.rows.answers)}; {len(alone)} are only in one of them ({named}). Evaluate both with"
            " the same evaluation.limit and the same split.",
        )
    for row, answer in one.rows.answers.items():
        if answer["reference"] != other.rows.answers[row]["reference"]:
            raise RunFolderError(
                "compare.different_references",
                f"Row {row} has a different reference in {other.name} than in {one.name}. Evaluate both on"
                " the same data.",
            )
    strange = sorted({*one.rows.labels} ^ {*other.rows.labels})
    if strange:
        raise RunFolderError(
            "compare.different_labels",
            f"{one.name} has {len(one.rows.labels)} labels and {other.name} has {len(other.rows.labels)};"
            f" {strange[0]!r:.80} is only in one of them. Prepare both from the same rows.",
        )


def _sorted_in(groups: list[list[EvaluatedRun]], run: EvaluatedRun) -> list[list[EvaluatedRun]]:
    """Put a run beside those that differ from it in nothing but their seed."""
    apart_from = (SEED, *WITHOUT_EFFECT)
    for own in groups:
        has_own_seed = all(
            run.step == other.step and run.recipe.training.seed != other.recipe.training.seed for other in own
        )
        has_own_seed = has_own_seed and is_same_function(own[0].row_format, run.row_format)
        if has_own_seed and not _changes(own[0], run, apart_from=apart_from):
            own.append(run)
            return groups
    return [*groups, [run]]


def _group(
    runs: Sequence[EvaluatedRun],
    baseline: Sequence[EvaluatedRun],
    metrics: Mapping[str, Metric],
    deciding: Sequence[str],
) -> Group:
    if runs is baseline:
        return Group(tuple(runs), (), None, {})
    apart_from = WITHOUT_EFFECT if len(runs) == len(baseline) == 1 else (SEED, *WITHOUT_EFFECT)
    differs = [
        *_other_weights(baseline[0].step, runs[0].step),
        *_changes(baseline[0], runs[0], apart_from=apart_from),
        *change_of_format(baseline[0].row_format, runs[0].row_format),
    ]
    further = {kind: pair_kind(_by_run(baseline, kind), _by_run(runs, kind)) for kind in KINDS}
    return Group(tuple(runs), tuple(differs), _compare(baseline, runs, metrics, deciding), further)


def _changes(one: EvaluatedRun, other: EvaluatedRun, *, apart_from: Sequence[str]) -> list[str]:
    """Name the settings that differ; what is known by its hash differs where that does, whatever it is called."""
    same = {
        name: all(one.fingerprints.get(part) == other.fingerprints.get(part) for part in parts)
        for name, parts in KNOWN_BY_HASH.items()
    }
    renamed = [name for name, is_same in same.items() if is_same]
    if same["model.adapter"] and "adapter" in one.fingerprints:
        renamed.append("adapter.target_modules")  # a copy names one by one what all-linear meant
    changed = changed_settings(one.recipe, other.recipe, apart_from=(*apart_from, *renamed))
    told = {change.partition(" ")[0] for change in changed}
    unseen = [name for name, is_same in same.items() if not is_same and name not in told]
    return [*changed, *(f"{name} (different content under the same name)" for name in unseen)]


def _compare(
    baseline: Sequence[EvaluatedRun],
    runs: Sequence[EvaluatedRun],
    metrics: Mapping[str, Metric],
    deciding: Sequence[str],
) -> Comparison:
    clusters = baseline[0].rows.clusters
    paired = {
        name: pair_measures(_measures(baseline, name), _measures(runs, name), clusters) for name in metrics
    }
    compared = compare_measured(
        metrics[deciding[0]],
        metrics,
        {name: measured for name, (measured, _) in paired.items()},
        {name: bootstrap for name, (_, bootstrap) in paired.items()},
        length=_length(baseline, runs, deciding[-1]),
    )
    # Each of those that decide stands by its own interval. A preference that is learnt is no better answer.
    own_verdicts = [verdict(compared.measured[name], metrics[name]) for name in deciding[1:]]
    own = next((found for found in own_verdicts if found.word == "worse"), None)
    if own is None:
        return compared
    beside = f" beside {references}" if (references := baseline[0].rows.references) else ""
    reason = f"{compared.verdict.reason} But its own answers are worse{beside}: {own.reason}"
    return replace(compared, verdict=Verdict(compared.verdict.word, reason))


def _measures(runs: Sequence[EvaluatedRun], metric: str) -> list[Measure]:
    return [run.rows.measures[metric] for run in runs]


def _length(
    baseline: Sequence[EvaluatedRun], runs: Sequence[EvaluatedRun], metric: str
) -> LengthEffect | None:
    """Return what is left of the difference between answers of one length; None where there are no answers."""
    base, tuned = (
        [run.rows.tokens for run in side if run.rows.tokens is not None] for side in (baseline, runs)
    )
    if not base or not tuned:
        return None
    return length_effect(
        mean_scores(_measures(runs, metric)) - mean_scores(_measures(baseline, metric)),
        np.mean(base, axis=0),
        np.mean(tuned, axis=0),
        baseline[0].rows.clusters,
    )


def _other_weights(baseline: int | None, step: int | None) -> list[str]:
    before, now = ("the best" if at is None else f"those of step {at}" for at in (baseline, step))
    return [f"the weights (was {before}, now {now})"] if before != now else []


def _by_run(runs: Sequence[EvaluatedRun], kind: Kind) -> dict[str, Mapping[str, Scored]]:
    return {run.name: getattr(run.further, kind) for run in runs}
