"""Everything that the scores of two models on the same rows say: by metric, at equal length, and as a verdict."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from tutelage.config.extensions import ANSWER_METRICS
from tutelage.evaluation.metrics import load_metric
from tutelage.evaluation.metrics.metric import Metric
from tutelage.evaluation.metrics.metrics import PairedScores, metric_named
from tutelage.evaluation.paired.verdict import NO_DIFFERENCE, Verdict, Word, verdict, verdict_on_answers
from tutelage.evaluation.stats.holm import holm
from tutelage.evaluation.stats.length_effect import LengthEffect, length_effect
from tutelage.evaluation.stats.statistics import (
    BootstrapResult,
    PairedDifference,
    paired_difference,
    resample,
)
from tutelage.run.evaluation import AnswerEvaluation, AnswersVerdict
from tutelage.run.figures import PairedFigures

# A p after correction that is larger makes no difference out of an interval that leaves out 0.
SIGNIFICANCE = 0.05
# An answer is right or wrong by the first of these that is scored.
RIGHT_OR_WRONG = ("json_exact", "numeric", "exact_match")


@dataclass(frozen=True)
class Comparison:
    """The paired difference of every metric, and what rests on it; `p_holm` holds the metrics that do not decide."""

    primary: Metric
    metrics: Mapping[str, Metric]
    measured: Mapping[str, PairedDifference]
    bootstrap: Mapping[str, BootstrapResult]
    p_holm: Mapping[str, float]
    length: LengthEffect | None
    verdict: Verdict

    def p(self, name: str) -> float | None:
        """The p of a metric as it is shown: raised for the metrics that do not decide."""
        return self.p_holm.get(name, self.bootstrap[name].p)

    def word(self, name: str) -> Word:
        """What one metric says by itself: its interval and, unless it decides, its p after Holm's correction."""
        word = verdict(self.measured[name], self.metrics[name]).word
        is_chance = self.p_holm.get(name, 0.0) > SIGNIFICANCE
        return NO_DIFFERENCE if is_chance and word in ("better", "worse") else word

    def to_record(self) -> dict[str, Any]:
        """Return it as metrics.json has it."""
        primary = self.measured[self.primary.name]
        return {
            "rows": primary.n + primary.missing,
            "clusters": primary.clusters,
            "primary_metric": self.primary.name,
            "verdict": self.verdict.word,
            "sentence": self.verdict.sentence,
            "minimum_detectable_effect": primary.minimum_detectable_effect,
            "metrics": {
                name: {**figures_of(one, self.bootstrap[name]), "p_holm": self.p_holm.get(name)}
                for name, one in self.measured.items()
            },
            "length": self.length and asdict(self.length),
        }


def compare_scores(scores: PairedScores, primary: Metric) -> Comparison:
    """Compare both models by every metric; `primary` alone decides, and the p values of the rest are raised by Holm."""
    measured, bootstrap = {}, {}
    for name, base in scores.base.items():
        scale = {"is_out_of_100": name in ANSWER_METRICS}  # of a function of the user's own nobody knows
        measured[name] = paired_difference(base, scores.tuned[name], scores.clusters, **scale)
        bootstrap[name] = resample(base, scores.tuned[name], scores.clusters, **scale)
    compared = compare_measured(
        primary,
        {name: metric_named(name) for name in measured},
        measured,
        bootstrap,
        length=length_effect(
            scores.tuned[primary.name] - scores.base[primary.name],
            scores.base_tokens,
            scores.tuned_tokens,
            scores.clusters,
        ),
    )
    right = right_or_wrong(measured)
    found = verdict_on_answers(
        measured[primary.name], primary, measured[right] if right else None, bootstrap[primary.name]
    )
    return replace(compared, verdict=found)


def right_or_wrong(scored: Collection[str]) -> str | None:
    """Return the name of the metric that says of each answer whether it is right, of those that are scored."""
    return next((name for name in RIGHT_OR_WRONG if name in scored), None)


def compare_measured(
    primary: Metric,
    metrics: Mapping[str, Metric],
    measured: Mapping[str, PairedDifference],
    bootstrap: Mapping[str, BootstrapResult],
    *,
    length: LengthEffect | None,
) -> Comparison:
    """Put together what was measured by each of the metrics; all mappings are by name."""
    secondary = {name: one.p for name, one in bootstrap.items() if name != primary.name and one.p is not None}
    return Comparison(
        primary=primary,
        metrics=metrics,
        measured=measured,
        bootstrap=bootstrap,
        p_holm=holm(secondary),
        length=length,
        verdict=verdict(measured[primary.name], primary, bootstrap[primary.name]),
    )


def comparison_of(found: AnswerEvaluation) -> Comparison:
    """Return the comparison that an evaluation wrote down, without computing any of it again."""
    words = found.answers or found  # of a preference tuning the verdict on its answers stands apart
    measured, bootstrap = {}, {}
    for name, one in found.metrics.items():
        measured[name], bootstrap[name] = _measured_of(one, found)
    return Comparison(
        primary=load_metric(found.primary_metric),
        metrics={name: metric_named(name) for name in measured},
        measured=measured,
        bootstrap=bootstrap,
        p_holm={name: one.p_holm for name, one in found.metrics.items() if one.p_holm is not None},
        length=LengthEffect(**found.length.model_dump()) if found.length else None,
        verdict=_verdict_of(words, "" if found.baselines is None else found.baselines.against),
    )


def deciding_difference(found: AnswerEvaluation) -> PairedDifference:
    """Return the difference that the verdict rests on: from the strongest baseline, or else from the base model."""
    against = None if found.baselines is None else found.baselines.difference
    deciding, _ = _measured_of(against or found.metrics[found.primary_metric], found)
    return deciding


def _measured_of(one: PairedFigures, found: AnswerEvaluation) -> tuple[PairedDifference, BootstrapResult]:
    figures = one.model_dump(exclude={"p_holm"})
    bootstrap = BootstrapResult(**{field.name: figures.pop(field.name) for field in fields(BootstrapResult)})
    return PairedDifference(**figures, n=found.rows - one.missing, clusters=found.clusters), bootstrap


def _verdict_of(words: AnswerEvaluation | AnswersVerdict, against: str) -> Verdict:
    claim = Verdict(words.verdict, "", against).sentence.rstrip()
    return Verdict(words.verdict, words.sentence.removeprefix(claim).lstrip(), against)


def figures_of(one: PairedDifference, bootstrap: BootstrapResult) -> dict[str, Any]:
    """Return the figures of one metric as metrics.json has them; the number of rows stands above all of them."""
    own = {name: value for name, value in asdict(one).items() if name not in ("n", "clusters")}
    return {**own, **asdict(bootstrap)}
