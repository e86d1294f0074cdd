"""Trim, quote and compare the names of labels."""

import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tutelage.codes import Message
from tutelage.data.quality.label_sets import labels_in
from tutelage.data.quality.rules import Finding
from tutelage.data.rows.conversations import Conversation

VIRAMA = 9  # combining class after which a joiner changes the shape of a letter
JOINERS = "\u200c\u200d"
BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"  # Hangul fillers and the empty Braille cell
TAGS = range(0xE0000, 0xE0080)  # they end the flags of England, Scotland and Wales
GROUPS_NAMED = 5


def trimmed(label: str) -> str:
    """Strip invisible characters from both ends of a label: whitespace, zero-width and control characters."""
    begin, end = 0, len(label)
    while begin < end and _is_blank(label[begin]):
        begin += 1
    while begin < end and _is_blank(label[end - 1]) and not _shapes_letter(label, end - 1):
        end -= 1
    return label[begin:end]


def _is_blank(character: str) -> bool:
    if character.isspace() or character in BLANK_LETTERS:
        return True
    return unicodedata.category(character) in ("Cc", "Cf") and ord(character) not in TAGS


def _shapes_letter(label: str, place: int) -> bool:
    return label[place] in JOINERS and place > 0 and unicodedata.combining(label[place - 1]) == VIRAMA


def trim_labels(row: Conversation, separator: str | None) -> tuple[Conversation, list[Message]]:
    """Trim each label of a text-label row; return the row and the repairs."""
    text = row.messages[-1].text
    if separator is None:
        found = trimmed(text)
    else:
        found = separator.join(sorted({trimmed(label) for label in labels_in(text, separator)} - {""}))
    if found == text:
        return row, []
    answered = replace(row.messages[-1], text=found)
    unseen = sorted({character for character in text if _is_blank(character) and not character.isspace()})
    lost = [
        f"U+{ord(character):04X}" for character in unseen if text.count(character) > found.count(character)
    ]
    shown = f", including {', '.join(lost)}" if lost else ""
    repair = Message("data.blanks_around_label", f"label: surrounding whitespace was removed{shown}")
    return replace(row, messages=(*row.messages[:-1], answered)), [repair]


def quoted(label: str) -> str:
    """Return a label in quotation marks, with escapes for characters that are invisible or not NFC."""
    return repr(label) if unicodedata.is_normalized("NFC", label) else ascii(label)


class SeenLabels:
    """Counts rows per label, and finds labels that differ only in invisible ways."""

    def __init__(self, separator: str | None) -> None:
        self._separator = separator
        self._rows: Counter[str] = Counter()
        self._first: dict[str, int] = {}
        self._numbers: dict[str, int] = {}  # by all labels of a row as one text
        self._of_rows = array("i")

    def note(self, row: Conversation) -> None:
        """Record the next row; rows of other formats are ignored."""
        if not row.is_labelled:
            return
        labels = self._labels_in(row.response)
        self._of_rows.append(self._numbers.setdefault(row.response, len(self._numbers)))
        for label in labels:
            self._rows[label] += 1
            self._first.setdefault(label, row.row)

    def noted(self, rows: Iterable[Conversation]) -> Iterator[Conversation]:
        """Record rows while yielding them unchanged."""
        for row in rows:
            self.note(row)
            yield row

    def counts(self) -> dict[str, int]:
        """Return the number of rows with each label, most frequent first."""
        return dict(self._rows.most_common())

    def find_untrained(self, is_training: Iterable[bool]) -> Iterator[Finding]:
        """Yield a finding for each label without training rows; `is_training` has one entry per recorded row."""
        trained = {number for number, is_one in zip(self._of_rows, is_training, strict=True) if is_one}
        texts = [text for text, number in self._numbers.items() if number in trained]
        learnt = {label for text in texts for label in self._labels_in(text)}
        for label, first in self._first.items():
            if label not in learnt:
                told = f"no training row has the label {quoted(label)}, so `prepare` stops"
                yield Finding("data.label_not_in_training", first, told)

    def _labels_in(self, text: str) -> list[str]:
        return [text] if self._separator is None else labels_in(text, self._separator)

    def findings(self, *, are_classes: bool = False) -> list[Finding]:
        """Return a finding for each group of similar labels, at the first row with the second of them.

        With `are_classes`, also report a label that all rows have.
        """
        lone = [
            Finding("data.single_label", None, f"all rows have the label {quoted(label)}, so `prepare` stops")
            for label in self._rows
            if are_classes and len(self._rows) == 1
        ]
        return lone + [
            Finding(
                "data.similar_labels", sorted(self._first[label] for label in group)[1], self._told(group)
            )
            for group in similar_labels(self._rows)
        ]

    def messages(self) -> list[Message]:
        """Return the messages of `prepare` about similar labels: the first groups, and the number of further
        ones.
        """
        groups = similar_labels(self._rows)
        told = [f"The labels {self._told(group)}." for group in groups[:GROUPS_NAMED]]
        if len(groups) > GROUPS_NAMED:
            told.append(
                f"{len(groups) - GROUPS_NAMED:,} more groups of similar labels; `tutelage check` lists all"
                " of them."
            )
        return [Message("data.similar_labels", text) for text in told]

    def _told(self, group: list[str]) -> str:
        counted = [
            f"{quoted(label)} ({count:,} row{'' if count == 1 else 's'})"
            for label, count in ((label, self._rows[label]) for label in group)
        ]
        return (
            f"{' and '.join(counted)} differ only in case, whitespace or Unicode form, and are trained as"
            " separate labels; give them one spelling if they mean the same"
        )


def similar_labels(labels: Iterable[str]) -> list[list[str]]:
    """Return groups of labels that differ only in case, whitespace or Unicode form, each in the given order."""
    groups: dict[str, list[str]] = {}
    for label in dict.fromkeys(labels):
        groups.setdefault(_appearance(label), []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def _appearance(label: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
    seen = "".join(character for character in folded if not _is_blank(character))
    return seen or label
