"""Stage 3 of a classification: the label of every test row with its probabilities, and what they are worth."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tutelage.data.class_rows import class_numbers
from tutelage.data.preparation import read_prepared
from tutelage.data.prepared_rows import PreparedRows
from tutelage.evaluation.class_metrics import class_metrics
from tutelage.evaluation.evaluate import open_rows, trained_dtype
from tutelage.evaluation.word_counts import classes_by_words, is_available
from tutelage.model.assembly import open_base, open_tuned
from tutelage.model.class_head import class_log_probs, with_class_head
from tutelage.model.forward import CausalModel
from tutelage.model.sources import ModelSource
from tutelage.recipe import Recipe
from tutelage.run_folder import RunFolder, read_json, write_json, write_json_lines
from tutelage.runtime import choose_device, choose_dtype
from tutelage.storage import publish_folder

Progress = Callable[[str, int], Callable[[int], None]]


def evaluate_classification(
    run: RunFolder, recipe: Recipe, source: ModelSource, *, progress: Progress
) -> dict[str, Any]:
    """Classify the test rows with the tuned model, and write the predictions and metrics.json, which is returned."""
    rows = open_rows(run, recipe, source)
    classes = read_json(run.preparation)["classes"]
    model = open_classifier(run, recipe, source)
    texts = [rows[index].example.prompt_ids for index in range(len(rows))]
    advance = progress("classifying the test rows", len(texts))
    found = predictions_of(model, texts, classes, progress=advance)
    probabilities = np.array([list(one["probabilities"].values()) for one in found])
    training = read_prepared(run, "train")
    trained = class_numbers(training)
    figures = class_metrics(
        class_numbers(rows),
        probabilities,
        classes,
        majority=int(np.bincount(trained).argmax()),
        by_words=_by_words(training, trained, rows),
    )
    result = {
        "objective": "classification",
        "primary_metric": "accuracy",
        **figures,
        **verdict(figures),
        "sets": {},
        "forgetting": None,
    }
    predictions = [
        {
            "row": rows[index].example.row,
            "text": rows[index].prompt,
            "label": rows[index].response,
            **found[index],
        }
        for index in range(len(rows))
    ]

    def fill(staged: Path) -> None:
        write_json_lines(staged / run.predictions.name, predictions)
        write_json(staged / run.metrics.name, result)

    publish_folder(run.evaluation, fill)
    return result


def verdict(figures: dict[str, Any]) -> dict[str, str]:
    """Return whether the tuned model is better than always the majority class, by McNemar's test at 5 %."""
    accuracy, base = figures["accuracy"], figures["baselines"]["majority"]
    words = figures["baselines"]["tf_idf"]
    is_detected = base["p"] < 0.05
    word = "no difference detectable"
    if is_detected:
        word = "better" if accuracy["value"] > base["accuracy"] else "worse"
    sentence = (
        f"{100 * accuracy['value']:.2f} % of {figures['rows']:,} test rows are right (95 % interval"
        f" {100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f} %); always answering {base['label']!r} is right"
        f" on {100 * base['accuracy']:.2f} %"
        f" (McNemar p = {base['p']:.2g}): {word}."
    )
    if words:
        share, p = words["accuracy"], words["p"]
        sentence += f" TF-IDF with logistic regression is right on {100 * share:.2f} % (McNemar p = {p:.2g})."
    return {"verdict": word, "sentence": sentence}


def _by_words(training: PreparedRows, trained: np.ndarray, asked: PreparedRows) -> np.ndarray | None:
    if not is_available():
        return None
    return classes_by_words([row.prompt for row in training], trained, [row.prompt for row in asked])


def open_classifier(
    run: RunFolder,
    recipe: Recipe,
    source: ModelSource,
    *,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> CausalModel:
    """Load the base model of a run with the head and the weights that were trained on it.

    Device and type of the products are those of the training where none are given.
    """
    device = device or choose_device(recipe.training.device)
    base = open_base(
        source,
        device,
        dtype or choose_dtype(trained_dtype(run, recipe), device),
        padded_because=read_json(run.training)["padded_because"],
    )
    classes = read_json(run.preparation)["classes"]
    return open_tuned(with_class_head(base, len(classes), seed=0), run.weights, recipe.adapter)


def predictions_of(
    model: CausalModel,
    texts: Sequence[Sequence[int]],
    classes: Sequence[str],
    *,
    progress: Callable[[int], None] = lambda texts: None,
) -> list[dict[str, Any]]:
    """Return the most probable class of each text, given by its ids, and the probability of every class."""
    probabilities = np.exp(class_log_probs(model, texts, len(classes), progress=progress))
    return [
        {
            "predicted": classes[int(row.argmax())],
            "probabilities": dict(zip(classes, row.tolist(), strict=True)),
        }
        for row in probabilities
    ]
