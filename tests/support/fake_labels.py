"""Runs of a classification and of a preference tuning as their evaluation leaves them, from per-row results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from support.fake_run import GENERAL_TEXT_FIGURES, RECIPE, make_run

from tutelage.evaluation.metrics import load_metric
from tutelage.evaluation.metrics.class_metrics import class_metrics
from tutelage.evaluation.metrics.metrics import score_rows
from tutelage.evaluation.metrics.multi_label import label_set_metrics
from tutelage.evaluation.paired.comparison import compare_scores
from tutelage.objectives.classification.evaluation import verdict
from tutelage.objectives.preference.evaluation import with_preference
from tutelage.run.artifacts import write_artifact
from tutelage.run.evaluation import AnswerEvaluation, ClassEvaluation
from tutelage.run.folder import PREDICTIONS, PREFERENCES, RunFolder, write_json_lines, write_text
from tutelage.run.lines import read_json_lines

LABELS = ("ham", "spam", "advert")
WORDS = ("fig", "lime", "kiwi", "date", "pear", "plum", "melon", "peach", "walnut", "quince", "grape")


def text_of(row: int) -> str:
    """A text that resembles no other."""
    chance = np.random.default_rng(row)
    return " ".join(f"{WORDS[place]}{number}" for place, number in chance.integers((11, 9999), size=(9, 2)))


def make_class_run(
    root: Path,
    wanted: np.ndarray,
    given: np.ndarray,
    *,
    settings: str = "",
    labels: Sequence[str] = LABELS,
    texts: Sequence[str] | None = None,
) -> RunFolder:
    """Write a run that gave (rows,) classes by number, or (rows, labels) bool of several labels between "|"."""
    run = make_run(root, test_rows=6, until="tune")
    several = given.ndim == 2
    own = 'objective = "classification"\n' + settings
    text = RECIPE.replace("[training]", f"[training]\n{own}").split("[evaluation]")[0]
    if several:
        text = text.replace("[data]", '[data]\nlabel_separator = "|"')
    write_text(run.recipe, text.replace('prompt = "alpaca"\n', ""))
    probabilities = np.where(given, 0.9, 0.1) if several else 0.7 * np.eye(len(labels))[given] + 0.1
    if several:
        nothing = np.zeros(len(labels), dtype=bool)
        figures = label_set_metrics(
            wanted, probabilities, labels, separator="|", majority=nothing, by_words=np.zeros_like(wanted)
        )
    else:
        figures = class_metrics(wanted, probabilities, labels, majority=0, by_words=np.zeros_like(wanted))
    run.evaluation.mkdir(exist_ok=True)
    found = {"format": 2, "objective": "classification", "primary_metric": "accuracy", **figures}
    write_artifact(run.metrics, ClassEvaluation.model_validate({**found, **verdict(figures)}))

    def name(one: Any) -> str:
        return "|".join(sorted(np.array(labels)[one])) if several else labels[one]

    lines = [
        {
            "row": row,
            "text": texts[row] if texts else text_of(row),
            "label": name(wanted[row]),
            "predicted": name(given[row]),
            "probability": 0.9,
            "probabilities": dict(zip(labels, probabilities[row].tolist(), strict=True)),
        }
        for row in range(len(wanted))
    ]
    write_json_lines(run.evaluation / PREDICTIONS, lines[::-1])
    return run


def make_preference_run(
    root: Path, margins: Sequence[float], *, beta: float = 0.1, ties: Sequence[int] = ()
) -> RunFolder:
    """Write a run whose margins, in nats before beta, are given in the order of its test rows."""
    run = make_run(root, test_rows=len(margins))
    text = RECIPE.replace("[training]", '[training]\nobjective = "dpo"')
    write_text(run.recipe, f"{text}\n[preference]\nbeta = {beta}\n")
    answers = read_json_lines(run.responses("tuned"))
    lines = [
        {
            "row": answer["row"],
            "prompt": answer["prompt"],
            "chosen": answer["reference"],
            "rejected": "No.",
            "margin": beta * margin,
            "is_tie": place in ties,
            "base": {"chosen": -20.0, "rejected": -30.0},
            "tuned": {"chosen": -20.0 + margin / 4, "rejected": -30.0 - 3 * margin / 4},
        }
        for place, (answer, margin) in enumerate(zip(answers, margins, strict=True))
    ]
    write_json_lines(run.evaluation / PREFERENCES, lines[::-1])
    rewrite_preference_figures(run, np.array(margins) > 0)
    return run


def rewrite_preference_figures(run: RunFolder, is_right: np.ndarray) -> None:
    """Write the figures that belong to the answers in the folder, and of the pairs as far as a test asks for them."""
    answers = [read_json_lines(run.responses(variant)) for variant in ("base", "tuned")]
    scores = score_rows(*answers)
    write_json_lines(run.scores, scores.to_records())
    share = {"value": float(is_right.mean()), "low": 0.0, "high": 1.0}
    bits = {"base": 1.0, "tuned": 1.0, "difference": 0.0, "low": None, "high": None}
    figures = {
        "rows": len(is_right),
        "accuracy": share,
        "ties": 0,
        "accuracy_without_ties": share,
        "margin": {"mean": 1.0, "low": None, "high": None},
        "rewards": {"chosen": 0.5, "rejected": -0.5},
        "chosen_likelier": {"base": {**share, "ties": 0}, "tuned": {**share, "ties": 0}, "p": 1.0},
        "bits_per_byte": {"chosen": bits, "rejected": bits},
        "verdict": "better",
        "sentence": "Moved towards the chosen answers.",
    }
    result = with_preference(compare_scores(scores, load_metric("chrf")).to_record(), figures)
    found = {"format": 2, **result, "objective": "dpo", "sets": {}, "general_text": GENERAL_TEXT_FIGURES}
    write_artifact(run.metrics, AnswerEvaluation.model_validate(found))
