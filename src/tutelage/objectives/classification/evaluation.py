"""Stage 3 of a classification: the label of every test row with its probabilities, and what they are worth."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from tutelage.config.recipe import Recipe
from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.data.quality.label_names import quoted
from tutelage.evaluation.answers.responses import Progress
from tutelage.evaluation.baselines.tf_idf import classes_by_words, label_sets_by_words
from tutelage.evaluation.baselines.zero_shot import classes_by_names
from tutelage.evaluation.compare.scored_rows import ScoredRows, scored_labels
from tutelage.evaluation.evaluate import Evaluated, EvaluationInputs
from tutelage.evaluation.metrics.class_metrics import class_metrics
from tutelage.evaluation.metrics.multi_label import label_set_metrics, set_prediction
from tutelage.evaluation.metrics.threshold import given_at, rarer_class, threshold_figures
from tutelage.evaluation.paired.verdict import format_p
from tutelage.evaluation.work_ahead import EvaluationAhead, nodes_of_prompts
from tutelage.model.class_head import as_matrix, class_probabilities, label_probabilities, with_class_head
from tutelage.model.forward import CausalModel
from tutelage.model.loading import context_length, load_tokenizer
from tutelage.model.trained import TrainedModel
from tutelage.objectives.spec import EvaluationPart, ReadLines
from tutelage.run.evaluation import ClassEvaluation, Evaluation
from tutelage.run.folder import PREDICTIONS
from tutelage.training.work import Work


def evaluate_classification(inputs: EvaluationInputs) -> Evaluated:
    """Classify the test rows with the tuned model, and say what its labels are worth."""
    trained, rows = inputs.trained, inputs.split("test")
    recipe, classes = trained.recipe, trained.preparation.classes
    # Before the tuned model, so that the two are not in memory at once.
    by_names = None
    if recipe.evaluation.zero_shot:
        by_names = _by_names(trained, rows=rows, classes=classes, progress=inputs.progress)
    inputs.waiting("Loading the fine-tuned model")
    model = load_classifier(trained)
    several = recipe.data.label_separator is not None
    find = label_probabilities if several else class_probabilities

    def ask(split: str, asked: PreparedRows) -> np.ndarray:
        texts = [asked[index].example.prompt_ids for index in range(len(asked))]
        return find(
            model, texts, len(classes), progress=inputs.progress(f"classifying the {split} rows", len(asked))
        )

    probabilities = ask("test", rows)
    inputs.waiting("Computing the TF-IDF baseline")
    figures = (
        _several_labels(inputs, probabilities)
        if several
        else _one_label(inputs, probabilities, by_names=by_names, ask=ask)
    )
    evaluation = ClassEvaluation.model_validate(
        {
            "format": 2,
            "objective": recipe.objective.name,
            "primary_metric": "accuracy",
            **figures,
            **verdict(figures),
            "sets": {},
            "general_text": None,
            "checksums": "verified" if trained.source.is_checked else "skipped",
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
    return Evaluated(evaluation, {PREDICTIONS: predictions})


def _one_label(
    inputs: EvaluationInputs,
    probabilities: np.ndarray,
    *,
    by_names: np.ndarray | None,
    ask: Callable[[str, PreparedRows], np.ndarray],
) -> dict[str, Any]:
    classes, rows = inputs.trained.preparation.classes, inputs.split("test")
    training, validation = inputs.split("train"), inputs.split("validation")
    learnt, wanted = training.labels, rows.labels
    figures = class_metrics(
        wanted,
        probabilities,
        classes,
        majority=int(np.bincount(learnt).argmax()),
        by_words=_by_words(training, learnt, rows, classes_by_words),
        by_names=by_names,
    )
    threshold = None
    if len(classes) == 2 and len(validation):
        threshold = threshold_figures(
            wanted,
            probabilities,
            classes,
            label=rarer_class(learnt),
            validation=(validation.labels, ask("validation", validation)),
        )
    return {**figures, "threshold": threshold}


def _several_labels(inputs: EvaluationInputs, probabilities: np.ndarray) -> dict[str, Any]:
    prepared = inputs.trained.preparation
    rows, training = inputs.split("test"), inputs.split("train")
    sets = as_matrix(prepared.label_sets, len(prepared.classes))  # (sets, labels)
    learnt = training.labels
    return label_set_metrics(
        sets[rows.labels],
        probabilities,
        prepared.classes,
        separator=str(inputs.trained.recipe.data.label_separator),
        majority=sets[np.bincount(learnt).argmax()],
        by_words=_by_words(training, sets[learnt], rows, label_sets_by_words),
    )


def verdict(figures: dict[str, Any]) -> dict[str, str]:
    """Return whether the tuned model is better than always the majority class, by McNemar's test at 5 %."""
    accuracy, base = figures["accuracy"], figures["baselines"]["majority"]
    words = figures["baselines"]["tf_idf"]
    is_detected = base["p"] < 0.05
    word = "no difference detectable"
    if is_detected:
        word = "better" if accuracy["value"] > base["accuracy"] else "worse"
    right = "are right" if "micro_f1" not in figures else "have exactly the right labels"
    sentence = (
        f"{100 * accuracy['value']:.1f} % of {figures['rows']:,} test rows {right} (95 % interval"
        f" {100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f} %); always predicting"
        f" {quoted(base['label'])} gets {100 * base['accuracy']:.1f} % right (McNemar {_p(base['p'])}):"
        f" {word}."
    )
    share, p = words["accuracy"], words["p"]
    sentence += f" TF-IDF with logistic regression gets {100 * share:.1f} % right (McNemar {_p(p)})."
    if names := figures["baselines"]["zero_shot"]:
        sentence += (
            f" The base model, given the label names, gets {100 * names['accuracy']:.1f} % right (McNemar"
            f" {_p(names['p'])})."
        )
    return {"verdict": word, "sentence": sentence}


