"""Stage 3 of a classification: the label of every test row with its probabilities, and what they are worth."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tutelage.config.recipe import Recipe
from tutelage.data.dataset.class_rows import as_matrix, class_numbers
from tutelage.data.dataset.preparation import read_prepared
from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.data.quality.label_names import quoted
from tutelage.evaluation.answers.responses import Progress, Waiting
from tutelage.evaluation.baselines.word_counts import classes_by_words, label_sets_by_words
from tutelage.evaluation.baselines.zero_shot import classes_by_names
from tutelage.evaluation.evaluate import open_rows, trained_dtype
from tutelage.evaluation.metrics.class_metrics import class_metrics
from tutelage.evaluation.metrics.several_labels import label_set_metrics, set_prediction
from tutelage.evaluation.metrics.threshold import given_at, rarer_class, threshold_figures
from tutelage.evaluation.paired.verdict import format_p
from tutelage.model.assembly import open_base, open_tuned
from tutelage.model.class_head import class_probabilities, label_probabilities, with_class_head
from tutelage.model.forward import CausalModel
from tutelage.model.loading import context_length, load_tokenizer
from tutelage.model.sources import ModelSource
from tutelage.run.artifacts import Preparation, TrainingResult, read_artifact, write_artifact
from tutelage.run.evaluation import ClassEvaluation
from tutelage.run.folder import RunFolder, write_json_lines
from tutelage.system.runtime import choose_device, choose_dtype_to_open
from tutelage.system.storage import publish_folder


def evaluate_classification(
    run: RunFolder, recipe: Recipe, source: ModelSource, *, progress: Progress, waiting: Waiting
) -> ClassEvaluation:
    """Classify the test rows with the tuned model, and write the predictions and metrics.json, which is returned."""
    rows = open_rows(run, recipe, source)
    classes = read_artifact(Preparation, run.preparation).classes
    # Before the tuned model, so that the two are not in memory at once.
    by_names = None
    if recipe.evaluation.zero_shot:
        by_names = _by_names(run, recipe, source, rows=rows, classes=classes, progress=progress)
    waiting("Loading the tuned model")
    model = open_classifier(run, recipe, source)
    several = recipe.data.label_separator is not None
    find = label_probabilities if several else class_probabilities

    def ask(split: str, asked: PreparedRows) -> np.ndarray:
        texts = [asked[index].example.prompt_ids for index in range(len(asked))]
        return find(
            model, texts, len(classes), progress=progress(f"classifying the {split} rows", len(asked))
        )

    probabilities = ask("test", rows)
    waiting("Comparing with what words alone tell")
    figures = (
        _several_labels(run, recipe, rows, probabilities)
        if several
        else _one_label(run, rows, probabilities, by_names=by_names, ask=ask)
    )
    evaluation = ClassEvaluation.model_validate(
        {
            "format": 1,
            "objective": "classification",
            "primary_metric": "accuracy",
            **figures,
            **verdict(figures),
            "sets": {},
            "forgetting": None,
            "checksums": "verified" if source.is_checked else "skipped",
        }
    )
    predictions = [
        {
            "row": rows[index].example.row,
            "text": rows[index].prompt,
            "label": rows[index].response,
            **_prediction(probabilities[index], classes, recipe),
        }
        for index in range(len(rows))
    ]

    def fill(staged: Path) -> None:
        write_json_lines(staged / run.predictions.name, predictions)
        write_artifact(staged / run.metrics.name, evaluation)

    publish_folder(run.evaluation, fill)
    return evaluation


def _one_label(
    run: RunFolder,
    rows: PreparedRows,
    probabilities: np.ndarray,
    *,
    by_names: np.ndarray | None,
    ask: Callable[[str, PreparedRows], np.ndarray],
) -> dict[str, Any]:
    classes = read_artifact(Preparation, run.preparation).classes
    training, validation = read_prepared(run, "train"), read_prepared(run, "validation")
    trained, wanted = class_numbers(training), class_numbers(rows)
    figures = class_metrics(
        wanted,
        probabilities,
        classes,
        majority=int(np.bincount(trained).argmax()),
        by_words=_by_words(training, trained, rows, classes_by_words),
        by_names=by_names,
    )
    threshold = None
    if len(classes) == 2 and len(validation):
        threshold = threshold_figures(
            wanted,
            probabilities,
            classes,
            label=rarer_class(trained),
            validation=(class_numbers(validation), ask("validation", validation)),
        )
    return {**figures, "threshold": threshold}


def _several_labels(
    run: RunFolder, recipe: Recipe, rows: PreparedRows, probabilities: np.ndarray
) -> dict[str, Any]:
    prepared = read_artifact(Preparation, run.preparation)
    sets = as_matrix(prepared.label_sets, len(prepared.classes))  # (sets, labels)
    training = read_prepared(run, "train")
    trained = class_numbers(training)
    return label_set_metrics(
        sets[class_numbers(rows)],
        probabilities,
        prepared.classes,
        separator=str(recipe.data.label_separator),
        majority=sets[np.bincount(trained).argmax()],
        by_words=_by_words(training, sets[trained], rows, label_sets_by_words),
    )


def verdict(figures: dict[str, Any]) -> dict[str, str]:
    """Return whether the tuned model is better than always the majority class, by McNemar's test at 5 %."""
    accuracy, base = figures["accuracy"], figures["baselines"]["majority"]
    words = figures["baselines"]["tf_idf"]
    is_detected = base["p"] < 0.05
    word = "no difference detectable"
    if is_detected:
        word = "better" if accuracy["value"] > base["accuracy"] else "worse"
    right = "are right" if "micro_f1" not in figures else "have exactly their labels"
    sentence = (
        f"{100 * accuracy['value']:.1f} % of {figures['rows']:,} test rows {right} (95 % interval"
        f" {100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f} %); always answering"
        f" {quoted(base['label'])} is right on {100 * base['accuracy']:.1f} %"
        f" (McNemar {_p(base['p'])}): {word}."
    )
    share, p = words["accuracy"], words["p"]
    sentence += f" TF-IDF with logistic regression is right on {100 * share:.1f} % (McNemar {_p(p)})."
    if names := figures["baselines"]["zero_shot"]:
        sentence += (
            f" The base model, given the names of the labels, is right on {100 * names['accuracy']:.1f} %"
            f" (McNemar {_p(names['p'])})."
        )
    return {"verdict": word, "sentence": sentence}


