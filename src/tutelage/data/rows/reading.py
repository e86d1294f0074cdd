"""Read the values of a row, or raise an error that says what is wrong."""

import json
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tutelage.codes import Message

Value = Mapping[str, Any]

NOTHING = (None, "", [], {})
PLAIN = frozenset((str, int, bool, type(None)))


class RowError(Exception):
    """What is wrong with a row, what was found, and how to fix it; rows with the same fault are reported
    together.
    """

    def __init__(self, code: str, what: str, found: str, remedy: str) -> None:
        super().__init__(code, what, found, remedy)
        self.code, self.what, self.found, self.remedy = code, what, found, remedy


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Placeholder for a value that could not be read; it is an error if the row's format needs it."""

    code: str
    found: str
    remedy: str


def require_json(value: Value, fields: Iterable[str]) -> None:
    """Raise RowError if one of these fields contains, at any depth, a value that JSON cannot represent."""
    for name in fields:
        found = value.get(name)
        if type(found) is not str and (fault := _not_json(found)):
            raise RowError(
                fault.code,
                f"with {name!r} that holds a value which JSON cannot represent",
                fault.found,
                fault.remedy,
            )


def _not_json(found: Any) -> Unreadable | None:
    unseen = [found]
    for one in unseen:  # grows by nested values
        kind = type(one)
        if kind in PLAIN:
            continue
        if kind is dict:
            unseen.extend(one.values())
        elif kind is list:
            unseen.extend(one)
        elif kind is Unreadable:
            return one
        elif kind is not float:
            return Unreadable("data.not_json_value", json_kind(one), "Write that column as text.")
        elif math.isinf(one):
            return Unreadable(
                "data.infinite_number", f"an infinite number ({one})", "Fix it, or remove the row."
            )
    return None


@dataclass(frozen=True)
class Reading:
    """Settings and counters for reading rows; with `coerces`, numbers and booleans are read as text.

    `is_from_arrow`: Arrow added the keys of all rows to each row, as nulls. `learns_prompts`: prompts are
    supervised like answers. `roles`: additional role names. `unused` counts nested keys that are not read, over
    all rows; `repairs` lists what was dropped from the current row; `as_messages` counts, by field, the texts
    that were parsed as messages.
    """

    coerces: bool = False
    is_from_arrow: bool = False
    learns_prompts: bool = False
    roles: Mapping[str, str] = field(default_factory=dict)
    unused: Counter[str] = field(default_factory=Counter)
    as_messages: Counter[str] = field(default_factory=Counter)
    repairs: list[Message] = field(default_factory=list)

    def of_text(self) -> "Reading":
        """Return the settings for JSON text inside a row, where Arrow adds no nulls."""
        return replace(self, is_from_arrow=False) if self.is_from_arrow else self

    def take_repairs(self) -> tuple[Message, ...]:
        """Return the distinct repairs of a row, and clear them for the next row."""
        if not self.repairs:
            return ()
        repairs = tuple(dict.fromkeys(self.repairs))
        self.repairs.clear()
        return repairs

    def pass_over(self, value: Value, used: Collection[str], of: str) -> None:
        """Count the nonempty keys of an object that are not used."""
        for key, found in value.items():
            if key not in used and found not in NOTHING:
                self.unused[f"{key!r} of {of}"] += 1

    def text(self, value: Value, field: str, *, of: str = "") -> str:
        """Return a field's text; absent, null and NaN values are empty, and the checks decide about those."""
        found = value.get(field)
        if isinstance(found, str):
            return found
        if found is None or (isinstance(found, float) and math.isnan(found)):
            return ""
        if isinstance(found, float):
            require_json(value, (field,))
        if self.coerces and isinstance(found, bool | int | float):
            return json.dumps(found)
        what = f"with {field!r}{of} that is not text"
        raise RowError("data.not_text", what, json_kind(found), _remedy(found))

    def label(self, value: Value, field: str) -> str:
        """Return a label's text; whole numbers and booleans are accepted, because classes are often numbered."""
        text = label_text(value.get(field))
        return self.text(value, field) if text is None else text


def label_text(found: Any) -> str | None:
    """Return the text of a label that is a text, a whole number (1.0 is 1) or a boolean; None for anything
    else.
    """
    if isinstance(found, str):
        return found
    if isinstance(found, bool):
        return json.dumps(found)
    is_whole = isinstance(found, int) or (isinstance(found, float) and found.is_integer())
    return str(int(found)) if is_whole else None


def _remedy(found: Any) -> str:
    """Return how to turn a value into text; quoting a list of texts would teach the model brackets."""
    if isinstance(found, list) and found and all(isinstance(one, str) for one in found):
        return (
            "Write one text. For a good and a bad answer, use 'chosen' and 'rejected'; for several good"
            " answers, write one row each."
        )
    is_scalar = isinstance(found, bool | int | float)
    return "Put it in quotation marks" + (", or allow it with --set data.coerce=true." if is_scalar else ".")


def json_kind(value: Any) -> str:
    """Describe the type of a value for a message."""
    kinds = {
        dict: "an object",
        list: "a list",
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        type(None): "null",
        bytes: "bytes",
    }
    return kinds.get(type(value)) or f"a {type(value).__name__}"
