"""Compares the fine-tuned model with the strongest baseline, and lists what every baseline scored."""

from typing import Any

import numpy as np

from tutelage.config.extensions import ANSWER_METRICS
from tutelage.evaluation.baselines.strongest import BASE, Baseline, Baselines
from tutelage.evaluation.metrics import load_metric
from tutelage.evaluation.metrics.metric import AnswerMetric
from tutelage.evaluation.metrics.metrics import PairedScores
from tutelage.evaluation.paired.comparison import figures_of, right_or_wrong
from tutelage.evaluation.paired.verdict import verdict_on_answers
from tutelage.evaluation.stats.statistics import mean_interval, paired_difference, resample


def compare_with_baselines(
    baselines: Baselines, scores: PairedScores, metric: AnswerMetric
) -> dict[str, Any]:
    """Return what metrics.json says of the baselines, and the verdict against the strongest one.

    `scores` pairs the base model in the prompt of the run with the fine-tuned model.
    """
    figures = {name: _figures(one, scores, metric) for name, one in baselines.found.items()}
    found = {
        "strongest": baselines.strongest,
        "against": baselines.against,
        "validation_rows": baselines.validation_rows,
        "figures": figures,
        "tuned": {
            "label": "fine-tuned model",
            **_mean(scores.tuned[metric.name], scores.clusters, metric),
        },
        "left_out": {name: left.to_record() for name, left in baselines.left_out.items()},
    }
    right = right_or_wrong(scores.base)
    against = {
        name: scores_of_strongest(baselines, scores, load_metric(name))
        for name in {metric.name, right or metric.name}
    }
    differences = {
        name: paired_difference(values, scores.tuned[name], scores.clusters)
        for name, values in against.items()
    }
    deciding = differences[metric.name]
    bootstrap = resample(against[metric.name], scores.tuned[metric.name], scores.clusters)
    if baselines.strongest != BASE:
        found["difference"] = figures_of(deciding, bootstrap)
    judged = verdict_on_answers(
        deciding, metric, differences[right] if right else None, bootstrap, against=baselines.against
    )
    return {
        "verdict": judged.word,
        "sentence": judged.sentence,
        "minimum_detectable_effect": deciding.minimum_detectable_effect,
        "baselines": found,
    }


def scores_of_strongest(baselines: Baselines, scores: PairedScores, metric: AnswerMetric) -> np.ndarray:
    """Return what the strongest baseline scored on the rows of `scores`: (rows,)."""
    if baselines.strongest == BASE:
        return scores.base[metric.name]
    by_row = {answer["row"]: metric.score(answer) for answer in baselines.found[baselines.strongest].answers}
    return np.array([by_row[row] for row in scores.rows], dtype=np.float64)


def baseline_lines(baselines: Baselines, metric: AnswerMetric) -> list[dict[str, Any]]:
    """Return a line for each answer of a baseline to a test row; those of the base model have a file of their own."""
    return [
        {
            "row": answer["row"],
            "baseline": name,
            "response": answer["response"],
            "score": float(metric.score(answer)),
        }
        for name, one in baselines.found.items()
        if name != BASE
        for answer in one.answers
    ]


def _figures(one: Baseline, scores: PairedScores, metric: AnswerMetric) -> dict[str, Any]:
    clusters = dict(zip(scores.rows, scores.clusters.tolist(), strict=True))
    values = np.array([metric.score(answer) for answer in one.answers], dtype=np.float64)  # (rows,)
    return {
        "label": one.label,
        "prompt_template": one.prompt_template,
        "examples": one.examples,
        "validation": one.validation,
        **_mean(values, np.array([clusters[answer["row"]] for answer in one.answers]), metric),
    }


def _mean(values: np.ndarray, clusters: np.ndarray, metric: AnswerMetric) -> dict[str, Any]:
    """Return the mean of scores, (rows,), with its 95 % interval."""
    interval = mean_interval(values, clusters, is_out_of_100=metric.name in ANSWER_METRICS)
    low, high = interval or (None, None)
    return {"rows": len(values), "value": float(values.mean()), "low": low, "high": high}