def _p(p: float) -> str:
    return f"p {format_p(p)}" if p < 0.001 else f"p = {format_p(p)}"


def _by_words(
    training: PreparedRows,
    learnt: np.ndarray,
    asked: PreparedRows,
    learn: Callable[[Sequence[str], np.ndarray, Sequence[str]], np.ndarray],
) -> np.ndarray:
    return learn([row.prompt for row in training], learnt, [row.prompt for row in asked])


def _by_names(
    trained: TrainedModel, *, rows: PreparedRows, classes: Sequence[str], progress: Progress
) -> np.ndarray:
    folder = trained.source.folder
    return classes_by_names(
        trained.load_base(),
        load_tokenizer(folder),
        [row.prompt for row in rows],
        classes,
        context_length=context_length(folder),
        progress=progress("prompting the base model", len(rows) * len(classes)),
    )


def load_classifier(
    trained: TrainedModel, *, device: torch.device | None = None, dtype: torch.dtype | None = None
) -> CausalModel:
    """Load a base model with the head and the weights that were trained on it.

    Device and dtype are those of the training where none are given.
    """
    base, prepared = trained.load_base(device, dtype), trained.preparation
    with_head = with_class_head(base, len(prepared.classes), seed=0, sets=prepared.label_sets)
    return trained.load_tuned(with_head)


def classifying_work(ahead: EvaluationAhead) -> Work:
    """Return the work of classifying the test rows, and with two classes the validation rows too, for the threshold.

    That of the base model, which chooses among labels by their names, is left out.
    """
    examples, validated = ahead.test_rows.examples, ahead.validation.examples
    classes = {example.label for one in (examples, validated) for example in one}
    asked = [*examples, *(validated if len(classes) == 2 else ())]
    return Work(nodes=nodes_of_prompts([example.prompt_ids for example in asked], is_padded=ahead.is_padded))


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


def scored_label_rows(read_lines: ReadLines, recipe: Recipe, evaluation: Evaluation) -> ScoredRows:
    """Return which label each text was given and has."""
    return scored_labels(read_lines(PREDICTIONS), separator=recipe.data.label_separator)


EVALUATION = EvaluationPart(evaluate_classification, classifying_work, scored_label_rows)