def _p(p: float) -> str:
    return f"p {format_p(p)}" if p < 0.001 else f"p = {format_p(p)}"


def _by_words(
    training: PreparedRows,
    trained: np.ndarray,
    asked: PreparedRows,
    learn: Callable[[Sequence[str], np.ndarray, Sequence[str]], np.ndarray],
) -> np.ndarray:
    return learn([row.prompt for row in training], trained, [row.prompt for row in asked])


def _by_names(
    run: RunFolder,
    recipe: Recipe,
    source: ModelSource,
    *,
    rows: PreparedRows,
    classes: Sequence[str],
    progress: Progress,
) -> np.ndarray:
    base = _open_base(run, recipe, source)
    return classes_by_names(
        base,
        load_tokenizer(source.folder),
        [row.prompt for row in rows],
        classes,
        context_length=context_length(source.folder),
        progress=progress("asking the base model", len(rows) * len(classes)),
    )


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
    base = _open_base(run, recipe, source, device=device, dtype=dtype)
    prepared = read_artifact(Preparation, run.preparation)
    with_head = with_class_head(base, len(prepared.classes), seed=0, sets=prepared.label_sets)
    return open_tuned(with_head, run.weights, recipe.adapter)


def _open_base(
    run: RunFolder,
    recipe: Recipe,
    source: ModelSource,
    *,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> CausalModel:
    device = device or choose_device(recipe.training.device)
    return open_base(
        source,
        device,
        dtype or choose_dtype_to_open(trained_dtype(run, recipe), device),
        padded_because=read_artifact(TrainingResult, run.training).padded_because,
    )


def predictions_of(
    model: CausalModel,
    recipe: Recipe,
    texts: Sequence[Sequence[int]],
    classes: Sequence[str],
    *,
    threshold: tuple[int, float] | None = None,
) -> list[dict[str, Any]]:
    """Return the label or labels of each text, given by its ids, how probable they are, and every label by itself.

    Of two classes one, by its number, can be given from a `threshold` on.
    """
    find = class_probabilities if recipe.data.label_separator is None else label_probabilities
    return [_prediction(row, classes, recipe, threshold) for row in find(model, texts, len(classes))]


def _prediction(
    probabilities: np.ndarray,
    classes: Sequence[str],
    recipe: Recipe,
    threshold: tuple[int, float] | None = None,
) -> dict[str, Any]:
    if recipe.data.label_separator is not None:
        return set_prediction(probabilities, classes, recipe.data.label_separator)
    given = int(given_at(probabilities[None], *threshold)[0] if threshold else probabilities.argmax())
    return {
        "predicted": classes[given],
        "probability": float(probabilities[given]),
        "probabilities": dict(zip(classes, probabilities.tolist(), strict=True)),
    }
