"""`tutelage classify`: the labels that a tuned model gives to texts, or to the rows of a file."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tutelage.cli import console
from tutelage.cli.dry_run import show_dry_run
from tutelage.cli.opening import locate, warn_of_emulated_bfloat16
from tutelage.cli.options import (
    Options,
    as_path,
    open_earlier_run,
    refuse_idle_settings,
    refuse_untrained_settings,
)
from tutelage.data.repairs import SURROGATES
from tutelage.errors import DataError, RecipeError
from tutelage.recipe_file import PLACE_OF_WORK, LoadedRecipe
from tutelage.run_folder import RunFolder, read_json

ROWS_AT_ONCE = 64  # are classified together; so many are held in memory, whatever the length of the file

Classify = Callable[[list[str], int], list[dict[str, Any]]]


def classify(
    options: Options = Options(),  # noqa: B008 - frozen
    *texts: Annotated[str, Parameter(help="Texts to classify.", show_default=False)],
    file: Annotated[
        Path | None,
        Parameter(
            help="A .csv or .jsonl file; its rows go to standard output with `predicted` and the probabilities.",
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
    refuse_untrained_settings(run, loaded)
    refuse_idle_settings(run, loaded, verb="classify", honoured=("data.map", *PLACE_OF_WORK))
    if options.overwrite:
        raise RecipeError(
            "cli.option_not_supported",
            "`tutelage classify` writes nothing, so there is nothing to --overwrite. Leave it out.",
        )
    if loaded.recipe.training.objective != "classification":
        raise RecipeError(
            "classify.not_a_classification_run",
            f"{run.root} is no classification: its model writes answers. Ask it with `tutelage generate {run.root}`.",
        )
    if bool(texts) == (file is not None):
        raise DataError(
            "classify.texts_or_file",
            f'Give either texts or a file: tutelage classify {run.root} "Call now to win!", or --file my.csv.',
        )
    refuse_empty(texts)
    at = None if threshold is None else read_threshold(run, threshold)
    if options.dry_run:
        show_dry_run(run, loaded, writes=[])
        return
    if file is None:
        for found in open_classify(run, loaded, at)(list(texts), 1):
            console.say(f"{_named(found['predicted'])}  {found['probability']:.3f}")
        return
    classify_file(file, loaded.recipe.data.map.get("text", "text"), lambda: open_classify(run, loaded, at))


def _named(predicted: str) -> str:
    from tutelage.data.label_names import quoted

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
    from tutelage.data.class_rows import class_numbers
    from tutelage.data.preparation import read_prepared
    from tutelage.evaluation.threshold import rarer_class

    prepared = read_json(run.require(run.preparation, stage="prepare"))
    classes = prepared["classes"]
    if len(classes) != 2 or prepared.get("label_sets"):
        raise DataError(
            "classify.threshold_needs_two_labels",
            f"--threshold is for two labels of which a text has one, and {run.root} has {len(classes)}"
            f"{' of which it may have several' if prepared.get('label_sets') else ''}. Leave it out.",
        )
    if given == "validation":
        found = read_json(run.require(run.metrics, stage="evaluate")).get("threshold")
        if found is None:
            raise DataError(
                "classify.threshold_unavailable",
                f"{run.root} has no threshold from validation rows, which need both labels. Name a number, as"
                " --threshold 0.3.",
            )
        return classes.index(found["label"]), found["chosen"]
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


def open_classify(run: RunFolder, loaded: LoadedRecipe, threshold: tuple[int, float] | None) -> Classify:
    """Load the model; return what gives the predictions for texts, of which the first is row `first` of its file."""
    from tutelage.data.class_rows import text_ids
    from tutelage.data.model_files import refuse_other_model
    from tutelage.data.repairs import repair_text
    from tutelage.evaluation.classification import open_classifier, predictions_of
    from tutelage.model.assembly import check_published
    from tutelage.model.loading import context_length, load_tokenizer

    source = locate(loaded)
    refuse_other_model(run, source.identity, source.files)
    run.require(run.training, stage="train")
    check_published(run.weights, loaded.recipe.adapter)
    warn_of_emulated_bfloat16(run, loaded)
    model, tokenizer = open_classifier(run, loaded.recipe, source), load_tokenizer(source.folder)
    classes, limit = read_json(run.preparation)["classes"], context_length(source.folder)
    token = loaded.recipe.data.class_token

    def classify_texts(texts: list[str], first: int) -> list[dict[str, Any]]:
        ids = [text_ids(tokenizer, repair_text(text)[0], token=token) for text in texts]
        for row, one in enumerate(ids, start=first):
            if not 0 < len(one) <= limit:
                raise DataError(
                    "classify.text_too_long",
                    f"Text {row} has {len(one):,} tokens, and the model takes 1 to {limit:,}. Shorten it.",
                )
        return predictions_of(model, loaded.recipe, ids, classes, threshold=threshold)

    return classify_texts


def classify_file(path: Path, field: str, opened: Callable[[], Classify]) -> None:
    """Write the rows of a file to standard output with their predictions, some at a time, in the file's own kind."""
    readers = {".csv": _csv_rows, ".jsonl": _json_rows}
    if path.suffix not in readers:
        raise DataError(
            "classify.unknown_file_type",
            f"{path} is neither .csv nor .jsonl. Make one with `tutelage data convert`.",
        )
    try:
        file = path.open(encoding="utf-8-sig", newline="")
    except OSError as fault:
        raise DataError(
            "classify.file_unreadable", f"Could not read {path}: {fault.strerror}. Name another file."
        ) from fault
    with file:
        rows = _with_text(readers[path.suffix](file, path), field, path)
        classify_texts: Classify | None = None
        first = 1
        while part := list(islice(rows, ROWS_AT_ONCE)):
            classify_texts = classify_texts or opened()  # after the first rows have been found to be right
            found = classify_texts([row[field] for row in part], first)
            if path.suffix == ".csv":
                console.pour(_as_csv(part, found, with_names=first == 1))
            else:
                whole = [{**row, **one} for row, one in zip(part, found, strict=True)]
                console.pour("".join(map(_json_line, whole)))
            first += len(part)


