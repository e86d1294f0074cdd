"""Right fields: the share of a reference's JSON fields that an answer has with the same values."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tutelage.config.recipe_evaluation import EvalSetSettings
from tutelage.errors import DataError
from tutelage.evaluation.metrics.class_metrics import proportion_of
from tutelage.evaluation.metrics.json_values import FieldPath, leaf_fields, path_name, read_container
from tutelage.evaluation.metrics.metric import Answer, AnswerMetric, References, for_sets

MOST_FIELDS = 100


@dataclass(frozen=True)
class ComparedFields:
    """Which fields of a reference an answer has right, by their paths, and how many it has that the reference lacks."""

    right: dict[FieldPath, bool]
    extra: int

    @property
    def share(self) -> float:
        """Right fields as a share of those of the reference and the extra ones."""
        return sum(self.right.values()) / (len(self.right) + self.extra)

    @property
    def is_exact(self) -> bool:
        """Whether all fields are right and none is extra."""
        return all(self.right.values()) and not self.extra


def compare_fields(response: str, reference: str) -> ComparedFields:
    """Compare an answer with its reference, each a JSON object or array, by itself or in a code fence.

    A field is a leaf: a text, number, truth value, null or empty container. It is right where the answer has an equal
    value at the same path: keys in any order, items of arrays at the same position, texts without blanks at their
    ends, numbers by value; "3" is not 3. A field of the answer is extra where its path leads neither to a field of the
    reference nor into or above one, so a value of another shape is one mistake. An answer that is no such JSON has
    nothing right and nothing extra, and a reference that is none is one field, which an equal text has right.
    """
    wanted, given = read_container(reference), read_container(response)
    if wanted is None:
        return ComparedFields({(): _plain(response) == _plain(reference)}, 0)
    fields = dict(leaf_fields(wanted))
    if given is None:
        return ComparedFields(dict.fromkeys(fields, False), 0)
    found = dict(leaf_fields(given))
    right = {path: path in found and _are_equal(found[path], value) for path, value in fields.items()}
    inner = {path[:length] for path in fields for length in range(len(path) + 1)}
    extra = sum(path not in inner and not _is_inside(path, fields) for path in found)
    return ComparedFields(right, extra)


def by_field(rows: Iterable[Answer]) -> dict[str, dict[str, Any]]:
    """Return how many rows have each field of the references, by its path, and how many of them right.

    `share` is with Wilson's 95 % interval. Rows whose reference lacks a field do not count for it.
    """
    right: dict[FieldPath, int] = {}
    counts: dict[FieldPath, int] = {}
    for row in rows:
        for path, is_right in compare_fields(row["response"], row["reference"]).right.items():
            right[path] = right.get(path, 0) + is_right
            counts[path] = counts.get(path, 0) + 1
    return {
        path_name(path): {"rows": rows, "right": right[path], "share": proportion_of(right[path], rows)}
        for path, rows in counts.items()
    }


def compare_by_field(base: Sequence[Answer], tuned: Sequence[Answer]) -> dict[str, dict[str, Any]]:
    """Return for each field of the references how many rows have it, and the share of them that each model has right.

    Those of most rows come first; MOST_FIELDS are kept.
    """
    before, after = by_field(base), by_field(tuned)
    names = sorted(after, key=lambda name: -after[name]["rows"])[:MOST_FIELDS]
    return {
        name: {
            "rows": after[name]["rows"],
            "base": before[name]["share"],
            "tuned": after[name]["share"],
        }
        for name in names
    }


def check_json_references(settings: EvalSetSettings, references: References, name: str) -> None:
    """Stop where a reference of a set is no JSON object or array."""
    for row, text in references:
        if read_container(text) is None:
            raise DataError(
                "evaluate.reference_not_json",
                f"Row {row} of the test set {name} has the reference {text[:60]!r}, which is no JSON object or array."
                f" Correct it, or choose another metric than {settings.metric}.",
                row=row,
            )


def _are_equal(given: Any, wanted: Any) -> bool:
    if isinstance(given, str) and isinstance(wanted, str):
        return _plain(given) == _plain(wanted)
    # To Python 1, 1.0 and True are equal; in JSON the third is no number.
    return isinstance(given, bool) == isinstance(wanted, bool) and given == wanted


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())


def _is_inside(path: FieldPath, fields: dict[FieldPath, Any]) -> bool:
    return any(path[:length] in fields for length in range(len(path)))


METRIC = AnswerMetric(
    name="json_fields",
    label="Right fields",
    unit="points",
    higher_is_better=True,
    decimals=1,
    meaning="share of the JSON fields of the reference that are right; extra ones count as wrong",
    score=lambda answer: 100 * compare_fields(answer["response"], answer["reference"]).share,
)
SET_METRIC = replace(for_sets(METRIC), prepare=check_json_references)
