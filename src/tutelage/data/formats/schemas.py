"""The formats: which fields each one needs and may have, and how its rows become conversations."""

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
    """One format; `includes` names formats whose fields it has too, and over which it wins.

    What it requires may have other names: those of `kin`, and what `names` finds among the fields of a row. `write`
    raises UnfitError where the format has no place for a conversation.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    read: Callable[[Value, Reading], tuple[ChatMessage, ...] | Pair]
    write: Callable[[Conversation], Row]
    includes: tuple[str, ...] = ()
    kin: Collection[str] = ()
    names: Callable[[Collection[str]], tuple[str, ...]] = lambda fields: ()

    def has_fields(self, fields: Collection[str]) -> bool:
        """Tell whether a row with these fields has what the format requires."""
        return set(self.required) <= set(fields) or bool(self.names(fields))

    def read_fields(self, fields: Collection[str]) -> tuple[str, ...]:
        """Return which fields of a row the format reads, under the names that the row gives them."""
        own = (*self.required, *self.optional)
        return (*own, *self.kin, *self.names(fields)) if self.kin else own


def read_row(row: int, value: Value, name: str, reading: Reading) -> Conversation:
    """Read a row by the format of that name, or raise RowError."""
    found = SCHEMAS[name].read(value, reading)
    turns, rejected, is_learnt = found if isinstance(found, Pair) else (found, None, True)
    return Conversation(row, turns, name, rejected, is_learnt, reading.take_repairs())


def format_of(value: Value, fitting: Sequence[str]) -> str:
    """Return the format of a row, of which the fields fit this one alone, by what stands in them."""
    return "preference" if fitting[0] == "alpaca" and has_two_outputs(value) else fitting[0]


def unused_keys(record: Record, name: str) -> Counter[str]:
    """Return what stands inside of a row of that format and is not read."""
    if name == "text-label":  # its labels may be a list by a setting, and all of them are read
        return Counter()
    reading = Reading(coerces=True, is_from_arrow=record.is_from_arrow)
    read_row(0, record.value, name, reading)
    return reading.unused


class _Schemas(Mapping[str, Schema]):
    """Every format by its name, of which each is imported when it is first asked for."""

    def __getitem__(self, name: str) -> Schema:
        return load_format(ROW_FORMATS[name])

    def __iter__(self) -> Iterator[str]:
        return iter(ROW_FORMATS)

    def __len__(self) -> int:
        return len(ROW_FORMATS)


@cache
def load_format(module: str) -> Schema:
    """Return the format that a module holds."""
    return import_module(module).FORMAT


SCHEMAS = _Schemas()


def fields_of_formats() -> frozenset[str]:
    """Return what a column map may fill."""
    return frozenset(field for one in SCHEMAS.values() for field in (*one.required, *one.optional))


def fields_of(names: Sequence[str], row: Collection[str] = ()) -> set[str]:
    """Return every field that formats of these names may have, under the names too that a row gives them."""
    fields = {SOURCE_ROW, MADE_FROM, MADE_BY}
    for schema in map(SCHEMAS.__getitem__, names):
        fields |= {*schema.required, *schema.optional, *schema.kin, *schema.names(row)}
    return fields
