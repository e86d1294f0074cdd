"""Rows of text and label as examples whose one target is a class, by its number."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tutelage.config.recipe import DataSettings
from tutelage.data.dataset.prepared_rows import PreparedRows
from tutelage.data.dataset.row_encoder import EncodedRows, Labels, RowEncoder
from tutelage.data.prompts.encoding import text_ids
from tutelage.data.prompts.prompts import PromptRenderer
from tutelage.data.quality.label_names import quoted
from tutelage.data.quality.label_sets import labels_in
from tutelage.data.rows.conversations import Conversation
from tutelage.errors import DataError
from tutelage.tree.examples import PreparedRow, labelled_example

ROWS_NAMED = 8


def encode_texts(
    renderer: PromptRenderer, conversations: Iterable[Conversation], settings: DataSettings, labels: Labels
) -> Iterator[EncodedRows]:
    """Yield each row with its example; the labels grow by each that is seen for the first time.

    Where a text has several labels, the sets grow likewise by their numbers, and the target is that of the set.
    """
    separator, tokenizer = settings.label_separator, renderer.tokenizer
    of_classes, of_sets = _Numbers(labels.classes), _Numbers(labels.sets)
    for conversation in conversations:
        require_text_and_label(conversation)
        text, label = conversation.messages[0].text, conversation.response
        if separator is None:
            number = of_classes.of(label)
        else:
            number = of_sets.of(tuple(of_classes.of(one) for one in labels_in(label, separator)))
        try:
            ids = text_ids(tokenizer, text, token=settings.pooling)
        except DataError as fault:
            raise DataError(fault.code, str(fault), row=conversation.row) from fault
        example = labelled_example(conversation.row, ids, number)
        yield conversation, (PreparedRow(text, label, example),)


def require_text_and_label(row: Conversation) -> None:
    """Stop where a row of another format is to be classified."""
    if not row.is_labelled:
        raise DataError(
            "data.not_text_and_label",
            f"Row {row.row} has the format {row.format}, but classification needs rows with a text and a"
            " label. Name their fields with --map text=NAME --map label=NAME.",
            row=row.row,
        )


class _Numbers:
    """The number of each thing in a list, which grows by each that is new, here or elsewhere."""

    def __init__(self, known: list[Any]) -> None:
        self._known = known
        self._numbers: dict[Any, int] = {}
        self._read = 0  # of the list

    def of(self, thing: Any) -> int:
        """Return the number of a thing, in the time of one look, however many are known."""
        for place in range(self._read, len(self._known)):
            self._numbers.setdefault(self._known[place], place)
        if thing not in self._numbers:
            self._numbers[thing] = len(self._known)
            self._known.append(thing)
        self._read = len(self._known)
        return self._numbers[thing]


def count_classes(training: PreparedRows, sets: Sequence[Sequence[int]]) -> int:
    """Return how many classes the training rows have; every class has one of them, or is in a set that one has."""
    if sets:
        return max(label for members in sets for label in members) + 1
    return int(training.labels.max()) + 1


def check_classes(splits: Mapping[str, PreparedRows], labels: Labels, source: str) -> None:
    """Stop where there is nothing to tell apart, or a class that no row trains."""
    if len(labels.classes) < 2:
        raise DataError(
            "data.single_label",
            f"{source}: every row has the label {quoted(labels.classes[0])}, but classification needs at"
            " least two labels. Add rows with another label, or name the right field with --map label=NAME.",
        )
    trained = set(splits["train"].labels.tolist())
    if labels.sets:
        trained = {label for number in trained for label in labels.sets[number]}
    missing = [name for number, name in enumerate(labels.classes) if number not in trained]
    if missing:
        named = ", ".join(map(quoted, missing[:ROWS_NAMED]))
        raise DataError(
            "data.label_not_in_training",
            f"{source}: no training row has the label {named}, so the model cannot learn it. Add training"
            " rows with it, remove the rows that have it, or raise data.train_size.",
        )


ROWS = RowEncoder(encode_texts, require_text_and_label, check_classes, learns_labels=True)
