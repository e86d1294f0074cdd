"""Labels that the model of a classification gives to texts."""

from collections.abc import Callable, Iterable
from typing import Any

from tutelage.errors import DataError, RecipeError
from tutelage.run.artifacts import Preparation, read_artifact
from tutelage.run.evaluation import ClassEvaluation
from tutelage.run.folder import RunFolder
from tutelage.stages.prepared import read_prepared
from tutelage.stages.session import Session
from tutelage.stages.settings import is_given
from tutelage.stages.warnings import warn_of_emulated_bfloat16

# Gives the predictions for texts, and nothing for those that the model cannot take.
Classify = Callable[[list[str]], list[dict[str, Any] | None]]

# The number of the rarer of two labels, and the probability from which on it is given.
Threshold = tuple[int, float]


def require_classifier(session: Session) -> None:
    """Stop where labels are wanted of a model that writes answers."""
    if not is_given("labels", session.recipe):
        root, objective = session.run.root, session.recipe.objective
        raise RecipeError(
            "classify.not_a_classification_run",
            f"{root} was trained for {objective.task}, so its model predicts no labels. Use `tutelage"
            f" {objective.command} {root}`.",
        )


def labels_of(run: RunFolder) -> list[str]:
    """Return the labels that a run knows."""
    return read_artifact(Preparation, run.require(run.preparation, stage="prepare")).classes


def require_text(texts: Iterable[str]) -> None:
    """Stop at a text with nothing in it, of which no token could be read."""
    for place, text in enumerate(texts, start=1):
        if not text.strip():
            raise DataError(
                "classify.empty_text",
                f"Text {place} is empty, so it cannot be classified. Leave it out.",
            )


def read_threshold(run: RunFolder, given: str) -> Threshold:
    """Return the number of the rarer of two labels and the probability from which on it is given."""
    from tutelage.evaluation.metrics.threshold import rarer_class

    prepared = read_artifact(Preparation, run.require(run.preparation, stage="prepare"))
    classes = prepared.classes
    if len(classes) != 2 or prepared.label_sets:
        raise DataError(
            "classify.threshold_needs_two_labels",
            f"--threshold needs a model with two labels and one label per text, but {run.root} has"
            f" {len(classes)} labels{', several per text' if prepared.label_sets else ''}. Leave it out.",
        )
    if given == "validation":
        found = read_artifact(ClassEvaluation, run.require(run.metrics, stage="evaluate")).threshold
        if found is None:
            raise DataError(
                "classify.threshold_unavailable",
                f"{run.root} has no threshold from validation rows, because they need both labels. Give a"
                " number, for example --threshold 0.3.",
            )
        return classes.index(found.label), found.chosen
    try:
        value = float(given)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise DataError(
            "classify.threshold_invalid",
            f"--threshold is {given!r}, but it must be a number between 0 and 1, or `validation`.",
        )
    return rarer_class(read_prepared(run, "train").labels), value


def load_classify(session: Session, threshold: Threshold | None) -> Classify:
    """Load the model; return what gives the predictions for texts, and nothing for those that it cannot take."""
    run, source = session.run, session.source
    with session.reporter.locating() as wait:
        wait("Loading the model")
        from tutelage.data.prompts.encoding import text_ids
        from tutelage.data.quality.repairs import repair_text
        from tutelage.model.loading import context_length, load_tokenizer
        from tutelage.objectives.classification.evaluation import load_classifier, predictions_of

        trained = session.trained_unchanged()
        warn_of_emulated_bfloat16(session)
        model, tokenizer = load_classifier(trained), load_tokenizer(source.folder)
    classes, limit = read_artifact(Preparation, run.preparation).classes, context_length(source.folder)
    token = session.recipe.data.pooling

    def classify_texts(texts: list[str]) -> list[dict[str, Any] | None]:
        ids = [text_ids(tokenizer, repair_text(text)[0], token=token) for text in texts]
        fitting = [one for one in ids if 0 < len(one) <= limit]
        found = iter(
            predictions_of(model, session.recipe, fitting, classes, threshold=threshold) if fitting else []
        )
        return [next(found) if 0 < len(one) <= limit else None for one in ids]

    return classify_texts
