"""The row formats: their fields, and how their rows are read as conversations."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from tutelage.config.extensions import ROW_FORMATS
from tutelage.data.formats.preference_rows import Pair, has_two_outputs
from tutelage.data.rows.conversations import ChatMessage, Conversation
from tutelage.data.rows.reading import Reading, Value
from tutelage.data.rows.records import MADE_BY, MADE_FROM, SOURCE_ROW, Record

Row = dict[str, Any]


@dataclass(frozen=True)
class Schema:
    """A row format; `includes` names formats whose fields it also has and over which it takes precedence.

    Required fields may have other names: those in `kin`, and those that `names` finds among the fields of a
    row. `write` raises UnfitError if the format cannot represent a conversation.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    read: Callable[[Value, Reading], tuple[ChatMessage, ...] | Pair]
    write: Callable[[Conversation], Row]
    includes: tuple[str, ...] = ()
    kin: Collection[str] = ()
    names: Callable[[Collection[str]], tuple[str, ...]] = lambda fields: ()

    def has_fields(self, fields: Collection[str]) -> bool:
        """Return whether a row with these fields has those that the format requires."""
        return set(self.required) <= set(fields) or bool(self.names(fields))

    def read_fields(self, fields: Collection[str]) -> tuple[str, ...]:
        """Return the fields of a row that the format reads, under their names in the row."""
        own = (*self.required, *self.optional)
        return (*own, *self.kin, *self.names(fields)) if self.kin else own


def read_row(row: int, value: Value, name: str, reading: Reading) -> Conversation:
    """Read a row in the named format; raise RowError if it is faulty."""
    found = SCHEMAS[name].read(value, reading)
    turns, rejected, is_learnt = found if isinstance(found, Pair) else (found, None, True)
    return Conversation(row, turns, name, rejected, is_learnt, reading.take_repairs())


def format_of(value: Value, fitting: Sequence[str]) -> str:
    """Return the format of a row, given the formats that match its fields."""
    return "preference" if fitting[0] == "alpaca" and has_two_outputs(value) else fitting[0]


def unused_keys(record: Record, name: str) -> Counter[str]:
    """Count the nested keys of a row that its format does not read."""
    if name == "text-label":  # its labels may be a list, which is read as a whole
        return Counter()
    reading = Reading(coerces=True, is_from_arrow=record.is_from_arrow)
    read_row(0, record.value, name, reading)
    return reading.unused


class _Schemas(Mapping[str, Schema]):
    """All formats by name; each is imported on first access."""

    def __getitem__(self, name: str) -> Schema:
        return load_format(ROW_FORMATS[name])

    def __iter__(self) -> Iterator[str]:
        return iter(ROW_FORMATS)

    def __len__(self) -> int:
        return len(ROW_FORMATS)


@cache
def load_format(module: str) -> Schema:
    """Return the format defined by a module."""
    return import_module(module).FORMAT


SCHEMAS = _Schemas()


def fields_of_formats() -> frozenset[str]:
    """Return the fields that a column map may fill."""
    return frozenset(field for one in SCHEMAS.values() for field in (*one.required, *one.optional))


def fields_of(names: Sequence[str], row: Collection[str] = ()) -> set[str]:
    """Return every field that the named formats may have, including the names used in `row`."""
    fields = {SOURCE_ROW, MADE_FROM, MADE_BY}
    for schema in map(SCHEMAS.__getitem__, names):
        fields |= {*schema.required, *schema.optional, *schema.kin, *schema.names(row)}
    return fields
