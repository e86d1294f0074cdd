"""`tutelage classify`: the labels that a tuned model gives to texts, or to the rows of a file."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tutelage.cli import console
from tutelage.cli.classify_file import OF_FILE, Classify, classify_file
from tutelage.cli.dry_run import show_dry_run
from tutelage.cli.opening import opened
from tutelage.cli.options import Options, as_path, open_earlier_run
from tutelage.config.recipe_file import PLACE_OF_WORK
from tutelage.errors import DataError, RecipeError
from tutelage.run.artifacts import Preparation, read_artifact
from tutelage.run.evaluation import ClassEvaluation
from tutelage.run.folder import RunFolder
from tutelage.stages.evaluate import warn_of_emulated_bfloat16
from tutelage.stages.session import Session
from tutelage.stages.settings import refuse_idle_settings, refuse_untrained_settings


def classify(
    options: Options = Options(),  # noqa: B008 - frozen
    *texts: Annotated[str, Parameter(help="Texts to classify.", show_default=False)],
    file: Annotated[
        Path | None,
        Parameter(
            help="A file of rows, as for --data; they go to standard output with `predicted` and the probabilities.",
            converter=as_path,
        ),
    ] = None,
    threshold: Annotated[
        str | None,
        Parameter(
            help="Of two labels, give the rarer one from this probability on: a number, or `validation` for the one"
            " that the evaluation chose on the validation rows. Default: 0.5.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Give texts, or the rows of a file, their labels by the tuned model of a run."""
    run, loaded = open_earlier_run(options)
    with opened(run, loaded) as session:
        of_file = [f"data.{name}" for name in OF_FILE] if file is not None else []
        refuse_untrained_settings(session, apart_from=of_file)
        refuse_idle_settings(session, verb="classify", honoured=(*of_file, *PLACE_OF_WORK))
        if options.overwrite:
            raise RecipeError(
                "cli.option_not_supported",
                "`tutelage classify` writes nothing, so there is nothing to --overwrite. Leave it out.",
            )
        if session.recipe.training.objective != "classification":
            raise RecipeError(
                "classify.not_a_classification_run",
                f"{run.root} is no classification: its model writes answers. Ask it with"
                f" `tutelage generate {run.root}`.",
            )
        if bool(texts) == (file is not None):
            raise DataError(
                "classify.texts_or_file",
                f'Give either texts or a file: tutelage classify {run.root} "Call now to win!", or --file my.csv.',
            )
        refuse_empty(texts)
        at = None if threshold is None else read_threshold(run, threshold)
        if options.dry_run:
            show_dry_run(session, writes=[])
            return
        if file is None:
            for place, found in enumerate(open_classify(session, at)(list(texts)), start=1):
                if found is None:
                    raise DataError(
                        "classify.text_too_long",
                        f"Text {place} has no token, or more than the model takes at once. Shorten it.",
                    )
                console.say(f"{_named(found['predicted'])}  {found['probability']:.3f}")
            return
        labels = read_artifact(Preparation, run.require(run.preparation, stage="prepare")).classes
        classify_file(file, loaded, labels, lambda: open_classify(session, at))


def _named(predicted: str) -> str:
    from tutelage.data.quality.label_names import quoted

    return quoted(predicted) if predicted else "(none)"


def refuse_empty(texts: Iterable[str]) -> None:
    """Stop at a text with nothing in it, of which no token could be read."""
    for place, text in enumerate(texts, start=1):
        if not text.strip():
            raise DataError(
                "classify.empty_text",
                f"Text {place} is empty, and nothing can be told from it. Leave it out.",
            )


def read_threshold(run: RunFolder, given: str) -> tuple[int, float]:
    """Return the number of the rarer of two labels and the probability from which on it is given."""
    from tutelage.data.dataset.class_rows import class_numbers
    from tutelage.data.dataset.preparation import read_prepared
    from tutelage.evaluation.metrics.threshold import rarer_class

    prepared = read_artifact(Preparation, run.require(run.preparation, stage="prepare"))
    classes = prepared.classes
    if len(classes) != 2 or prepared.label_sets:
        raise DataError(
            "classify.threshold_needs_two_labels",
            f"--threshold is for two labels of which a text has one, and {run.root} has {len(classes)}"
            f"{' of which it may have several' if prepared.label_sets else ''}. Leave it out.",
        )
    if given == "validation":
        found = read_artifact(ClassEvaluation, run.require(run.metrics, stage="evaluate")).threshold
        if found is None:
            raise DataError(
                "classify.threshold_unavailable",
                f"{run.root} has no threshold from validation rows, which need both labels. Name a number, as"
                " --threshold 0.3.",
            )
        return classes.index(found.label), found.chosen
    try:
        value = float(given)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise DataError(
            "classify.threshold_invalid",
            f"--threshold is {given!r}. Name a number between 0 and 1, or `validation`.",
        )
    return rarer_class(class_numbers(read_prepared(run, "train"))), value


def open_classify(session: Session, threshold: tuple[int, float] | None) -> Classify:
    """Load the model; return what gives the predictions for texts, and nothing for those that it cannot take."""
    run, source = session.run, session.source
    with console.waiting("Loading the model", aside=True):
        from tutelage.data.dataset.class_rows import text_ids
        from tutelage.data.dataset.model_files import refuse_other_model
        from tutelage.data.quality.repairs import repair_text
        from tutelage.evaluation.classification import open_classifier, predictions_of
        from tutelage.model.assembly import check_published
        from tutelage.model.loading import context_length, load_tokenizer

        refuse_other_model(run, source.identity, source.files)
        run.require(run.training, stage="train")
        check_published(run.weights, session.recipe.adapter)
        warn_of_emulated_bfloat16(session)
        model, tokenizer = open_classifier(run, session.recipe, source), load_tokenizer(source.folder)
    classes, limit = read_artifact(Preparation, run.preparation).classes, context_length(source.folder)
    token = session.recipe.data.class_token

    def classify_texts(texts: list[str]) -> list[dict[str, Any] | None]:
        ids = [text_ids(tokenizer, repair_text(text)[0], token=token) for text in texts]
        fitting = [one for one in ids if 0 < len(one) <= limit]
        found = iter(
            predictions_of(model, session.recipe, fitting, classes, threshold=threshold) if fitting else []
        )
        return [next(found) if 0 < len(one) <= limit else None for one in ids]

    return classify_texts
