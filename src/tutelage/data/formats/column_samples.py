"""Sample the columns of the first rows and describe their contents."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tutelage.data.formats.column_hints import HINTS, META, Role, begins_like
from tutelage.data.formats.table_shape import BARE_VALUE

ROWS_LOOKED_AT = 200
LONGEST_LOOKED_AT = 1_000  # characters of a value
SHARE = 0.8  # of a column's values that must be of a kind
TEXT_SIZE = 15  # mean characters; columns at least this long contain texts
SIGNS_FROM, SIZE_OF_SIGN = "\u2e80", 3  # a Chinese or Japanese character counts as several letters
QUESTION = re.compile(r"""[?？؟;]["')»”’]?\s*\Z|\?""")
CODE = re.compile(r"[\w#./:-]*\d[\w#./:-]*")  # a single word with a digit: an order number, a version, a time


@dataclass(frozen=True)
class Column:
    """Statistics of a column; `size` is the mean number of characters, and the rates are shares of its values."""

    name: str
    place: int
    values: int
    rows: int
    distinct: int
    size: float
    question_rate: float
    json: float
    bare: float

    @property
    def is_text(self) -> bool:
        return self.values > 0 and self.size >= TEXT_SIZE and self.json < SHARE and self.bare < SHARE

    @property
    def is_json(self) -> bool:
        return self.json >= SHARE

    @property
    def is_varied(self) -> bool:
        return self.distinct > self.values / 2 or self.values < 3

    @property
    def is_constant(self) -> bool:
        return self.distinct == 1 and self.values > 1

    @property
    def is_classes(self) -> bool:
        return (
            1 < self.distinct <= max(self.values * 0.5, 2) and not self.is_json and self.size < 3 * TEXT_SIZE
        )

    def is_called(self, role: Role) -> bool:
        return begins_like(self.name, HINTS.get(role, ()))

    @property
    def is_meta(self) -> bool:
        return begins_like(self.name, META)

    @property
    def is_filled(self) -> bool:
        return self.values >= self.rows * SHARE


class ColumnSamples:
    """The values of the first rows, by column."""

    def __init__(self) -> None:
        self._rows: list[dict[str, str]] = []

    def add(self, value: Mapping[str, Any]) -> None:
        if len(self._rows) < ROWS_LOOKED_AT:
            self._rows.append({str(key): _text_of(found) for key, found in value.items()})

    @property
    def is_full(self) -> bool:
        return len(self._rows) == ROWS_LOOKED_AT

    def names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self._rows for name in row))

    def texts(self, name: str) -> list[str]:
        """Return the values of a column without empty cells."""
        return [text for row in self._rows if (text := row.get(name, "").strip())]

    def pairs(self, first: str, second: str) -> list[tuple[str, str]]:
        """Return the values of two columns, row by row."""
        return [(row.get(first, ""), row.get(second, "")) for row in self._rows]

    def columns(self) -> list[Column]:
        return [self._column(name, place) for place, name in enumerate(self.names())]

    def _column(self, name: str, place: int) -> Column:
        texts = self.texts(name)
        count = len(texts) or 1
        return Column(
            name,
            place,
            values=len(texts),
            rows=len(self._rows),
            distinct=len(set(texts)),
            size=sum(map(_size, texts)) / count,
            question_rate=sum(bool(QUESTION.search(text)) for text in texts) / count,
            json=sum(map(_is_json, texts)) / count,
            bare=sum(bool(BARE_VALUE.fullmatch(text) or CODE.fullmatch(text)) for text in texts) / count,
        )


def _text_of(found: Any) -> str:
    if found is None:
        return ""
    if isinstance(found, str):
        return found[:LONGEST_LOOKED_AT]
    try:
        return json.dumps(found, ensure_ascii=False, default=str)[:LONGEST_LOOKED_AT]
    except (TypeError, ValueError):
        return str(found)[:LONGEST_LOOKED_AT]


def _size(text: str) -> int:
    return sum(SIZE_OF_SIGN if sign >= SIGNS_FROM else 1 for sign in text)


def _is_json(text: str) -> bool:
    if text[:1] not in ("{", "["):
        return False
    if len(text) == LONGEST_LOOKED_AT:
        return True  # truncated
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
