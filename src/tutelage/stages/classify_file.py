"""The rows of a file with the labels of their texts: read as `prepare` reads, given some at a time."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutelage.config.recipe import DataSettings
from tutelage.config.recipe_file import LoadedRecipe
from tutelage.data.formats.column_map import check_field_names, field_at
from tutelage.data.quality.repairs import SURROGATES
from tutelage.data.rows.records import Record
from tutelage.errors import DataError
from tutelage.stages.classify import Threshold, labels_of, load_classify
from tutelage.stages.session import Session

if TYPE_CHECKING:
    from tutelage.data.sources.files import RowsFile

ROWS_AT_ONCE = 64  # are classified together; so many are held in memory, whatever the length of the file
ROWS_NAMED = 8
# How a file is read belongs to the file, and is no setting that the model was trained with.
OF_FILE = (
    "encoding",
    "delimiter",
    "quoting",
    "header",
    "column_map",
    "coerce",
    "max_file_bytes",
    "max_row_bytes",
)
PREDICTED, OTHERS = "predicted", ("probability", "probabilities")


def settings_of_file(loaded: LoadedRecipe) -> DataSettings:
    """Return how the file is read: by what is given by hand, for that of the training rows may be read otherwise."""
    data = loaded.recipe.data
    given = {
        name: getattr(data, name)
        for name in OF_FILE
        if loaded.origins.get(f"data.{name}", "").startswith("-")
    }
    return DataSettings().model_copy(
        update={**given, "column_map": {"text": data.column_map.get("text", "text")}}
    )


def fields_of_text(loaded: LoadedRecipe) -> list[str]:
    """Return where the text of a row may stand: what is named by hand, or else what held it in training, or text."""
    path = loaded.recipe.data.column_map.get("text", "text")
    check_field_names(loaded.recipe.data.column_map, ("text", "label"))
    by_hand = loaded.origins.get("data.column_map", "").startswith("-")
    return [path] if by_hand else [path, "text"]


def classify_file(session: Session, path: Path, *, threshold: Threshold | None = None) -> Iterator[str]:
    """Give the rows of a file with their predictions as parts of a text, CSV as CSV and all else as JSON lines.

    The whole file is read once before anything is given, so that a fault in it leaves no half of a result. Rows
    without a text that can be classified are given without a label, and named in a warning.
    """
    from tutelage.data.sources.files import look_at_file
    from tutelage.data.sources.sources import check_path

    loaded, labels, warn = session.loaded, labels_of(session.run), session.reporter.warn
    settings, fields = settings_of_file(loaded), fields_of_text(loaded)
    file = look_at_file(check_path(path, settings), settings)
    columns = _columns_of(file, fields, path)
    for note in file.notes:
        warn(note.code, note.text)
    suffix = next(
        suffix
        for number in count(1)
        if not {*columns} & {*_own_names(labels, suffix := "" if number == 1 else f"_{number}")}
    )
    if suffix:
        warn(
            "classify.column_taken",
            "the file already has columns with these names, so the predicted labels are in"
            f" {PREDICTED}{suffix}.",
        )
    write = _csv_writer(columns, labels, suffix) if file.is_text_table else _json_lines(suffix)
    classify_texts = load_classify(session, threshold)
    unlabelled = _Unlabelled()
    rows = iter(file.records())
    while part := list(islice(rows, ROWS_AT_ONCE)):
        objects = [record for record in part if isinstance(record.value, dict)]
        unlabelled.add(record for record in part if not isinstance(record.value, dict))
        texts = [_text_of(record, fields) for record in objects]
        good = [text for text in texts if text is not None]
        answers = iter(classify_texts(good) if good else [])
        predictions = [None if text is None else next(answers) for text in texts]
        unlabelled.add(record for record, one in zip(objects, predictions, strict=True) if one is None)
        yield write([record.value for record in objects], predictions)
    if told := unlabelled.describe(path):
        warn("classify.unlabelled", told)


def _columns_of(file: "RowsFile", fields: Sequence[str], path: Path) -> list[str]:
    """Read a whole file and return its columns; DataError where it is at fault, or where no row of it has a text."""
    columns: dict[str, None] = {}
    rows = with_text = 0
    for record in file.records():
        rows += 1
        if isinstance(record.value, dict):
            columns.update(dict.fromkeys(map(str, record.value)))
            with_text += _text_of(record, fields) is not None
    if not rows:
        raise DataError("data.no_rows", f"{path} holds no rows, so there is nothing to classify.")
    if not with_text:
        named = ", ".join(map(repr, columns)) or "no fields"
        raise DataError(
            "classify.missing_text_field",
            f"{path}: no row has a text in {fields[0]!r}; the fields are {named}. Name the text field with"
            " --map text=NAME.",
        )
    return list(columns)


def _text_of(record: Record, fields: Sequence[str]) -> str | None:
    """Return the text of a row, from the first of some fields that is there; None if it has none."""
    for field in fields:
        is_there, found = field_at(record.value, field)
        if is_there:
            return found if isinstance(found, str) and found.strip() else None
    return None


def _own_names(labels: Sequence[str], suffix: str) -> list[str]:
    probabilities = [f"probability{suffix}.{label}" for label in labels]
    return [f"{PREDICTED}{suffix}", *(f"{name}{suffix}" for name in OTHERS), *probabilities]


class _Unlabelled:
    """The rows that got no label, of which the first are named."""

    def __init__(self) -> None:
        self._rows = 0
        self._named: list[str] = []

    def add(self, records: Iterable[Record]) -> None:
        for record in records:
            self._rows += 1
            if len(self._named) < ROWS_NAMED:
                place = f" (line {record.line})" if record.line else ""
                self._named.append(f"{record.row + 1}{place}")

    def describe(self, path: Path) -> str:
        """Return what is said of them; nothing where every row got its label."""
        if not self._rows:
            return ""
        more = f" and {self._rows - len(self._named):,} more" if self._rows > len(self._named) else ""
        return (
            f"{path}: row {', '.join(self._named)}{more}: no label, because the text is empty, missing, too"
            " large or longer than the model's context."
        )


Rows = Sequence[dict[str, Any]]
Predictions = Sequence[dict[str, Any] | None]


def _json_lines(suffix: str) -> Callable[[Rows, Predictions], str]:
    def write(rows: Rows, predictions: Predictions) -> str:
        nothing = {PREDICTED: None, **dict.fromkeys(OTHERS)}
        whole = (
            {**row, **{f"{name}{suffix}": value for name, value in (one or nothing).items()}}
            for row, one in zip(rows, predictions, strict=True)
        )
        return "".join(map(_json_line, whole))

    return write


def _json_line(row: dict[str, Any]) -> str:
    line = json.dumps(row, ensure_ascii=False, default=str)
    # Half of a surrogate pair cannot be written but as its escape.
    return f"{json.dumps(row, default=str) if SURROGATES.search(line) else line}\n"


def _csv_writer(
    columns: Sequence[str], labels: Sequence[str], suffix: str
) -> Callable[[Rows, Predictions], str]:
    from tutelage.data.sources.tables import safe_cell

    probabilities = {label: f"probability{suffix}.{label}" for label in labels}
    header = iter([[*columns, f"{PREDICTED}{suffix}", *probabilities.values()]])

    def write(rows: Rows, predictions: Predictions) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([safe_cell(name) for name in names] for names in header)  # once
        for row, one in zip(rows, predictions, strict=True):
            own = [row.get(name, "") for name in columns]
            given = [one["predicted"], *(one["probabilities"][label] for label in labels)] if one else []
            cells = [*own, *given, *[""] * (1 + len(labels) - len(given))]
            writer.writerow([safe_cell(cell) if isinstance(cell, str) else cell for cell in cells])
        return text.getvalue()

    return write
