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
from tutelage.evaluation.metrics.class_metrics import base_line, class_metrics
from tutelage.evaluation.metrics.multi_label import label_set_metrics, set_prediction
from tutelage.evaluation.metrics.threshold import HALF, given_at, rarer_class, threshold_figures
from tutelage.evaluation.paired.verdict import format_p
from tutelage.evaluation.work_ahead import EvaluationAhead, nodes_of_prompts
from tutelage.model.class_head import as_matrix, class_probabilities, label_probabilities, with_class_head
from tutelage.model.forward import CausalModel
from tutelage.model.loading import context_length, load_tokenizer
from tutelage.model.trained import TrainedModel
from tutelage.objectives.classification.baselines import (
    IN_WORDS,
    choose_strongest,
    labels_of_nearest,
    places_to_choose,
    right_rows,
)
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
        by_names = _by_names(trained, texts=_asked_texts(inputs), classes=classes, progress=inputs.progress)
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
    inputs.waiting("Computing the baselines")
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
    validation, learnt, wanted = inputs.split("validation"), inputs.split("train").labels, rows.labels
    given = {
        **_given_by_texts(inputs, learnt, classes_by_words),
        **({} if by_names is None else {"zero_shot": by_names}),
    }
    tested = {name: one[: len(rows)] for name, one in given.items()}
    figures = class_metrics(
        wanted,
        probabilities,
        classes,
        majority=int(np.bincount(learnt).argmax()),
        by_words=tested["tf_idf"],
        by_names=tested.get("zero_shot"),
    )
    _add_choice(
        figures,
        inputs,
        given,
        wanted=wanted,
        tuned=probabilities.argmax(axis=1),
        validated=validation.labels,
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
    rows, learnt = inputs.split("test"), inputs.split("train").labels
    sets = as_matrix(prepared.label_sets, len(prepared.classes))  # (sets, labels)
    given = _given_by_texts(
        inputs, sets[learnt], label_sets_by_words, majority=sets[np.bincount(learnt).argmax()]
    )
    wanted = sets[rows.labels]
    figures = label_set_metrics(
        wanted,
        probabilities,
        prepared.classes,
        separator=str(inputs.trained.recipe.data.label_separator),
        majority=given["majority"][0],
        by_words=given["tf_idf"][: len(rows)],
    )
    _add_choice(
        figures,
        inputs,
        given,
        wanted=wanted,
        tuned=probabilities >= HALF,
        validated=sets[inputs.split("validation").labels],
    )
    return figures


def _asked_texts(inputs: EvaluationInputs) -> list[str]:
    """Return the texts that baselines label: those of the test rows, then of validation rows to choose on."""
    validation = inputs.split("validation")
    chosen_on = [validation[place].prompt for place in places_to_choose(len(validation))]
    return [*(row.prompt for row in inputs.split("test")), *chosen_on]


def _given_by_texts(
    inputs: EvaluationInputs,
    learnt: np.ndarray,
    learn: Callable[[Sequence[str], np.ndarray, Sequence[str]], np.ndarray],
    *,
    majority: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Return by baseline what it gives each asked text, from training texts and what they have."""
    texts, asked = [row.prompt for row in inputs.split("train")], _asked_texts(inputs)
    most = np.bincount(learnt).argmax() if majority is None else majority
    return {
        "majority": np.stack([most] * len(asked)),
        "nearest": labels_of_nearest(texts, learnt, asked),
        "tf_idf": learn(texts, learnt, asked),
    }


def _add_choice(
    figures: dict[str, Any],
    inputs: EvaluationInputs,
    given: dict[str, np.ndarray],
    *,
    wanted: np.ndarray,
    tuned: np.ndarray,
    validated: np.ndarray,
) -> None:
    """Add the strongest baseline, chosen on validation rows alone, and the figures of the nearest text."""
    available = len(inputs.split("validation"))
    on_validation = {name: one[len(wanted) :] for name, one in given.items()}
    choice = choose_strongest(
        validated[np.array(places_to_choose(available), dtype=int)],
        on_validation,
        available=available,
    )
    nearest = right_rows(wanted, given["nearest"][: len(wanted)])
    figures["baselines"] |= {
        "nearest": base_line(nearest, right_rows(wanted, tuned)),
        **choice.to_record(),
    }


def verdict(figures: dict[str, Any]) -> dict[str, str]:
    """Return whether the tuned model is better than the strongest baseline, by McNemar's test at 5 %."""
    accuracy, found = figures["accuracy"], figures["baselines"]
    strongest = found.get("strongest", "majority")
    base, named = found[strongest], IN_WORDS[strongest]
    if strongest == "majority":
        named = f"{named}, {quoted(base['label'])}"
    kind = "strongest" if found.get("validation_rows") else "plainest"
    word, compared = "no difference detectable", "No difference is detectable from"
    if base["p"] < 0.05:
        word = "better" if accuracy["value"] > base["accuracy"] else "worse"
        compared = f"{word.capitalize()} than"
    right = "are right" if "micro_f1" not in figures else "have exactly the right labels"
    sentence = (
        f"{compared} the {kind} baseline ({named}): {100 * accuracy['value']:.1f} % of {figures['rows']:,} test"
        f" rows {right} (95 % interval {100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f} %), and"
        f" {100 * base['accuracy']:.1f} % with that baseline (McNemar {_p(base['p'])})."
    )
    return {"verdict": word, "sentence": sentence}


def _p(p: float) -> str:
    return f"p {format_p(p)}" if p < 0.001 else f"p = {format_p(p)}"


def _by_names(
    trained: TrainedModel, *, texts: Sequence[str], classes: Sequence[str], progress: Progress
) -> np.ndarray:
    folder = trained.source.folder
    return classes_by_names(
        trained.load_base(),
        load_tokenizer(folder),
        texts,
        classes,
        context_length=context_length(folder),
        progress=progress("prompting the base model", len(texts) * len(classes)),
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
