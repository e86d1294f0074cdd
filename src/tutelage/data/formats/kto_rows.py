"""KTO rows: one answer each, labelled as desirable or not, for training.objective=kto.

A field `label` may mean something else, such as a topic. Boolean values mark KTO rows; numbers and texts do so
only if every row of the source has one that can be read as true or false.
"""

import shlex
from dataclasses import replace
from typing import Any

from tutelage.config.recipe import DataSettings
from tutelage.data.formats.named_rows import NamedRows
from tutelage.data.formats.unknown_columns import options_of
from tutelage.data.rows.conversations import Conversation
from tutelage.data.rows.reading import Value
from tutelage.data.rows.records import Record
from tutelage.errors import DataError

# LLaMA-Factory's name, which is unambiguous, and the common one.
TAG, LABEL = "kto_tag", "label"
WITH_PROMPT = ("alpaca", "sharegpt", "messages", "prompt-completion", "question-answer")
FORMATS = (*WITH_PROMPT, "text")
WORDS = {
    "true": True,
    "false": False,
    "desirable": True,
    "undesirable": False,
    "chosen": True,
    "rejected": False,
}
NUMBERS: dict[Any, bool] = {1.0: True, 0.0: False, -1.0: False}
NOTHING = ("", "nan", "null", "none")


def is_desirable(value: Value) -> bool | None:
    """Return whether a row's label calls its answer desirable; None without a label that says so."""
    return _meaning(value.get(_field_of(value)))


def _field_of(value: Value) -> str:
    """Return the field with a row's label: the first of the two that is not empty."""
    return LABEL if _is_missing(value.get(TAG)) else TAG


def _meaning(label: Any) -> bool | None:
    if isinstance(label, str):
        word = label.strip().casefold()
        if word in WORDS:
            return WORDS[word]
        try:
            label = float(word)
        except ValueError:
            return None
    return NUMBERS.get(label) if isinstance(label, bool | int | float) else None


def _is_missing(label: Any) -> bool:
    """Return whether there is no label; tables of numbers represent this as NaN."""
    return label is None or (isinstance(label, str | float) and str(label).strip().casefold() in NOTHING)


class KtoRows:
    """Collects rows whose label calls their answer undesirable, and decides at the end whether these are KTO
    rows.

    KTO rows are a fault unless they `are_taken`; if they `are_needed`, rows without a label are a fault too.
    """

    def __init__(self, source: str, settings: DataSettings, *, are_taken: bool, are_needed: bool) -> None:
        self._source, self._settings = source, settings
        self.are_taken, self._are_needed = are_taken or are_needed, are_needed
        self._unwanted = NamedRows()
        self._unlabelled = NamedRows()
        self._field = LABEL
        self._is_other = False
        self._is_certain = False  # no later row can change that these are KTO rows
        self._numbers: set[bool | float] = set()

    def note(self, record: Record, format: str) -> None:
        """Record the next row and its format."""
        value = record.value
        field = _field_of(value)
        label = value.get(field)
        if format not in FORMATS or _is_missing(label):
            return
        wanted = _meaning(label)
        if wanted is None:
            self._is_other |= field == LABEL
            return
        if not wanted:
            self._unwanted.add(record)
            self._field = field
            self._is_certain |= field == TAG or isinstance(label, bool)
        if not isinstance(label, bool) and str(label).strip().casefold() not in WORDS:
            self._numbers.add(float(label))

    def labelled(self, conversation: Conversation, record: Record, format: str) -> Conversation:
        """Return the conversation with its label, if labels are needed."""
        if not self._are_needed:
            return conversation
        found = is_desirable(record.value) if format in WITH_PROMPT else None
        if found is None:
            self._unlabelled.add(record)
        return replace(conversation, is_desirable=found)

    @property
    def fields_read(self) -> tuple[str, ...]:
        """Fields that are read in addition to those of the formats."""
        return (LABEL, TAG) if self._are_needed else ()

    @property
    def has_faults(self) -> bool:
        """Whether rows have been seen that will certainly be rejected."""
        return (self._is_certain and not self.are_taken) or bool(self._unlabelled.count)

    def check(self) -> None:
        """Raise DataError if a row lacks a required label, or has one that would be ignored."""
        if self._are_needed:
            self._require_labels()
        if not self.are_taken:
            self._require_desirable()

    def _require_labels(self) -> None:
        """Raise DataError if answers have no label, or none that means true or false."""
        if self._unlabelled.count:
            raise DataError(
                "data.kto_label_missing",
                f"{self._source}: {self._unlabelled} without a label that is true or false. KTO needs a prompt, one"
                f" answer and such a label in each row. Name its field with --map {LABEL}=NAME.",
                row=self._unlabelled.first.row,
            )
        if len(self._numbers) > len(NUMBERS) - 1:
            raise DataError(
                "data.kto_label_missing",
                f"{self._source}: the labels are -1, 0 and 1, but KTO needs labels that are true or false."
                " Remove the rows labelled 0.",
            )

    def _require_desirable(self) -> None:
        """Raise DataError if undesirable answers would be trained on like all others."""
        is_other = self._is_other or len(self._numbers) > len(NUMBERS) - 1  # for example -1, 0 and 1
        if not self._unwanted.count or (is_other and not self._is_certain):
            return
        options = options_of(self._settings, self._settings.column_map)
        raise DataError(
            "data.kto_rows",
            f"{self._source}: {self._unwanted} with {self._field!r} false, which marks the answer as"
            " undesirable (KTO). Train on such rows with --set training.objective=kto, or keep only the"
            f" desirable ones: `tutelage data filter {shlex.quote(self._source)} wanted.jsonl"
            f" --desirable{options}`. If {self._field!r} means something else, rename it with --map"
            f" topic={self._field}.",
            row=self._unwanted.first.row,
        )
