"""Read the labels of a row if it can have several or none, as one text or a numbered set."""

import json
import math
from typing import Any

from tutelage.data.rows.reading import RowError, json_kind, label_text

BLANKS = " \t"


def labels_as_text(found: Any, separator: str | None) -> Any:
    """Return the labels of a row as one text, distinct and sorted, joined by the separator.

    The labels may be a text with separators, a list, or a list as JSON text. Other values are returned
    unchanged for the format to judge. Without a separator, a text has exactly one label.
    """
    if separator is None:
        if isinstance(found, list):
            remedy = "If a text may have several labels, set their separator: --set data.label_separator=';'."
            raise RowError("data.label_is_list", "with a list as 'label'", "a list", remedy)
        return found
    if isinstance(found, str) and not found.lstrip().startswith("["):
        labels = _beside_separators(found.split(separator))
    else:
        labels = _in_list(found, separator)
    return found if labels is None else separator.join(sorted(set(labels) - {""}))


def _beside_separators(labels: list[str]) -> list[str]:
    """Strip blanks beside separators but not at the ends: "a; b" is normal, but " a;b" has a stray blank."""
    last = len(labels) - 1
    inner = [label.lstrip(BLANKS) if place else label for place, label in enumerate(labels)]
    return [label.rstrip(BLANKS) if place < last else label for place, label in enumerate(inner)]


def _in_list(found: Any, separator: str) -> list[str] | None:
    """Return the labels in a list, or None if there is no list; raise RowError for a label that cannot be
    written as text.
    """
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            return None
    if not isinstance(found, list):
        return None
    labels: list[str] = []
    for value in found:
        label = "" if _is_missing(value) else label_text(value)
        if label is None:
            raise RowError(
                "data.label_not_text",
                "with a label that is not text",
                json_kind(value),
                "Put it in quotation marks.",
            )
        if separator in label:
            raise RowError(
                "data.label_contains_separator",
                f"with a label that contains data.label_separator, {separator!r}",
                repr(label),
                "Choose another separator.",
            )
        labels.append(label)
    return labels


def _is_missing(label: Any) -> bool:
    return label is None or (isinstance(label, float) and math.isnan(label))


def labels_in(text: str, separator: str) -> list[str]:
    """Return the labels in a text written by `labels_as_text`."""
    return text.split(separator) if text else []
