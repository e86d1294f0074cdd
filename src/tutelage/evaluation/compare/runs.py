"""Any number of runs on the same test rows: recipes against a baseline, and the seeds of one recipe together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal, get_args

import numpy as np

from tutelage.config.effects import OF_JUDGES
from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import PLACE_OF_WORK, TOLD, changed_settings
from tutelage.errors import RunFolderError
from tutelage.evaluation.compare.further_scores import FurtherScores, PairedKind, Scored, pair_kind
from tutelage.evaluation.compare.measures import mean_scores
from tutelage.evaluation.compare.scored_rows import ScoredRows
from tutelage.evaluation.metrics.metrics import METRICS, Metric, PairedScores
from tutelage.evaluation.paired.comparison import Comparison, compare_scores

SEED = "training.seed"
# What changes how fast an answer comes, which files are kept or what else is asked, and not the answer.
WITHOUT_EFFECT = (
    *PLACE_OF_WORK,
    *TOLD,
    "training.save_steps",
    "training.save_total_limit",
    "evaluation.batch_size",
    "evaluation.sets",
    "evaluation.forgetting",
    "evaluation.forgetting_margin",
    "evaluation.forgetting_kl_margin",
    *OF_JUDGES,
)
ROWS_NAMED = 5

Kind = Literal["sets", "judges", "passages"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class EvaluatedRun:
    """What one run scored with the weights that it kept, or with a `step` with those of that checkpoint."""

    name: str
    step: int | None
    recipe: Recipe
    data_sha256: str
    rows: ScoredRows
    further: FurtherScores


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
        """Return the value of each run, which is the mean of its rows' scores."""
        return [run.rows.measures[metric].value for run in self.runs]

    def mean(self, metric: str) -> float:
        return float(np.mean(self.means(metric)))

    def seed_spread(self, metric: str) -> float | None:
        """Return the standard deviation of the runs' means, None where there is one seed."""
        return float(np.std(self.means(metric), ddof=1)) if len(self.runs) > 1 else None


@dataclass(frozen=True)
class RunsCompared:
    """All groups, that of the baseline first, and the metric of the baseline's recipe that decides."""

    primary: Metric
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
            "groups": [_record(group) for group in self.groups],
        }


def _record(group: Group) -> dict[str, Any]:
    return {
        "name": group.label,
        "runs": [run.name for run in group.runs],
        "seeds": group.seeds,
        "differs": list(group.differs),
        "means": {name: group.mean(name) for name in METRICS},
        "seed_spread": {name: group.seed_spread(name) for name in METRICS},
        "comparison": group.comparison and group.comparison.to_record(),
        **{kind: group.further[kind].to_record() if group.further else None for kind in KINDS},
        "forgetting": {
            run.name: run.further.forgetting and run.further.forgetting.to_record() for run in group.runs
        },
    }


def compare_runs(runs: Sequence[EvaluatedRun]) -> RunsCompared:
    """Compare the recipes of evaluated runs, or of single checkpoints, with that of the first, row by row.

    RunFolderError where two runs were not tested on the same rows of the same data.
    """
    first = runs[0]
    for other in runs[1:]:
        _refuse_other_rows(first, other)
    primary = METRICS[first.recipe.evaluation.primary_metric]
    clusters = first.rows.clusters
    by_recipe = reduce(_sorted_in, runs, [])
    groups = [_group(own, by_recipe[0], clusters, primary) for own in by_recipe]
    return RunsCompared(primary, len(first.rows.answers), len(np.unique(clusters)), groups)


def _refuse_other_rows(one: EvaluatedRun, other: EvaluatedRun) -> None:
    if one.data_sha256 != other.data_sha256:
        raise RunFolderError(
            "compare.different_data",
            f"{one.name} and {other.name} were made from different data (SHA-256 {one.data_sha256[:12]}… and"
            f" {other.data_sha256[:12]}…), so their test rows cannot be paired. Run both recipes on the same file.",
        )
    alone = sorted(one.rows.answers.keys() ^ other.rows.answers.keys())
    if alone:
        named = ", ".join(map(str, alone[:ROWS_NAMED])) + (", …" if len(alone) > ROWS_NAMED else "")
        raise RunFolderError(
            "compare.different_test_rows",
            f"{one.name} was tested on {len(one.rows.answers)} rows and {other.name} on {len(other.rows.answers)};"
            f" {len(alone)} stand in one of them alone ({named}). Evaluate both with the same evaluation.limit, on"
            " data that was split alike.",
        )
    for row, answer in one.rows.answers.items():
        if answer["reference"] != other.rows.answers[row]["reference"]:
            raise RunFolderError(
                "compare.different_references",
                f"Row {row} has another reference in {other.name} than in {one.name}. Evaluate both on the same data.",
            )


def _sorted_in(groups: list[list[EvaluatedRun]], run: EvaluatedRun) -> list[list[EvaluatedRun]]:
    """Put a run beside those that differ from it in nothing but their seed."""
    apart_from = (SEED, *WITHOUT_EFFECT)
    for own in groups:
        has_own_seed = all(
            run.step == other.step and run.recipe.training.seed != other.recipe.training.seed for other in own
        )
        if has_own_seed and not changed_settings(own[0].recipe, run.recipe, apart_from=apart_from):
            own.append(run)
            return groups
    return [*groups, [run]]


def _group(
    runs: Sequence[EvaluatedRun], baseline: Sequence[EvaluatedRun], clusters: np.ndarray, primary: Metric
) -> Group:
    if runs is baseline:
        return Group(tuple(runs), (), None, {})
    scores = PairedScores(
        rows=tuple(runs[0].rows.answers),
        base=_mean_scores(baseline),
        tuned=_mean_scores(runs),
        clusters=clusters,
        base_tokens=np.mean([run.rows.tokens for run in baseline], axis=0),
        tuned_tokens=np.mean([run.rows.tokens for run in runs], axis=0),
    )
    apart_from = WITHOUT_EFFECT if len(runs) == len(baseline) == 1 else (SEED, *WITHOUT_EFFECT)
    differs = [
        *_other_weights(baseline[0].step, runs[0].step),
        *changed_settings(baseline[0].recipe, runs[0].recipe, apart_from=apart_from),
    ]
    further = {kind: pair_kind(_by_run(baseline, kind), _by_run(runs, kind)) for kind in KINDS}
    return Group(tuple(runs), tuple(differs), compare_scores(scores, primary), further)


def _other_weights(baseline: int | None, step: int | None) -> list[str]:
    before, now = ("the best" if at is None else f"those of step {at}" for at in (baseline, step))
    return [f"the weights (was {before}, now {now})"] if before != now else []


def _by_run(runs: Sequence[EvaluatedRun], kind: Kind) -> dict[str, Mapping[str, Scored]]:
    return {run.name: getattr(run.further, kind) for run in runs}


def _mean_scores(runs: Sequence[EvaluatedRun]) -> dict[str, np.ndarray]:
    """Return the mean over the runs of each row's score: by metric (rows,)."""
    return {name: mean_scores([run.rows.measures[name] for run in runs]) for name in METRICS}