def _json_line(row: dict[str, Any]) -> str:
    line = json.dumps(row, ensure_ascii=False)
    # Half of a surrogate pair cannot be written but as its escape.
    return f"{json.dumps(row) if SURROGATES.search(line) else line}\n"


def _as_csv(rows: list[dict[str, Any]], found: list[dict[str, Any]], *, with_names: bool) -> str:
    whole = [
        {
            **row,
            "predicted": one["predicted"],
            **{f"probability.{name}": value for name, value in one["probabilities"].items()},
        }
        for row, one in zip(rows, found, strict=True)
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(whole[0]), lineterminator="\n")
    if with_names:
        writer.writeheader()
    writer.writerows(whole)
    return text.getvalue()


def _csv_rows(file: Iterable[str], path: Path) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(csv.DictReader(file), start=1):
        if None in row or None in row.values():
            raise DataError(
                "classify.row_width",
                f"{path}: row {number} has another number of fields than the first line. Mend it.",
            )
        yield row


def _json_rows(file: Iterable[str], path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(file, start=1):
        try:
            row = json.loads(line)
        except ValueError as fault:
            raise DataError(
                "classify.malformed_json", f"{path}: line {number} is no JSON ({fault}). Mend it."
            ) from fault
        if not isinstance(row, dict):
            raise DataError("classify.row_not_object", f"{path}: line {number} is no JSON object. Mend it.")
        yield row


def _with_text(rows: Iterable[dict[str, Any]], field: str, path: Path) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(rows, start=1):
        if not isinstance(row.get(field), str):
            named = ", ".join(map(repr, row)) or "no fields"
            raise DataError(
                "classify.missing_text_field",
                f"{path}: row {number} has no text as {field!r}; it has {named}. Say which field is the text with"
                " --map text=NAME.",
            )
        if not row[field].strip():
            raise DataError(
                "classify.empty_text",
                f"{path}: row {number} has an empty text, of which nothing can be told. Leave it out.",
            )
        yield row
